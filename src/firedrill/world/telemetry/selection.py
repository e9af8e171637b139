"""Which series a selector means, and their samples in a window as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from firedrill.world.telemetry.labels import NAME, Labels, LabelSets
from firedrill.world.telemetry.matching import Matcher

if TYPE_CHECKING:
    from firedrill.world.telemetry.store import SeriesStore

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
FAR = 1 << 60
_FEW = 8
_BIG = 1 << 44
"""Apart as far as the times of two rows are put when all are searched at once: 500 years in ms."""


class Times(NamedTuple):
    """When rows are scraped that all go on.

    Attributes:
        codes, picks: classes by offset, and a row of each.
        offset: of each class.
        first, last: slots in which the oldest and the youngest of them were born.
    """

    codes: Ints
    picks: Ints
    offset: Ints
    first: int
    last: int


class Going(NamedTuple):
    """The rows that go on, where some do.

    Attributes:
        places: of them among all rows; None where all of them go on.
        rows: their numbers.
        times: when they are scraped.
        ended: the slot in which the last of the others ended; -1 where there are no others.
    """

    places: Ints | None
    rows: Ints
    times: Times
    ended: int


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of chunks with their lives, which do not change while a selection holds.

    Attributes:
        positions: of their series in the selection, each once.
        rows: numbers of the rows.
        offset, born, dead: in ms and slots (`FAR` where a row goes on).
        going: those that go on; None where none does.
    """

    positions: Ints
    rows: Ints
    offset: Ints
    born: Ints
    dead: Ints
    going: Going | None = None

    @property
    def times(self) -> Times | None:
        """When they are scraped, where all go on."""
        return self.going.times if self.going is not None and self.going.places is None else None

    def lives(self, store: SeriesStore) -> tuple[Ints, Ints]:
        """First slot and end slot (not included) of each row, as kept and as scraped until now."""
        born = np.maximum(self.born, store.floor)
        end = np.minimum(self.dead, (store.until_ms - self.offset) // store.interval_ms + 1)
        return born, np.maximum(end, born)


@dataclass(frozen=True, slots=True)
class Selection:
    """The series of a selector.

    Attributes:
        labels: of each series.
        numbers: of each series, in the store.
        single: positions of the series that consist of one row of chunks, and those rows.
        joint: positions of the series of several rows that followed each other, and all those rows.
        owner: for each of the latter rows the place of its series in `joint`.
        mixed: positions of all others (samples that were not scraped, rows of different targets).
    """

    labels: LabelSets
    numbers: tuple[int, ...]
    single: Rows
    joint: Rows
    owner: Ints
    mixed: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.numbers)


def matching(
    store: SeriesStore, name: str | None, matchers: tuple[Matcher, ...]
) -> tuple[tuple[int, ...], LabelSets]:
    """The series of a metric (any, for None) that fit, in order of their labels.

    Raises:
        ValueError: an expression of a matcher is none.
    """
    index = _index(store, name) if matchers else {}
    found = list(store.numbers(name))
    for matcher in matchers:
        test, values = matcher.test(), index.get(matcher.name, {})
        fitting = [number for value, numbers in values.items() if test(value) for number in numbers]
        if test(""):
            labelled = {number for numbers in values.values() for number in numbers}.difference(fitting)
            found = [number for number in found if number not in labelled]
        elif len(fitting) < len(found):
            every = frozenset(found)
            found = [number for number in fitting if number in every]
        else:
            every = frozenset(fitting)
            found = [number for number in found if number in every]
    found.sort(key=store.labels)
    return tuple(found), LabelSets([store.labels(number) for number in found])


def _index(store: SeriesStore, name: str | None) -> dict[str, dict[str, list[int]]]:
    """For each label and value the series of a metric (of any, for None) that have it."""
    count, index = store.indexes.get(name, (-1, {}))
    if count != len(store.numbers(name)):
        index = {}
        for number in store.numbers(name):
            for label, value in store.labels(number):
                index.setdefault(label, {}).setdefault(value, []).append(number)
        store.indexes[name] = (len(store.numbers(name)), index)
    return index


def choose(store: SeriesStore, numbers: tuple[int, ...], labels: LabelSets) -> Selection:
    """Where the samples of these series are."""
    single, rows = list[int](), list[int]()
    joint, more, owner, mixed = list[int](), list[int](), list[int](), list[int]()
    for position, number in enumerate(numbers):
        mine = store.rows(number)
        if store.loose(number) is not None or not mine:
            mixed.append(position)
        elif len(mine) == 1:
            single.append(position)
            rows.append(mine[0])
        elif store.one_offset(mine):
            owner += [len(joint)] * len(mine)
            joint.append(position)
            more += mine
        else:
            mixed.append(position)
    return Selection(
        labels,
        numbers,
        _rows(store, single, rows),
        _rows(store, joint, more),
        np.array(owner, np.int64),
        tuple(mixed),
    )


