"""What users get: the service of an application as its callers outside measure it, by operation and minute.

The load generator is the witness: each request that it makes is counted where it comes back (or does not).
`begin` keeps the count up with the ticks; without it the same figures are made again from their history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from firedrill.world.app import rows as kinds
from firedrill.world.app.traffic import Traffic, call_after_ticks, record_of, rows_of
from firedrill.world.kube.cluster import Log
from firedrill.world.sim.handlers import handler

if TYPE_CHECKING:
    from firedrill.world.app.graph import Graph
    from firedrill.world.world import World

Ints = NDArray[np.int64]
MINUTE_MS: Final = 60_000
WINDOW: Final = 5
"""Minutes that `healthy` looks at."""
_SUCCESS_SLACK, _DEVIATIONS = 0.005, 3.0
_LATENCY_FACTOR, _LATENCY_SLACK_MS = 1.5, 100.0
_SERVED = 0.95
_EXPECTED = 10.0
"""Requests that must have been due before the absence of all of them says something."""
_ANSWERED = np.isin(
    np.arange(len(kinds.KINDS)),
    (
        *(kinds.OK, kinds.FAILED, kinds.UPSTREAM, kinds.AUTH, kinds.PROTOCOL, kinds.ABORTED),
        *(kinds.DENIED, kinds.NOT_FOUND, kinds.NO_BACKEND, kinds.UNREADABLE),
    ),
)


class Counted(NamedTuple):
    """Requests of users within a stretch of time, by operation.

    Attributes:
        start: of the stretch, in ms since the Unix epoch.
        length: in ms.
        offered, served, good: requests made, answered by a program, answered as wished.
        durations: in µs, sorted.
    """

    start: int
    length: int
    offered: tuple[int, ...]
    served: tuple[int, ...]
    good: tuple[int, ...]
    durations: tuple[Ints, ...]


class Users:
    """What users got so far, as a part of a cluster's state.

    Attributes:
        minutes: a `Counted` for each minute that is over.
        open: the ticks of the minute that is not.
        ticks: how many ticks have been counted.
    """

    __slots__ = ("minutes", "open", "ticks")

    def __init__(self) -> None:
        self.minutes = Log()
        self.open: tuple[Counted, ...] = ()
        self.ticks = 0

    def fork(self) -> Self:
        """An independent copy."""
        twin = type(self)()
        twin.minutes, twin.open, twin.ticks = self.minutes.fork(), self.open, self.ticks
        return twin

    def state(self) -> object:
        """The ticks tell it all: only how far they were counted."""
        return self.ticks


@dataclass(frozen=True, slots=True)
class ServiceMinute:
    """One operation in one minute, as users saw it.

    Attributes:
        start_ms: when the minute began.
        operation: `service.operation`, as the load generator asks for it.
        offered: requests that users made.
        served: share of them that a program answered, however.
        success: share of them that were answered as wished.
        p95_ms: of the time until users had an answer or gave up.
    """

    start_ms: int
    operation: str
    offered: int
    served: float
    success: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class Band:
    """Within what an operation is as it should be.

    Attributes:
        operation: `service.operation`.
        share: of all requests in the baseline.
        expected: requests per minute in the baseline.
        success: the least.
        p95_ms: the most.
        served: the least.
    """

    operation: str
    share: float
    expected: float
    success: float
    p95_ms: float
    served: float


@dataclass(frozen=True, slots=True)
class Baseline:
    """What was usual in a window of time in which all was well.

    Attributes:
        start_ms, end_ms: the window.
        bands: by operation, in the order of the load generator's mix.
    """

    start_ms: int
    end_ms: int
    bands: tuple[Band, ...]

    def outside(self, seen: Sequence[ServiceMinute]) -> tuple[str, ...]:
        """The operations among these records that are outside their bands."""
        bands = {band.operation: band for band in self.bands}
        bad = {item.operation for item in seen if _outside(bands[item.operation], item)}
        return tuple(band.operation for band in self.bands if band.operation in bad)

    def bad_share(self, minute: Sequence[ServiceMinute]) -> float:
        """The share of the traffic that the operations outside their bands have in the baseline."""
        bad = self.outside(minute)
        return min(sum(band.share for band in self.bands if band.operation in bad), 1.0)


def begin(world: World) -> None:
    """Count what users get as it happens. To be called once there is traffic; again is harmless."""
    call_after_ticks(world, "service.count")
    world.cluster.part(Users)


@handler("service.count")
def _count(world: World) -> None:
    part = world.cluster.part(Users)
    _catch_up(world, part)


def _catch_up(world: World, part: Users) -> None:
    traffic = world.cluster.part(Traffic)
    if traffic.graph is None:
        return
    while part.ticks < len(traffic.history):
        tick = _tick(world, traffic.graph, part.ticks)
        if part.open and tick.start // MINUTE_MS != part.open[0].start // MINUTE_MS:
            _close(part)
        part.open = (*part.open, tick)
        part.ticks += 1
        if (tick.start + tick.length) % MINUTE_MS == 0:
            _close(part)


def _close(part: Users) -> None:
    start = part.open[0].start // MINUTE_MS * MINUTE_MS
    part.minutes.append(_joined(part.open, start, MINUTE_MS))
    part.open = ()


@lru_cache(maxsize=64)
def _operations(graph: Graph) -> tuple[tuple[str, ...], Ints]:
    """(operations that users ask for, which of them each entry asks for)."""
    asked = [".".join(graph.op_names[int(op)]) for op in graph.edge_target[: graph.entries]]
    names = tuple(dict.fromkeys(asked))
    return names, np.array([names.index(name) for name in asked], np.int64)


def _tick(world: World, graph: Graph, number: int) -> Counted:
    rows, inputs = rows_of(world, number), record_of(world, number).inputs
    names, place = _operations(graph)
    here = ((rows.parent < 0) & (rows.edge < graph.entries)).nonzero()[0]
    op, kind, duration = place[rows.edge[here]], rows.kind[here], rows.duration[here]
    count = np.bincount(op, minlength=len(names))
    offered = count * rows.weight
    served = np.bincount(op[_ANSWERED[kind]], minlength=len(names)) * rows.weight
    good = np.bincount(op[kind == kinds.OK], minlength=len(names)) * rows.weight
    ordered, ends = duration[op.argsort(kind="stable")], count.cumsum().tolist()
    lasted = tuple(ordered[first:last] for first, last in pairwise([0, *ends]))
    return Counted(inputs.moment, inputs.length, _whole(offered), _whole(served), _whole(good), lasted)


def _whole(counts: Ints) -> tuple[int, ...]:
    return tuple(map(int, counts))


def _joined(parts: Sequence[Counted], start: int, length: int) -> Counted:
    lasted = tuple(np.sort(np.concatenate(one)) for one in zip(*(p.durations for p in parts), strict=True))
    offered = _summed([part.offered for part in parts])
    served, good = _summed([part.served for part in parts]), _summed([part.good for part in parts])
    return Counted(start, length, offered, served, good, lasted)


def _summed(columns: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*columns, strict=True)))


def _known(world: World) -> tuple[Graph | None, Users]:
    """The graph and what users got up to now. Reading leaves no trace in worlds that do not count."""
    traffic = world.cluster.part(Traffic)
    counting = "service.count" in traffic.followers
    part = world.cluster.part(Users) if counting else Users()
    _catch_up(world, part)
    return traffic.graph, part


def _minutes(part: Users, start_ms: int, end_ms: int) -> list[Counted]:
    found: list[Counted] = []
    if len(part.minutes):
        first: Counted = next(iter(part.minutes))
        skip = max((start_ms - first.start) // MINUTE_MS, 0)
        for minute in part.minutes.after(min(skip, len(part.minutes))):
            if minute.start >= start_ms and minute.start + MINUTE_MS <= end_ms:
                found.append(minute)
    return found


def minutes(world: World, start_ms: int, end_ms: int) -> tuple[ServiceMinute, ...]:
    """What users got in each whole minute of a window, oldest first, operations in the order of the mix.

    Args:
        world: where.
        start_ms, end_ms: the window, in ms since the Unix epoch.
    """
    graph, part = _known(world)
    if graph is None:
        return ()
    names, _ = _operations(graph)
    return tuple(item for minute in _minutes(part, start_ms, end_ms) for item in _records(names, minute))


def _records(names: Sequence[str], counted: Counted) -> list[ServiceMinute]:
    out = []
    for number, name in enumerate(names):
        offered, lasted = counted.offered[number], counted.durations[number]
        made = max(offered, 1)
        out.append(
            ServiceMinute(
                start_ms=counted.start,
                operation=name,
                offered=offered,
                served=counted.served[number] / made,
                success=counted.good[number] / made,
                p95_ms=_p95(lasted),
            )
        )
    return out


def _p95(lasted: Ints) -> float:
    """Of sorted durations in µs, in ms; 0 where there are none."""
    return float(lasted[int(np.ceil(0.95 * len(lasted))) - 1]) / 1000.0 if len(lasted) else 0.0


def baseline(world: World, start_ms: int, end_ms: int) -> Baseline:
    """The bands of what was usual in a window.

    Success: at least the mean of the minutes less three of their standard deviations, or less half a
    percentage point where that is more; p95: at most half as much again, or 100 ms more where that is more;
    served: at least 95 % of what is asked.

    Raises:
        LookupError: the window has no whole minute with traffic.
    """
    graph, part = _known(world)
    found = _minutes(part, start_ms, end_ms)
    if graph is None or not found:
        raise LookupError("no minute of the window had traffic")
    names, _ = _operations(graph)
    whole = _joined(found, found[0].start, len(found) * MINUTE_MS)
    total = max(sum(whole.offered), 1)
    bands = []
    for number, name in enumerate(names):
        asked = [(minute.good[number], minute.offered[number]) for minute in found if minute.offered[number]]
        ratios = np.array([good / offered for good, offered in asked] or [1.0])
        spread = float(np.sqrt(np.mean((ratios - ratios.mean()) ** 2)))
        p95 = _p95(whole.durations[number])
        bands.append(
            Band(
                operation=name,
                share=whole.offered[number] / total,
                expected=whole.offered[number] / len(found),
                success=float(ratios.mean()) - max(_DEVIATIONS * spread, _SUCCESS_SLACK),
                p95_ms=max(_LATENCY_FACTOR * p95, p95 + _LATENCY_SLACK_MS),
                served=_SERVED,
            )
        )
    return Baseline(start_ms, end_ms, tuple(bands))


def _outside(band: Band, seen: ServiceMinute, length: int = 1) -> bool:
    if not seen.offered:
        return band.expected * length >= _EXPECTED
    return seen.success < band.success or seen.p95_ms > band.p95_ms or seen.served < band.served


def outside(world: World, usual: Baseline, at_ms: int, *, window: int = WINDOW) -> tuple[str, ...]:
    """The operations that are outside their bands over the whole minutes of a window that ends then.

    Args:
        world: where.
        usual: the bands.
        at_ms: the end of the window, in ms since the Unix epoch.
        window: its minutes.
    """
    graph, part = _known(world)
    end = at_ms // MINUTE_MS * MINUTE_MS
    found = _minutes(part, end - window * MINUTE_MS, end)
    if graph is None or not found:
        return tuple(band.operation for band in usual.bands)
    names, _ = _operations(graph)
    whole = _joined(found, found[0].start, len(found) * MINUTE_MS)
    bands = {band.operation: band for band in usual.bands}
    bad = {
        item.operation for item in _records(names, whole) if _outside(bands[item.operation], item, len(found))
    }
    return tuple(band.operation for band in usual.bands if band.operation in bad)


def healthy(world: World, usual: Baseline, at_ms: int) -> bool:
    """Whether no operation is outside its band over the five minutes before that moment."""
    return not outside(world, usual, at_ms)


def slo_minutes_lost(world: World, usual: Baseline, start_ms: int, end_ms: int) -> float:
    """The minutes of a window, each by the share of the traffic whose operations were outside their bands."""
    by_minute: dict[int, list[ServiceMinute]] = {}
    for item in minutes(world, start_ms, end_ms):
        by_minute.setdefault(item.start_ms, []).append(item)
    return sum(usual.bad_share(minute) for minute in by_minute.values())


__all__ = [
    "MINUTE_MS",
    "Band",
    "Baseline",
    "ServiceMinute",
    "Users",
    "baseline",
    "begin",
    "healthy",
    "minutes",
    "outside",
    "slo_minutes_lost",
]
