"""Daemon sets: one pod on each node that suits.

Source: kube-controller-manager 1.31, `pkg/controller/daemon`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from firedrill.world.kube import events
from firedrill.world.kube.api import strategy
from firedrill.world.kube.api.client import Client, component_client
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.controllers import _pods
from firedrill.world.kube.controllers._revisions import (
    POD_HASH,
    clear_revisions,
    current_revision,
    revisions_of,
)
from firedrill.world.kube.controllers.base import (
    Controller,
    all_keys,
    enqueue,
    key_of,
    own_key,
    register,
    split_key,
)
from firedrill.world.kube.controllers.daemonset_pods import (
    GENERATION,
    allows_surge,
    bounds,
    pod_for,
    suits,
    target_of,
)
from firedrill.world.kube.objects import (
    Obj,
    annotations_of,
    dig,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    with_path,
)
from firedrill.world.kube.store import Change

if TYPE_CHECKING:
    from firedrill.world.world import World

NAME = "daemonset-controller"
_RESOURCE = "daemonsets.apps"
_BURST = 250
_KILL_BACK_OFF = 1_000
_KILL_BACK_OFF_MAX = 900_000


class Kills:
    """When pods that failed on a node were last killed, and how long to wait with the next."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last: dict[tuple[str, str], tuple[int, int]] = {}

    def fork(self) -> Kills:
        """An independent copy."""
        twin = type(self)()
        twin.last = self.last.copy()
        return twin

    def state(self) -> object:
        """All of it as plain data."""
        return sorted([*key, *entry] for key, entry in self.last.items())


class Pass:
    """One look at a daemon set: its pods by node, and the nodes that want one.

    Attributes:
        world: where it is.
        client: of the controller.
        ds: the daemon set.
        hash: of its present template.
        pods: by node, oldest first.
        wanted: for each node, whether it should get a pod and whether one may stay.
    """

    __slots__ = ("client", "ds", "hash", "pods", "wanted", "world")

    def __init__(self, client: Client, ds: Obj, revision_hash: str) -> None:
        self.client, self.world, self.ds, self.hash = client, client.world, ds, revision_hash
        self.wanted = {name_of(node): suits(ds, node) for node in self.world.cluster.store.list("nodes")}
        self.pods: dict[str, list[Obj]] = {}
        self.look()

    def look(self) -> None:
        """Read the pods again."""
        self.pods = {}
        pods = _pods.owned(self.world, self.ds)
        for pod in sorted(pods, key=lambda item: (item["metadata"]["creationTimestamp"], name_of(item))):
            self.pods.setdefault(target_of(pod), []).append(pod)

    @property
    def min_ready(self) -> int:
        """Seconds until a ready pod counts as available."""
        return int(dig(self.ds, "spec", "minReadySeconds", default=0))

    @property
    def desired(self) -> int:
        """How many nodes want a pod."""
        return sum(should for should, _ in self.wanted.values())

    def is_new(self, pod: Obj) -> bool:
        """Whether the pod is made of the present template."""
        return labels_of(pod).get(POD_HASH) == self.hash

    def is_available(self, pod: Obj) -> bool:
        """Whether the pod counts as available."""
        return _pods.is_available(pod, self.min_ready, self.world.now)

    def sync(self, doomed: Iterable[Obj], nodes: Iterable[str]) -> None:
        """Create and delete pods.

        Raises:
            ApiError: one is refused; the others have been tried as far as the batches go.
        """
        problem: ApiError | None = None
        wanting = list(nodes)[:_BURST]
        done = 0
        for batch in _pods.slow_start(len(wanting)):
            for node in wanting[done : done + batch]:
                try:
                    _pods.create_pod(self.client, self.ds, pod_for(self.ds, node, self.hash), NAME)
                except ApiError as caught:
                    problem = problem or caught
            done += batch
            if problem is not None:
                break
        for pod in list(doomed)[:_BURST]:
            try:
                _pods.delete_pod(self.client, self.ds, pod, NAME)
            except ApiError as caught:
                problem = problem or caught
        if problem is not None and not _pods.of_ending_namespace(problem):
            raise problem


