"""A store of series as somebody sees it who gets fewer of them, or fewer samples of each.

Only scrapes and evaluations whose turn it is are there: with an interval of 60 s every fourth of those that
are made every 15 s, at the moments at which they were made. So queries answer what a Prometheus would that
scrapes less often, with its gaps in short windows and its late notice of what has ended.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firedrill.world.telemetry import SeriesStore
from firedrill.world.telemetry.loose import Loose
from firedrill.world.telemetry.store import NEVER

Ints = NDArray[np.int64]


class Less(SeriesStore):
    """What is left of another store, with which it shares everything; to be read at once, and only."""

    hidden: Collection[str]
    every: int
    left: list[int]
    thinned: dict[int, tuple[tuple[int, int], Loose]]

    def numbers(self, name: str | None) -> Any:
        """The numbers of all series of a metric, or of all."""
        return self.left if name is None else super().numbers(name)

    def spans(self, rows: Ints) -> tuple[Ints, Ints, Ints]:
        """Offset in ms, first slot and end slot of rows, in slots of the longer interval."""
        offset, born, dead = super().spans(rows)
        ends = np.where(dead == NEVER, NEVER, -(-dead // self.every))
        return offset, -(-born // self.every), ends

    def cells(self, rows: Ints, slots: Ints, wanted: NDArray[np.bool_] | None = None) -> Any:
        """One value of each row."""
        return super().cells(rows, slots * self.every, wanted)

    def gather(self, rows: Ints, first: int, end: int) -> Any:
        """The values of rows in some of the longer slots."""
        if end <= first or self.every == 1:
            return super().gather(rows, first, end)
        whole = super().gather(rows, first * self.every, (end - 1) * self.every + 1)
        return np.ascontiguousarray(whole[:, :: self.every])

    def loose(self, number: int) -> Loose | None:
        """The samples of a series that is not scraped: the first of each interval."""
        whole = super().loose(number)
        if whole is None or self.every == 1 or not len(whole):
            return whole
        key = (int(whole.times[-1]), len(whole.ends))
        known = self.thinned.get(number)
        if known is None or known[0] != key:
            known = self.thinned[number] = (key, _first_of_each(whole, self.interval_ms))
        return known[1]


def _first_of_each(whole: Loose, interval_ms: int) -> Loose:
    slots = whole.times // interval_ms
    kept = np.flatnonzero(np.concatenate([[True], slots[1:] != slots[:-1]]))
    out, ends = Loose(), list(whole.ends)
    # samples and markers in the order in which they came: a marker ends what is before it
    for place in kept.tolist():
        at = int(whole.times[place])
        while ends and ends[0] < at:
            out.end(ends.pop(0))
        out.append(at, float(whole.values[place]))
    for end in ends:
        out.end(end)
    return out


def less(
    store: SeriesStore, last: Less | None = None, *, hidden: Collection[str] = (), every_ms: int = 0
) -> Less:
    """What is left of a store without some metrics, and with one sample of each in so much time.

    Args:
        store: the whole.
        last: what was made so of the same store before, whose indexes may still be good.
        hidden: names of metrics.
        every_ms: a multiple of the store's interval; 0 leaves all samples there.
    """
    made: Less = Less.__new__(Less)
    made.__dict__.update(store.__dict__)
    made.hidden, made.every = hidden, max(1, every_ms // store.interval_ms)
    made.interval_ms = store.interval_ms * made.every
    made.floor = -(-store.floor // made.every)
    made._names = {name: numbers for name, numbers in store._names.items() if name not in hidden}
    gone = {number for name in hidden for number in store._names.get(name, ())}
    made.left = [number for number in store.numbers(None) if number not in gone]
    made.indexes = last.indexes if last is not None else {}
    made._selections = last._selections if last is not None else {}
    made.thinned = last.thinned if last is not None else {}
    return made


__all__ = ["Less", "less"]