def _rows(store: SeriesStore, positions: list[int], rows: list[int]) -> Rows:
    places = np.array(rows, np.int64)
    offset, born, dead = store.spans(places)
    going = None
    on = (dead == FAR).nonzero()[0]
    if len(on):
        whole = len(on) == len(rows)
        apart, picks, codes = np.unique(offset[on], return_index=True, return_inverse=True)
        times = Times(codes, picks, apart, int(born[on].min()), int(born[on].max()))
        ended = -1 if whole else int(dead[dead < FAR].max())
        going = Going(None if whole else on, places if whole else places[on], times, ended)
    return Rows(np.array(positions, np.int64), places, offset, born, dead, going)


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of n series, packed to the left.

    Either regular (`offset` is given: sample k of row r is at `(first + k) * interval + offset[r]`, valid
    for k in `[low, high)`), or with `times` of their own.

    Attributes:
        positions: of the rows in the selection.
        values: n x k.
        low, high: the valid part of each row.
        ends: when the row's last sample ceases to count (n), or each sample (n x k).
        alikes: what `alike` gives, where it is known.
    """

    positions: Ints
    values: Floats
    low: Ints
    high: Ints
    ends: Ints
    first: int = 0
    interval: int = 1
    offset: Ints | None = None
    times: Ints | None = None
    alikes: tuple[Ints, Ints] | None = None

    def alike(self, steps: int) -> tuple[Ints | None, Ints]:
        """Which rows have their samples at the same times, so that windows are worked out once for all.

        Returns:
            For each row its class, and one row of each class. None for the classes: each row is its own,
            as where there are too few steps to gain anything.
        """
        if self.alikes is not None:
            return self.alikes
        count = len(self.low)
        every = np.arange(count, dtype=np.int64)
        if self.offset is None or steps < _FEW or count < _FEW:
            return None, every
        width = self.values.shape[1] + 1
        key = ((self.offset * width + self.low) * width + self.high) * 2 + (self.ends < FAR)
        _, picks, codes = np.unique(key, return_index=True, return_inverse=True)
        return (None, every) if len(picks) * 2 > count else (codes, picks)

    def bounds(
        self, starts: Ints, stops: Ints, *, left_open: bool, rows: Ints | None = None
    ) -> tuple[Ints, Ints]:
        """For each row and window the samples in it, as `[low, high)`; windows are closed on the right.

        Args:
            starts, stops: of the windows, in ms.
            left_open: whether a sample at the very start is outside.
            rows: only these.
        """
        first, last = (self.low, self.high) if rows is None else (self.low[rows], self.high[rows])
        if self.offset is not None:
            offset = (self.offset if rows is None else self.offset[rows])[:, None]
            offset = offset + self.first * self.interval
            if left_open:
                low = (starts[None, :] - offset) // self.interval + 1
            else:
                low = -((offset - starts[None, :]) // self.interval)
            high = (stops[None, :] - offset) // self.interval + 1
        else:
            low = self._search(starts, "right" if left_open else "left")
            high = self._search(stops, "right")
            if rows is not None:
                low, high = low[rows], high[rows]
        np.maximum(low, first[:, None], out=low)
        np.minimum(high, last[:, None], out=high)
        return low, np.maximum(low, high, out=high)

    def _search(self, moments: Ints, side: str) -> Ints:
        times = self.times
        assert times is not None
        apart = np.arange(len(times), dtype=np.int64)[:, None] * _BIG
        flat = (np.minimum(times, _BIG - 1) + apart).ravel()
        asked = np.clip(moments, 0, _BIG - 2)[None, :] + apart
        found = np.searchsorted(flat, asked, side=side)  # type: ignore[call-overload]
        out: Ints = found - np.arange(len(times), dtype=np.int64)[:, None] * times.shape[1]
        return out

    def times_at(self, index: Ints, rows: Ints | None = None) -> Ints:
        """The times in ms of one sample per row and column; an index outside of the row gives anything."""
        if self.offset is not None:
            offset = self.offset if rows is None else self.offset[rows]
            return (index + self.first) * self.interval + offset[:, None]
        assert self.times is not None
        return _pick(self.times if rows is None else self.times[rows], index)

    def values_at(self, index: Ints) -> Floats:
        """The values likewise."""
        return _pick(self.values, index)


def within(index: Ints, last: int) -> Ints:
    """The numbers, those below 0 or above `last` moved there: several times as fast as `numpy.clip`."""
    out: Ints = np.maximum(np.minimum(index, last), 0)
    return out


def _pick(array: NDArray[Any], index: Ints) -> NDArray[Any]:
    rows, width = array.shape
    flat = within(index, max(width - 1, 0))
    flat += np.arange(rows, dtype=np.int64)[:, None] * width
    # all are inside, and this mode spares the check
    return np.take(array.ravel(), flat, mode="clip")


def load(store: SeriesStore, chosen: Selection, start_ms: int, end_ms: int) -> list[Samples]:
    """The samples of a selection between two times (both included), in at most three pieces."""
    pieces = []
    if len(chosen.single.rows):
        pieces.append(_regular(store, chosen.single, start_ms, end_ms))
    if len(chosen.joint.rows):
        pieces.append(_joined(store, chosen, start_ms, end_ms))
    if chosen.mixed:
        pieces.append(_irregular(store, chosen, start_ms, end_ms))
    return [piece for piece in pieces if piece is not None]


def _slots(store: SeriesStore, lives: tuple[Ints, Ints], start_ms: int, end_ms: int) -> tuple[int, int]:
    """The slots in which rows with these lives may have samples between two times."""
    born, end = lives
    first = max(start_ms // store.interval_ms - 1, int(born.min()))
    return first, min(end_ms // store.interval_ms + 1, int(end.max()))


def _regular(store: SeriesStore, rows: Rows, start_ms: int, end_ms: int) -> Samples | None:
    interval, times = store.interval_ms, rows.times
    if times is not None and times.last <= max(start_ms // interval - 1, store.floor):
        # all were there before the window and are there now: what differs is when they are scraped
        until = (store.until_ms - times.offset) // interval + 1
        first = max(start_ms // interval - 1, times.first, store.floor)
        last = min(end_ms // interval + 1, int(until.max()))
        if last <= first:
            return None
        values, count = store.gather(rows.rows, first, last), len(rows.rows)
        high, ends = within(until - first, last - first)[times.codes], np.full(count, FAR)
        alikes = (times.codes, times.picks) if len(times.picks) * 2 <= count else None
        low = np.zeros(count, np.int64)
        return Samples(rows.positions, values, low, high, ends, first, interval, rows.offset, alikes=alikes)
    born, end = rows.lives(store)
    first, last = _slots(store, (born, end), start_ms, end_ms)
    if last <= first:
        return None
    values = store.gather(rows.rows, first, last)
    low, high = within(born - first, last - first), within(end - first, last - first)
    ends = np.where(rows.dead == FAR, FAR, rows.dead * interval + rows.offset)
    return Samples(rows.positions, values, low, high, ends, first, interval, rows.offset)


def _joined(store: SeriesStore, chosen: Selection, start_ms: int, end_ms: int) -> Samples | None:
    """Series of several rows: what all of a series' rows have, one behind the other."""
    rows, owner, interval = chosen.joint, chosen.owner, store.interval_ms
    born, end = rows.lives(store)
    first, last = _slots(store, (born, end), start_ms, end_ms)
    if last <= first:
        return None
    count, width = len(rows.positions), last - first
    line = np.arange(first, last)
    row, column = np.nonzero((line >= born[:, None]) & (line < end[:, None]))
    there = np.zeros((count, width + 1), bool)
    there[owner[row], column] = True
    values = np.zeros((count, width))
    values[owner[row], column] = store.gather(rows.rows, first, last)[row, column]
    ends = np.full((count, width), FAR, np.int64)
    over = np.flatnonzero((rows.dead > first) & (rows.dead <= last))
    # where a sample has the marker's time, the series goes on
    over = over[~there[owner[over], rows.dead[over] - first]]
    ends[owner[over], rows.dead[over] - 1 - first] = rows.dead[over] * interval + rows.offset[over]
    there = there[:, :width]
    order = np.argsort(~there, axis=1, kind="stable")
    lengths = there.sum(axis=1)
    offset = np.zeros(count, np.int64)
    offset[owner] = rows.offset
    valid = np.arange(width) < lengths[:, None]
    times = np.where(valid, (order + first) * interval + offset[:, None], FAR)
    values, ends = np.take_along_axis(values, order, axis=1), np.take_along_axis(ends, order, axis=1)
    zero = np.zeros(count, np.int64)
    return Samples(rows.positions, values, zero, lengths, ends, times=times)