def _reconcile(world: World, key: str) -> None:
    ds = world.cluster.store.get(_RESOURCE, *split_key(key))
    if ds is None:
        return
    client = component_client(world, "daemon-set-controller")
    if not _pods.requirements_of(_pods.selector_of(ds)):
        text = "This daemon set is selecting all pods. A non-empty selector is required."
        events.record(world, ds, "Warning", "SelectingAll", text, component=NAME)
        return
    if is_deleting(ds):
        return
    _pods.claim(client, ds, _pods.requirements_of(_pods.selector_of(ds)), finished=True)
    revision, known = current_revision(client, ds, revisions_of(client, ds), POD_HASH)
    look = Pass(client, ds, str(labels_of(revision).get(POD_HASH, "")))
    problem: ApiError | None = None
    try:
        _manage(look, key)
        look.look()
        if dig(ds, "spec", "updateStrategy", "type", default="RollingUpdate") == "RollingUpdate":
            _roll(look)
    except ApiError as caught:
        problem = caught
    look.look()
    client.update_status(ds, _status(look))
    if problem is not None:
        raise problem
    in_use = {str(labels_of(pod).get(POD_HASH)) for pods in look.pods.values() for pod in pods}
    live = {name_of(item) for item in known if labels_of(item).get(POD_HASH) in in_use} | {name_of(revision)}
    clear_revisions(client, ds, known, live)
    _look_again(look, key)


def _manage(look: Pass, key: str) -> None:
    """A pod on each node that should have one, none where it must not be."""
    nodes: list[str] = []
    doomed: list[Obj] = []
    for node, (should, may_stay) in look.wanted.items():
        pods = look.pods.get(node, [])
        if should and not pods:
            nodes.append(node)
        elif may_stay:
            running = _running(look, key, node, pods, doomed)
            doomed += _surplus(look, running)
        else:
            doomed += [pod for pod in pods if not is_deleting(pod)]
    for node, pods in look.pods.items():
        if node not in look.wanted:
            doomed += [pod for pod in pods if not dig(pod, "spec", "nodeName") and not is_deleting(pod)]
    look.sync(doomed, nodes)


def _running(look: Pass, key: str, node: str, pods: list[Obj], doomed: list[Obj]) -> list[Obj]:
    """The pods that are not over; those that are get killed, the failed ones with pauses."""
    out = []
    for pod in pods:
        phase = dig(pod, "status", "phase")
        if is_deleting(pod):
            continue
        if phase not in {"Failed", "Succeeded"}:
            out.append(pod)
            continue
        where = f"{namespace_of(pod)}/{name_of(pod)} on node {node}"
        if phase == "Succeeded":
            text = f"Found succeeded daemon pod {where}, will try to delete it"
            events.record(look.world, look.ds, "Normal", "SucceededDaemonPod", text, component=NAME)
        elif _is_too_early(look, key, node):
            continue
        else:
            text = f"Found failed daemon pod {where}, will try to kill it"
            events.record(look.world, look.ds, "Warning", "FailedDaemonPod", text, component=NAME)
        doomed.append(pod)
    return out


def _is_too_early(look: Pass, key: str, node: str) -> bool:
    kills, now = look.world.cluster.part(Kills), look.world.now
    last, pause = kills.last.get((key, node), (now - 2 * _KILL_BACK_OFF_MAX, 0))
    if now - last < pause:
        enqueue(look.world, NAME, key, last + pause - now)
        return True
    again = min(pause * 2, _KILL_BACK_OFF_MAX) if pause and now - last < 2 * _KILL_BACK_OFF_MAX else 0
    kills.last[key, node] = (now, again or _KILL_BACK_OFF)
    return False


def _surplus(look: Pass, running: list[Obj]) -> list[Obj]:
    if len(running) <= 1:
        return []
    if not allows_surge(look.ds):
        return running[1:]
    new = [pod for pod in running if look.is_new(pod)]
    old = [pod for pod in running if not look.is_new(pod)]
    out = new[1:] + old[1:]
    if new and old and (not _pods.is_ready(old[0]) or look.is_available(new[0])):
        out.append(old[0])
    return out


def _updated(look: Pass, pods: list[Obj]) -> tuple[Obj | None, Obj | None] | None:
    """(new pod, old pod) of a node; None where there are several of either."""
    staying = [pod for pod in pods if not is_deleting(pod)]
    new = [pod for pod in staying if look.is_new(pod)]
    old = [pod for pod in staying if not look.is_new(pod)]
    if len(new) > 1 or len(old) > 1:
        return None
    return (new[0] if new else None), (old[0] if old else None)


