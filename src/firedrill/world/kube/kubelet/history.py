"""Runs of containers, also of pods that are gone: what log collectors have sent away outlives them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from firedrill.world.kube.objects import dig

if TYPE_CHECKING:
    from firedrill.world.kube.kubelet.state import PodState, Run
    from firedrill.world.world import World

_MOST = 20_000
_DROPPED = 1_000


class Record(NamedTuple):
    """One run of one container.

    Attributes:
        uid, namespace, pod, node: of the pod.
        labels: of the pod when the run began, by name.
        owner: (kind, name) of the pod's controller, or two empty texts.
        container: its name.
        run: as it was last known; after the pod has gone it has an end.
    """

    uid: str
    namespace: str
    pod: str
    node: str
    labels: tuple[tuple[str, str], ...]
    owner: tuple[str, str]
    container: str
    run: Run

    @property
    def key(self) -> tuple[str, str, int]:
        """What no other run has."""
        return self.uid, self.container, self.run.attempt


class Runs:
    """All of them, in the order in which they began; the oldest are forgotten once there are very many.

    Attributes:
        records: by `Record.key`.
        count: changes so far: as long as it stays, so do the records.
        scratch: what readers keep to read faster; no part of the state, and empty in a new fork.
    """

    __slots__ = ("count", "records", "scratch")

    def __init__(self) -> None:
        self.records: dict[tuple[str, str, int], Record] = {}
        self.count = 0
        self.scratch: dict[str, Any] = {}

    def __getstate__(self) -> object:
        return self.records, self.count

    def __setstate__(self, state: tuple[dict[tuple[str, str, int], Record], int]) -> None:
        self.records, self.count = state
        self.scratch = {}

    def fork(self) -> Self:
        """An independent copy."""
        twin = type(self)()
        twin.records = self.records.copy()
        twin.count = self.count
        return twin

    def state(self) -> object:
        """What was when, as plain data."""
        return [[*key, found.run.started, found.run.finished] for key, found in self.records.items()]

    def put(self, record: Record) -> None:
        """Remember a run as it is now."""
        self.count += 1
        self.records[record.key] = record
        if len(self.records) > _MOST:
            for key in list(self.records)[:_DROPPED]:
                del self.records[key]


def runs(world: World) -> Runs:
    """The runs of a world."""
    return world.cluster.part(Runs)


def note(world: World, before: PodState | None, state: PodState) -> None:
    """Remember the runs that have changed from one state of a pod to the next."""
    known = before.containers if before is not None else {}
    for name, found in state.containers.items():
        run = found.run
        if run is None or run.started < 0:
            continue
        was = known.get(name)
        if was is None or was.run is not run:
            _put(world, state, name, run)


def close(world: World, state: PodState) -> None:
    """A pod is gone: what still ran of it has ended now."""
    for name, found in state.containers.items():
        if found.run is not None and found.run.started >= 0 and found.run.finished < 0:
            _put(world, state, name, replace(found.run, finished=world.now, code=137, reason="Error"))


def _put(world: World, state: PodState, name: str, run: Run) -> None:
    part = runs(world)
    known = part.records.get((state.uid, name, run.attempt))
    if known is not None:
        part.put(known._replace(run=run))
        return
    pod = world.cluster.store.get("pods", state.namespace, state.name) or {}
    labels = dig(pod, "metadata", "labels", default=None) or {}
    owner = ("", "")
    for item in dig(pod, "metadata", "ownerReferences", default=None) or ():
        if item.get("controller"):
            owner = (str(item.get("kind")), str(item.get("name")))
    pairs = tuple(sorted((str(key), str(value)) for key, value in labels.items()))
    part.put(Record(state.uid, state.namespace, state.name, state.node, pairs, owner, name, run))
