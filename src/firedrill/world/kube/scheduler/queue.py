"""The scheduler's memory: pods that wait, why they wait, and the nodes as it knows them.

Source: kube-scheduler 1.31, `PriorityQueue`: an active queue by priority and time, a back-off of 1 s doubling
to 10 s, and unschedulable pods that come back at a relevant change or after five minutes.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import NamedTuple, Self

from firedrill.world.kube.scheduler.nodeinfo import NodeInfo, Snapshot
from firedrill.world.kube.scheduler.podinfo import PodInfo

BACK_OFF_START = 1_000
BACK_OFF_MAX = 10_000
FLUSH_AFTER = 300_000


class Waiting(NamedTuple):
    """A pod that found no node.

    Attributes:
        since: when the last attempt failed, in ms.
        plugins: who refused it.
        ready: when its back-off ends, once something has changed that may help it; -1 before that.
    """

    since: int
    plugins: tuple[str, ...]
    ready: int = -1


class SchedulerState:
    """What a running scheduler keeps. A restarted one begins with nothing.

    Attributes:
        seen: the resourceVersion up to which it has followed changes; -1 before it has listed anything.
        active: pods to try, with (minus their priority, when they came in ms); by `namespace/name`.
        order: a heap of the active ones; entries that no longer agree with `active` are passed over.
        nominated: pods for which room is being made, with the node.
        waiting: pods that found no node.
        attempts: how often each pod was tried.
        assumed: pods whose node is chosen and whose volumes are being bound: (node, deadline in ms).
        start: index of the node at which the next attempt begins.
        nodes: what is known of each node; made again when missing.
        pods: what is known of each pod; made again when missing.
    """

    __slots__ = (
        "active",
        "assumed",
        "attempts",
        "nodes",
        "nominated",
        "order",
        "pods",
        "seen",
        "snapshot",
        "start",
        "waiting",
    )

    def __init__(self) -> None:
        self.seen = -1
        self.active: dict[str, tuple[int, int]] = {}
        self.order: list[tuple[int, int, str]] = []
        self.nominated: dict[str, str] = {}
        self.waiting: dict[str, Waiting] = {}
        self.attempts: dict[str, int] = {}
        self.assumed: dict[str, tuple[str, int]] = {}
        self.start = 0
        self.nodes: dict[str, NodeInfo] = {}
        self.pods: dict[str, PodInfo] = {}
        self.snapshot: Snapshot | None = None

    def fork(self) -> Self:
        """An independent copy; what is known of nodes and pods never changes and is shared."""
        twin = type(self)()
        twin.seen = self.seen
        twin.active = self.active.copy()
        twin.order = self.order.copy()
        twin.nominated = self.nominated.copy()
        twin.waiting = self.waiting.copy()
        twin.attempts = self.attempts.copy()
        twin.assumed = self.assumed.copy()
        twin.start = self.start
        twin.nodes = self.nodes.copy()
        twin.pods = self.pods.copy()
        return twin

    def state(self) -> object:
        """What decides the future; not what can be made again."""
        return [
            self.seen,
            self.start,
            sorted([key, *rank] for key, rank in self.active.items()),
            sorted(self.nominated.items()),
            sorted([key, *item] for key, item in self.waiting.items()),
            sorted(self.attempts.items()),
            sorted([key, *item] for key, item in self.assumed.items()),
        ]

    def forget(self, key: str) -> None:
        """Drop all that is known of a pod."""
        for kept in (
            self.active,
            self.waiting,
            self.attempts,
            self.assumed,
            self.nominated,
            self.pods,
        ):
            kept.pop(key, None)

    def push(self, key: str, priority: int, now: int) -> None:
        """Let a pod be tried, unless it already waits to be."""
        if key not in self.active:
            self.active[key] = (-priority, now)
            heappush(self.order, (-priority, now, key))

    def pop(self) -> str | None:
        """The pod to try next: highest priority first, then longest waiting."""
        while self.order:
            *rank, key = heappop(self.order)
            if self.active.get(key) == tuple(rank):
                del self.active[key]
                return key
        return None

    def back_off(self, key: str) -> int:
        """How long the pod has to wait after its last attempt, in ms."""
        return int(min(BACK_OFF_START * 2 ** min(max(self.attempts.get(key, 1) - 1, 0), 10), BACK_OFF_MAX))

    def fail(self, key: str, now: int, plugins: tuple[str, ...]) -> None:
        """Put a pod among those that wait."""
        self.active.pop(key, None)
        self.waiting[key] = Waiting(now, plugins)

    def wake(self, key: str, now: int) -> None:
        """Something has changed that may help the pod: try it once its back-off is over."""
        item = self.waiting.get(key)
        if item is not None and item.ready < 0:
            self.waiting[key] = item._replace(ready=max(item.since + self.back_off(key), now))

    def release(self, now: int) -> None:
        """Move the pods whose time has come to the active ones."""
        for key, item in list(self.waiting.items()):
            due = item.ready if item.ready >= 0 else item.since + FLUSH_AFTER
            if due <= now:
                del self.waiting[key]
                known = self.pods.get(key)
                self.push(key, known.priority if known is not None else 0, due)

    def next_due(self) -> int | None:
        """When the next pod becomes active by time alone, in ms."""
        times = [
            item.ready if item.ready >= 0 else item.since + FLUSH_AFTER for item in self.waiting.values()
        ]
        times += [deadline for _, deadline in self.assumed.values()]
        return min(times, default=None)
