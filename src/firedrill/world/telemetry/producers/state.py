"""What the producers of a world remember from one scrape to the next."""

from __future__ import annotations

from typing import Literal, NamedTuple, Self

from firedrill.world.kube.store import Ref
from firedrill.world.telemetry.labels import Labels

Producer = Literal["machines", "pods", "apiserver", "programs", "spans", "queues", "mesh"]


class Held(NamedTuple):
    """Rows of the store that belong together.

    Attributes:
        block: their number in the store; -1 where there are none.
        series: their labels, without those of the target.
    """

    block: int
    series: tuple[Labels, ...]


class Metered(NamedTuple):
    """A run of a container that is measured.

    Attributes:
        block: its rows in the store.
        limit: thousandths of a core; 0 for none.
        at_ms: up to when its processor time has been counted.
        cost: its rows of what it is given; -1 for none.
        requests: cores and bytes that it asks for.
        constants: its limit of memory in bytes, and its share of processors in the kernel's units.
    """

    block: int
    limit: int
    at_ms: int
    cost: int = -1
    requests: tuple[float, float] = (0.0, 0.0)
    constants: tuple[float, float] = (0.0, 0.0)


class Metering:
    """The producers as a part of a cluster's state; idle until `watch`.

    Attributes:
        on: whether the world is watched.
        rv: the resourceVersion up to which objects have been read; -1 for none.
        objects: the rows of each object.
        runs: the rows of each run of a container, by node, by (uid of the pod, container, attempt).
        machines: by target the rows that tell of a whole node.
        pods: pods that are targets themselves: (job, namespace, name) and the address.
        followers: names of handlers that are called before each scrape.
        needed: the producers that anybody still reads; None for all.
        places: where rows are, by target: can be made anew.
    """

    __slots__ = ("followers", "machines", "needed", "objects", "on", "places", "pods", "runs", "rv")

    def __init__(self) -> None:
        self.on = False
        self.rv = -1
        self.objects: dict[Ref, tuple[Held, ...]] = {}
        self.runs: dict[str, dict[tuple[str, str, int], Metered]] = {}
        self.machines: dict[str, Metered] = {}
        self.pods: dict[tuple[str, str, str], str] = {}
        self.followers: tuple[str, ...] = ()
        self.needed: frozenset[Producer] | None = None
        self.places: dict[str, object] = {}

    def needs(self, producer: Producer) -> bool:
        """Whether anybody reads what a producer tells."""
        return self.needed is None or producer in self.needed

    def fork(self) -> Self:
        """An independent copy."""
        twin = type(self)()
        twin.needed = self.needed
        twin.on, twin.rv, twin.followers = self.on, self.rv, self.followers
        twin.objects = self.objects.copy()
        twin.runs = {node: runs.copy() for node, runs in self.runs.items()}
        twin.machines, twin.pods = self.machines.copy(), self.pods.copy()
        return twin

    def state(self) -> object:
        """All of it as plain data; what the rows hold is told by the store of series."""
        objects = [[*ref, [held.block for held in self.objects[ref]]] for ref in sorted(self.objects)]
        runs = [
            [node, [[*key, *self.runs[node][key]] for key in sorted(self.runs[node])]]
            for node in sorted(self.runs)
        ]
        machines = [[name, *self.machines[name]] for name in sorted(self.machines)]
        pods = [[*key, self.pods[key]] for key in sorted(self.pods)]
        needed = [] if self.needed is None else [sorted(self.needed)]
        return [self.on, self.rv, objects, runs, machines, pods, list(self.followers), *needed]
