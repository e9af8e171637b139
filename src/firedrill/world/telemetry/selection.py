"""Which series a selector means, and their samples in a window as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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


@dataclass(frozen=True, slots=True)
class Selection:
    """The series of a selector.

    Attributes:
        labels: of each series.
        numbers: of each series, in the store.
        plain: positions of the series that consist of one row of chunks.
        rows: those rows.
        offset, born, dead: of those rows, in ms and slots; a selection holds while none of it changes.
        mixed: positions of all others (rows that followed each other, samples that were not scraped).
    """

    labels: LabelSets
    numbers: tuple[int, ...]
    plain: Ints
    rows: Ints
    offset: Ints
    born: Ints
    dead: Ints
    mixed: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.numbers)


def choose(store: SeriesStore, name: str | None, matchers: tuple[Matcher, ...]) -> Selection:
    """Look for the series of a metric (any, for None) that fit.

    Raises:
        ValueError: an expression of a matcher is none.
    """
    found = list(store.numbers(name))
    for matcher in matchers:
        test, key = matcher.test(), matcher.name
        known: dict[str, bool] = {}
        kept = []
        for number in found:
            value = next((text for label, text in store.labels(number) if label == key), "")
            fits = known.get(value)
            if fits is None:
                fits = known[value] = test(value)
            if fits:
                kept.append(number)
        found = kept
    found.sort(key=store.labels)
    plain, rows, mixed = [], [], []
    for position, number in enumerate(found):
        mine = store.rows(number)
        if len(mine) == 1 and store.loose(number) is None:
            plain.append(position)
            rows.append(mine[0])
        else:
            mixed.append(position)
    labels = LabelSets([store.labels(number) for number in found])
    places = np.array(rows, np.int64)
    spans = store.spans(places)
    return Selection(labels, tuple(found), np.array(plain, np.int64), places, *spans, tuple(mixed))


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

    def alike(self, steps: int) -> tuple[Ints | None, Ints]:
        """Which rows have their samples at the same times, so that windows are worked out once for all.

        Returns:
            For each row its class, and one row of each class. None for the classes: each row is its own,
            as where there are too few steps to gain anything.
        """
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


def _pick(array: NDArray[Any], index: Ints) -> NDArray[Any]:
    rows, width = array.shape
    flat = np.clip(index, 0, max(width - 1, 0))
    flat += np.arange(rows, dtype=np.int64)[:, None] * width
    # all are inside, and this mode spares the check
    return np.take(array.ravel(), flat, mode="clip")


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest sample of each series at a moment: values, whether there is any, times in ms."""

    values: Floats
    there: Bools
    times: Ints


def newest(store: SeriesStore, chosen: Selection, at_ms: int, lookback_ms: int, *, left_open: bool) -> Newest:
    """The newest samples of the rows of a selection (its `plain` part) that are not too old."""
    interval, offset = store.interval_ms, chosen.offset
    slot = np.minimum((min(at_ms, store.until_ms) - offset) // interval, chosen.dead - 1)
    times = slot * interval + offset
    oldest = at_ms - lookback_ms
    there = times > oldest if left_open else times >= oldest
    there &= slot >= np.maximum(chosen.born, store.floor)
    ended = slot == chosen.dead - 1
    if bool(ended.any()):
        there &= ~(ended & (times + interval <= at_ms))
    return Newest(store.cells(chosen.rows, slot, there), there, times)


def load(store: SeriesStore, chosen: Selection, start_ms: int, end_ms: int) -> list[Samples]:
    """The samples of a selection between two times (both included), in at most two pieces."""
    out = []
    if len(chosen.rows):
        piece = _regular(store, chosen, start_ms, end_ms)
        if piece is not None:
            out.append(piece)
    if chosen.mixed:
        piece = _irregular(store, chosen, start_ms, end_ms)
        if piece is not None:
            out.append(piece)
    return out


def _regular(store: SeriesStore, chosen: Selection, start_ms: int, end_ms: int) -> Samples | None:
    interval = store.interval_ms
    offset = chosen.offset
    born = np.maximum(chosen.born, store.floor)
    end = np.maximum(np.minimum(chosen.dead, (store.until_ms - offset) // interval + 1), born)
    first = max((start_ms - interval) // interval + 1, int(born.min()))
    first = max(first - 1, int(born.min()))
    last = min(end_ms // interval + 1, int(end.max()))
    if last <= first:
        return None
    values = store.gather(chosen.rows, first, last)
    low, high = np.clip(born - first, 0, last - first), np.clip(end - first, 0, last - first)
    ends = np.where(chosen.dead == FAR, FAR, chosen.dead * interval + offset)
    return Samples(chosen.plain, values, low, high, ends, first, interval, offset)


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
        offset, born, end = store.lives(index)
        first, last = int(born[0]), int(end[0])
        if last > first:
            slots = np.arange(first, last, dtype=np.int64)
            times.append(slots * store.interval_ms + int(offset[0]))
            values.append(store.gather(index, first, last)[0])
        ended = int(store.ends(index)[0])
        if ended < FAR:
            marks.append(ended)
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
    if len(chosen.rows):
        offset, born, end = store.lives(chosen.rows)
        first = np.maximum(born, -((offset - start_ms) // store.interval_ms))
        last = np.minimum(end - 1, (end_ms - offset) // store.interval_ms)
        there[chosen.plain] = last >= first
    for position in chosen.mixed:
        times, _, _ = one_series(store, chosen.numbers[position])
        there[position] = np.searchsorted(times, start_ms) < np.searchsorted(times, end_ms, "right")
    return [chosen.labels.items[position] for position in np.flatnonzero(there).tolist()]