def _irregular(store: SeriesStore, chosen: Selection, start_ms: int, end_ms: int) -> Samples | None:
    found = []
    for position in chosen.mixed:
        times, values, ends = one_series(store, chosen.numbers[position])
        low, high = int(np.searchsorted(times, start_ms)), int(np.searchsorted(times, end_ms, "right"))
        if high > low:
            found.append((position, times[low:high], values[low:high], ends[low:high]))
    if not found:
        return None
    width = max(len(times) for _, times, _, _ in found)
    times_all = np.full((len(found), width), FAR, np.int64)
    values_all = np.zeros((len(found), width))
    ends_all = np.full((len(found), width), FAR, np.int64)
    high_all = np.zeros(len(found), np.int64)
    for row, (_, times, values, ends) in enumerate(found):
        count = len(times)
        times_all[row, :count], values_all[row, :count], ends_all[row, :count] = times, values, ends
        high_all[row] = count
    positions = np.array([position for position, *_ in found], np.int64)
    return Samples(positions, values_all, np.zeros(len(found), np.int64), high_all, ends_all, times=times_all)


def one_series(store: SeriesStore, number: int) -> tuple[Ints, Floats, Ints]:
    """All samples of one series: times, values, and when each ceases to count (`FAR`: never by itself)."""
    times, values, marks = [], [], list[int]()
    for row in store.rows(number):
        index = np.array([row], np.int64)
        life = Rows(index, index, *store.spans(index))
        born, end = (int(slots[0]) for slots in life.lives(store))
        offset, dead = int(life.offset[0]), int(life.dead[0])
        if end > born:
            times.append(np.arange(born, end, dtype=np.int64) * store.interval_ms + offset)
            values.append(store.gather(index, born, end)[0])
        if dead < FAR:
            marks.append(dead * store.interval_ms + offset)
    single = store.loose(number)
    if single is not None:
        times.append(single.times)
        values.append(single.values)
        marks.extend(single.ends)
    if not times:
        return np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64)
    all_times, all_values = np.concatenate(times), np.concatenate(values)
    if len(times) > 1:
        all_times, order = np.unique(all_times, return_index=True)
        all_values = all_values[order]
    ends = np.full(len(all_times), FAR, np.int64)
    for mark in sorted(marks, reverse=True):
        before = int(np.searchsorted(all_times, mark))
        # a marker counts for the sample before it, unless a sample has the same time
        if before and (before == len(all_times) or all_times[before] != mark):
            ends[before - 1] = mark
    return all_times, all_values, ends


