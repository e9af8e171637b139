"""What programs write about the requests they serve and make. Moments in ns since the Unix epoch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from firedrill.world.telemetry.logs import styles
from firedrill.world.telemetry.logs.gathering import BETWEEN_NS, Gathered, Heard, Told, words_of
from firedrill.world.telemetry.logs.routine import routine
from firedrill.world.telemetry.logs.styles import style_of
from firedrill.world.telemetry.logs.wording import Wording
from firedrill.world.telemetry.traces import ids
from firedrill.world.telemetry.traces.describe import Describer
from firedrill.world.telemetry.traces.requests import Ints, Names, Requests, Service, Tick

Line = tuple[int, str]
Key = tuple[str, str, int]
"""A run of a container: the pod's uid, the container's name, how often it had been restarted."""
_LAG_MS = 60_000
"""A line comes at most so long after the tick in which its request began."""
_KEPT_TICKS = 80
_KNOWN_TICKS = 20_000
_MS = 1_000_000


class Said(NamedTuple):
    """A line about a request.

    Attributes:
        at: when, in ns.
        text: without the line end.
    """

    at: int
    text: str


class _Chosen(NamedTuple):
    """Rows of a tick, and the pods that write about them."""

    places: Ints
    rows: Ints

    @classmethod
    def of(cls, groups: Mapping[int, NDArray[Any]], places: Sequence[int]) -> Self | None:
        """The rows of some pods; None where they have none."""
        found = [(place, groups[place]) for place in places if place in groups]
        if not found:
            return None
        owners = np.repeat(np.array([place for place, _ in found]), [len(rows) for _, rows in found])
        return cls(owners, np.concatenate([rows for _, rows in found]))


class _Window:
    """All lines about the requests of some ticks, by who wrote them.

    Args:
        of: the ticks, and until when there were requests.
        told: the lines.
        places: for each of the ticks, the containers by their places.
    """

    def __init__(self, of: tuple[range, int], told: Told, places: Sequence[Mapping[int, Key]]) -> None:
        self.of = of
        self._lines: dict[Key, list[tuple[int, int, str]]] = {}
        every = zip(
            told.turn.tolist(), told.place.tolist(), told.moment.tolist(), told.at.tolist(), told.text,
            strict=True,
        )  # fmt: skip
        for turn, place, moment, at, text in every:
            self._lines.setdefault(places[turn][place], []).append((moment, at, text))

    def lines(self, key: Key, start: int, end: int) -> list[Line]:
        """Those of one run of a container, of requests that it wrote about in [start, end), by time."""
        found = [(at, text) for moment, at, text in self._lines.get(key, ()) if start <= moment < end]
        found.sort(key=lambda line: line[0])
        return found


class _Seen(NamedTuple):
    """A tick, and the rows that make a pod write: those it served, and its calls that failed."""

    tick: Tick
    served: Mapping[int, NDArray[Any]]
    called: Mapping[int, NDArray[Any]]
    refused: Mapping[int, NDArray[Any]]
    places: Mapping[Key, int]


class RequestLines:
    """Lines about requests, made of the ticks when they are read.

    Args:
        requests: of the world.
    """

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._names = requests.names
        self._describer = Describer(requests.names)
        self._ticks: OrderedDict[int, _Seen] = OrderedDict()
        self._last: dict[int, int] = {}
        self._writers: dict[int, frozenset[Key]] = {}
        self._first: tuple[range, int, Key] | None = None
        self._window: _Window | None = None

    def lines(self, uid: str, container: str, attempt: int, start: int, end: int) -> list[Line]:
        """The lines that one run of a container has written in [start, end), by time.

        Those of the current tick come when it is over, as out of a buffer: no line comes before one that has
        been read.
        """
        key = (uid, container, attempt)
        until = self._requests.until
        end = min(end, until * _MS)
        numbers = self._requests.ticks(start // _MS - _LAG_MS, -(-end // _MS))
        if len(numbers) <= _KEPT_TICKS:
            if self._first is not None and self._first[:2] == (numbers, until) and self._first[2] != key:
                # who reads what several containers wrote in the same time reads all of them
                return self._of_window(numbers, until).lines(key, start, end)
            self._first = (numbers, until, key)
        out: list[Line] = []
        for number in numbers:
            if self._last.get(number, end) < start or key not in self._writers.get(number, (key,)):
                continue
            seen = self._seen(number)
            place = seen.places.get(key)
            if place is not None:
                out += [(said.at, said.text) for said in self._of_tick(seen, place, start, end)]
        out.sort(key=lambda line: line[0])
        return out

    def _of_window(self, numbers: range, until: int) -> _Window:
        found = self._window
        if found is None or found.of != (numbers, until):
            places = [{at: key for key, at in self._seen(number).places.items()} for number in numbers]
            found = self._window = _Window((numbers, until), self.of_ticks(numbers), places)
        return found

    def of_ticks(self, numbers: Sequence[int], share: float = 1.0) -> Told:
        """All lines about the requests of some ticks, whoever wrote them and whenever: those of `lines`.

        Args:
            numbers: of the ticks.
            share: of the traces of which lines about what went well are told, as `traces.Sampling` has it.
        """
        window = (0, self._requests.until * _MS)
        gathered = Gathered(self._names, self._describer, self._requests.seed)
        for number in numbers:
            seen = self._seen(number)
            tick, rows = seen.tick, seen.tick.rows
            gathered.begin(tick)
            found = _Chosen.of(seen.served, sorted(seen.served))
            if found is not None and share < 1.0:
                found = self._thinned(tick, found, share)
            if found is not None:
                gathered.served(_heard(tick, found, rows.server_start, rows.server_duration, window))
            found = _Chosen.of(seen.called, sorted(seen.called))
            if found is not None:
                gathered.called(_heard(tick, found, rows.start, rows.duration, window))
            found = _Chosen.of(seen.refused, sorted(seen.refused))
            if found is not None:
                gathered.refused(_heard(tick, found, rows.start, 200, window))
        return gathered.told()

    def _of_tick(self, seen: _Seen, place: int, start: int, end: int) -> Iterator[Said]:
        rows, tick = seen.tick.rows, seen.tick
        window = (start, end)
        found = _Chosen.of(seen.served, (place,))
        if found is not None:
            heard = _heard(tick, found, rows.server_start, rows.server_duration, window)
            service = tick.pods[place].service
            for operation, kind, one in self._asked(tick, heard):
                told = one.told(server=True) if kind else routine(self._names, service, operation, one)
                for number, text in enumerate(told):
                    yield Said(one.at + number * BETWEEN_NS, text)
        found = _Chosen.of(seen.called, (place,))
        if found is not None:
            for _, _, one in self._asked(tick, _heard(tick, found, rows.start, rows.duration, window)):
                for number, text in enumerate(one.told(server=False)):
                    yield Said(one.at + number * BETWEEN_NS, text)
        found = _Chosen.of(seen.refused, (place,))
        if found is not None:
            for _, _, one in self._asked(tick, _heard(tick, found, rows.start, 200, window)):
                for text in one.refusal():
                    yield Said(one.at, text)

    def _thinned(self, tick: Tick, chosen: _Chosen, share: float) -> _Chosen:
        rows = chosen.rows
        high, _ = ids.traces(self._requests.seed, tick.number, tick.rows.root[rows])
        kept = np.flatnonzero(ids.sampled(high, share) | (tick.rows.server_kind[rows] != 0))
        return _Chosen(chosen.places[kept], rows[kept])

    def _asked(self, tick: Tick, heard: Heard) -> Iterator[tuple[int, int, Wording]]:
        return words_of(self._names, self._describer, self._requests.seed, tick, heard)

    def _seen(self, number: int) -> _Seen:
        found = self._ticks.get(number)
        if found is not None:
            self._ticks.move_to_end(number)
            return found
        tick = self._requests.tick(number)
        found = self._ticks[number] = _look(self._names, tick)
        if len(self._ticks) > _KEPT_TICKS:
            self._ticks.popitem(last=False)
        if len(self._last) > _KNOWN_TICKS:
            self._last.clear()
            self._writers.clear()
        writing = {*found.served, *found.called, *found.refused}
        self._writers[number] = frozenset(key for key, place in found.places.items() if place in writing)
        rows = tick.rows
        latest = 0
        if len(rows.start):
            ends = np.maximum(rows.start + rows.duration, rows.server_start + rows.server_duration)
            latest = min(int(ends.max()), (tick.length + _LAG_MS) * 1000)
        self._last[number] = (tick.start + 1) * _MS + latest * 1000
        return found


def _heard(tick: Tick, chosen: _Chosen, first: Ints, length: Ints | int, window: tuple[int, int]) -> Heard:
    """Those rows that are told within a window (ns)."""
    rows = chosen.rows
    ends = first[rows] + (length if isinstance(length, int) else length[rows])
    latest = (tick.length + _LAG_MS) * 1000 - 1
    moments = tick.start * _MS + np.minimum(ends, latest) * 1000 + rows * 7919 % 900
    inside = np.flatnonzero((moments >= window[0]) & (moments < window[1]))
    return Heard(chosen.places[inside], rows[inside], moments[inside])


def _look(names: Names, tick: Tick) -> _Seen:
    """Which rows make which pods write: programs that say nothing about a row are left out."""
    rows = tick.rows
    talks = np.array([_talks(item) for item in names.services] or [(False,) * 4], np.bool_)
    extra = np.array([bool(item.logs) for item in names.operations] or [False])
    services = np.array([item.service for item in names.operations] or [0], np.int64)
    pods = np.array([pod.service for pod in tick.pods] or [0], np.int64)
    arrived = rows.arrived.astype(np.bool_)
    callee, caller = services[rows.op], pods[rows.source]
    good, bad = arrived & (rows.server_kind == 0), arrived & (rows.server_kind != 0)
    served = (good & (talks[callee, _GOOD] | extra[rows.op])) | (bad & talks[callee, _BAD])
    # what a failed call makes fail is told by the operation that failed
    harmless = (rows.kind != 0) & (rows.parent >= 0) & talks[caller, _CALL]
    refused = (rows.kind != 0) & (rows.pod >= 0) & ~arrived & talks[callee, _REFUSAL]
    if len(rows.kind):
        harmless &= rows.server_kind[np.maximum(rows.parent, 0)] == 0
    return _Seen(
        tick,
        _grouped(rows.pod, np.flatnonzero(served)),
        _grouped(rows.source, np.flatnonzero(harmless)),
        _grouped(rows.pod, np.flatnonzero(refused)),
        {(pod.uid, pod.container, pod.attempt): number for number, pod in enumerate(tick.pods)},
    )


_GOOD, _BAD, _CALL, _REFUSAL = range(4)


def _talks(service: Service) -> tuple[bool, bool, bool, bool]:
    """Whether a program writes about what goes well, what fails, calls that fail, and whom it turns away."""
    style = style_of(service.framework, service.language)
    refusals = (service.database or service.framework) in styles.tables()["refusals"]
    return style.access is not None, style.failed is not None, style.call is not None, refusals


def _grouped(pods: NDArray[Any], rows: NDArray[Any]) -> dict[int, NDArray[Any]]:
    if not len(rows):
        return {}
    order = rows[np.argsort(pods[rows], kind="stable")]
    owners, first = np.unique(pods[order], return_index=True)
    return dict(zip(owners.tolist(), np.split(order, first[1:]), strict=True))
