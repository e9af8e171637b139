"""The newest samples of the series of a selection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from firedrill.world.telemetry.selection import FAR, Bools, Floats, Ints, Rows, Selection

if TYPE_CHECKING:
    from firedrill.world.telemetry.store import SeriesStore


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest sample of each series at a moment: value, whether there is any (None: always), and time."""

    values: Floats
    there: Bools | None
    times: Ints


def newest(store: SeriesStore, chosen: Selection, at_ms: int, lookback_ms: int, *, left_open: bool) -> Newest:
    """The newest samples of the scraped series of a selection that are not too old."""
    if len(chosen.single.rows) == len(chosen):
        every = _of_all(store, chosen.single, at_ms, lookback_ms)
        if every is not None:
            return every
    single = _newest(store, chosen.single, at_ms, lookback_ms, left_open=left_open)
    if len(chosen.single.rows) == len(chosen):
        return single
    count = len(chosen)
    assert single.there is not None
    values, there, times = np.zeros(count), np.zeros(count, bool), np.zeros(count, np.int64)
    where = chosen.single.positions
    values[where], there[where], times[where] = single.values, single.there, single.times
    if len(chosen.joint.rows):
        every = _newest(store, chosen.joint, at_ms, lookback_ms, left_open=left_open)
        assert every.there is not None
        begun = every.times >= chosen.joint.born * store.interval_ms + chosen.joint.offset
        latest = np.full(len(chosen.joint.positions), -FAR, np.int64)
        np.maximum.at(latest, chosen.owner[begun], every.times[begun])
        last = np.flatnonzero(begun & (every.times == latest[chosen.owner]))
        where = chosen.joint.positions[chosen.owner[last]]
        values[where], there[where], times[where] = every.values[last], every.there[last], every.times[last]
    return Newest(values, there, times)


def _of_all(store: SeriesStore, rows: Rows, at_ms: int, lookback_ms: int) -> Newest | None:
    """The newest samples where all rows that go on have one, and the others have ended before.

    None where that is not so.
    """
    going, interval = rows.going, store.interval_ms
    if going is None or (going.ended + 1) * interval > at_ms:
        return None
    times = going.times
    slots = (min(at_ms, store.until_ms) - times.offset) // interval
    least = int(slots.min())
    if least < max(times.last, store.floor) or least * interval <= at_ms - lookback_ms:
        return None
    slot, moments = slots[times.codes], (slots * interval + times.offset)[times.codes]
    found = store.cells(going.rows, slot)
    if going.places is None:
        return Newest(found, None, moments)
    count = len(rows.rows)
    values, there, when = np.zeros(count), np.zeros(count, bool), np.zeros(count, np.int64)
    values[going.places], there[going.places], when[going.places] = found, True, moments
    return Newest(values, there, when)


def _newest(store: SeriesStore, rows: Rows, at_ms: int, lookback_ms: int, *, left_open: bool) -> Newest:
    interval, offset = store.interval_ms, rows.offset
    slot = np.minimum((min(at_ms, store.until_ms) - offset) // interval, rows.dead - 1)
    times = slot * interval + offset
    oldest = at_ms - lookback_ms
    there = times > oldest if left_open else times >= oldest
    there &= slot >= np.maximum(rows.born, store.floor)
    ended = slot == rows.dead - 1
    if bool(ended.any()):
        there &= ~(ended & (times + interval <= at_ms))
    return Newest(store.cells(rows.rows, slot, there), there, times)