def name_matcher(matchers: tuple[Matcher, ...]) -> tuple[str | None, tuple[Matcher, ...]]:
    """Split off the metric's name where one matcher says it outright."""
    for index, matcher in enumerate(matchers):
        if matcher.name == NAME and matcher.op == "=" and matcher.value:
            return matcher.value, (*matchers[:index], *matchers[index + 1 :])
    return None, matchers


def found_samples(
    store: SeriesStore, matchers: tuple[Matcher, ...], start_ms: int, end_ms: int
) -> list[tuple[Labels, Ints, Floats]]:
    """Labels, times and values of the series that have samples between two times (both included)."""
    chosen = store.choose(*name_matcher(matchers))
    out = []
    for labels, number in zip(chosen.labels.items, chosen.numbers, strict=True):
        times, values, _ = one_series(store, number)
        here = slice(int(np.searchsorted(times, start_ms)), int(np.searchsorted(times, end_ms, "right")))
        if here.stop > here.start:
            out.append((labels, times[here], values[here]))
    return out


def found_labels(
    store: SeriesStore, matchers: tuple[Matcher, ...], start_ms: int, end_ms: int
) -> list[Labels]:
    """Labels of the series that have samples between two times (both included)."""
    chosen = store.choose(*name_matcher(matchers))
    there = np.zeros(len(chosen), bool)
    for rows, owner in ((chosen.single, None), (chosen.joint, chosen.owner)):
        born, end = rows.lives(store)
        first = np.maximum(born, -((rows.offset - start_ms) // store.interval_ms))
        last = np.minimum(end - 1, (end_ms - rows.offset) // store.interval_ms)
        some = np.flatnonzero(last >= first)
        there[rows.positions[some if owner is None else owner[some]]] = True
    for position in chosen.mixed:
        times, _, _ = one_series(store, chosen.numbers[position])
        there[position] = np.searchsorted(times, start_ms) < np.searchsorted(times, end_ms, "right")
    return [chosen.labels.items[position] for position in np.flatnonzero(there).tolist()]