def _roll(look: Pass) -> None:
    surge, gone = bounds(look.ds, look.desired)
    if surge == 0:
        _roll_down(look, gone)
    else:
        _roll_up(look, surge)


def _roll_down(look: Pass, most: int) -> None:
    """Delete old pods, those that do not work first, and let them come back as new ones."""
    unavailable = 0
    broken: list[Obj] = []
    working: list[Obj] = []
    for node, pods in look.pods.items():
        if node not in look.wanted:
            continue
        found = _updated(look, pods)
        if found is None or (found[0] is None) == (found[1] is None):
            unavailable += 1
        elif found[0] is not None:
            unavailable += not look.is_available(found[0])
        elif found[1] is not None:
            if look.is_available(found[1]):
                working.append(found[1])
            else:
                broken.append(found[1])
                unavailable += 1
    look.sync(broken + working[: max(most - unavailable, 0)], ())


def _roll_up(look: Pass, most: int) -> None:
    """Start new pods beside the old ones, and delete an old one once its successor is available."""
    started = 0
    doomed: list[Obj] = []
    first: list[str] = []
    then: list[str] = []
    for node, pods in look.pods.items():
        found = _updated(look, pods)
        if found is None:
            started += 1
            continue
        new, old = found
        if old is None:
            continue
        if new is None:
            if look.wanted.get(node, (False, False))[0]:
                (then if look.is_available(old) else first).append(node)
        elif look.is_available(new):
            doomed.append(old)
        else:
            started += 1
    look.sync(doomed, first + then[: max(most - started, 0)])


def _status(look: Pass) -> Obj:
    current = misplaced = ready = available = updated = 0
    for node, (should, _) in look.wanted.items():
        pods = look.pods.get(node)
        if not pods:
            continue
        if not should:
            misplaced += 1
            continue
        current += 1
        pod = pods[0]
        updated += look.is_new(pod)
        if _pods.is_ready(pod):
            ready += 1
            available += look.is_available(pod)
    desired = look.desired
    status: Obj = {
        "currentNumberScheduled": current,
        "numberMisscheduled": misplaced,
        "desiredNumberScheduled": desired,
        "numberReady": ready,
        "observedGeneration": int(look.ds["metadata"].get("generation") or 0),
    }
    collisions = int(dig(look.ds, "status", "collisionCount", default=0))
    more = {
        "updatedNumberScheduled": updated,
        "numberAvailable": available,
        "numberUnavailable": desired - available,
        "collisionCount": collisions,
    }
    return status | {key: count for key, count in more.items() if count}


def _look_again(look: Pass, key: str) -> None:
    pods = [pod for here in look.pods.values() for pod in here]
    waits = [_pods.available_in(pod, look.min_ready, look.world.now) for pod in pods]
    if next_one := min((wait for wait in waits if wait), default=0):
        enqueue(look.world, NAME, key, next_one)


def _of_node(world: World, change: Change) -> Iterable[str]:
    old = change.previous
    if old is not None and change.type == "MODIFIED":
        same = labels_of(old) == labels_of(change.obj)
        if same and dig(old, "spec", "taints") == dig(change.obj, "spec", "taints"):
            return ()
    return [key_of(namespace_of(ds), name_of(ds)) for ds in world.cluster.store.list(_RESOURCE)]


def _count_templates(_: World, new: Obj, old: Obj | None) -> Obj:
    """The annotation that stands for the number of the template, which the old API had as a field."""
    number = 1
    if old is not None:
        text = annotations_of(old).get(GENERATION, "1")
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 1
        number += dig(old, "spec", "template") != dig(new, "spec", "template")
    if annotations_of(new).get(GENERATION) == str(number):
        return new
    return with_path(new, ("metadata", "annotations", GENERATION), str(number))


strategy.on_write(_RESOURCE, _count_templates)
register(
    Controller(
        name=NAME,
        component="kube-controller-manager",
        watches={
            _RESOURCE: own_key,
            "pods": _pods.stray_or_owned(_RESOURCE, "DaemonSet"),
            "nodes": _of_node,
        },
        reconcile=_reconcile,
        resync=all_keys(_RESOURCE),
    )
)
