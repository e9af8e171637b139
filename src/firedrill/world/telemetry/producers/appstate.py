"""What the producers about an application remember."""

from __future__ import annotations

from typing import NamedTuple, Self

from firedrill.world.telemetry.producers.cells import Rows


class Watched(NamedTuple):
    """A pod that is a target.

    Attributes:
        target: its name in the store.
        attempt: which run of its container has written what its rows hold; -1 for none yet.
        block: its rows besides those of its requests; -1 for none.
    """

    target: str
    attempt: int
    block: int


class AppMetering:
    """The series of an application as a part of a cluster's state; idle until the application is watched.

    Attributes:
        spans: block of each (uid of the pod, kind of span).
        gone: when a pod that made spans was last seen, by uid: the collector forgets it after a while.
        pods: by uid.
        requests: block of each (uid of the pod, operation and status).
        collections: block of each pod whose Java machine has collected all of its garbage, by uid.
        mesh: block of each pair of pods; the first is the one whose proxy tells.
        queues: block of each consumer of a queue, -1 while the broker is not there.
        closed: by uid of a consumer's pod the connections that it lost in each of the last ticks.
        brokers: by uid of a consumer's pod the pod that it was connected to.
        scratch: what can be made anew.
    """

    __slots__ = (
        "brokers",
        "closed",
        "collections",
        "gone",
        "mesh",
        "pods",
        "queues",
        "requests",
        "scratch",
        "spans",
    )

    def __init__(self) -> None:
        self.spans: dict[tuple[str, int], int] = {}
        self.gone: dict[str, int] = {}
        self.pods: dict[str, Watched] = {}
        self.requests: dict[tuple[str, int], int] = {}
        self.collections: dict[str, int] = {}
        self.mesh: dict[tuple[str, ...], int] = {}
        self.queues: dict[int, int] = {}
        self.closed: dict[str, tuple[int, ...]] = {}
        self.brokers: dict[str, str] = {}
        self.scratch: dict[str, object] = {}

    def rows(self, name: str) -> Rows:
        """Where rows begin, for one kind of cells."""
        found = self.scratch.get(name)
        if not isinstance(found, Rows):
            found = self.scratch[name] = Rows()
        return found

    def fork(self) -> Self:
        """An independent copy."""
        twin = type(self)()
        for name in self.__slots__:
            if name != "scratch":
                setattr(twin, name, getattr(self, name).copy())
        return twin

    def state(self) -> object:
        """All of it as plain data; what the rows hold is told by the store of series."""
        return [
            [[list(key), block] for key, block in sorted(held.items())]
            for held in (self.spans, self.requests, self.mesh)
        ] + [
            sorted(self.gone.items()),
            [[uid, *self.pods[uid]] for uid in sorted(self.pods)],
            sorted(self.queues.items()),
            [[uid, list(self.closed[uid])] for uid in sorted(self.closed)],
            sorted(self.brokers.items()),
            *([sorted(self.collections.items())] if self.collections else []),
        ]


__all__ = ["AppMetering", "Watched"]
