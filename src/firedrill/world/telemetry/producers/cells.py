"""Counters by cell: rows of a store that are found by numbers, and histograms that grow by whole arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from firedrill.world.telemetry.store import SeriesStore

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_SORTED = 64
"""So many times as many cells as keys, and sorting the keys takes less time."""


class Rows:
    """Where the rows of cells begin, remembered until the pods or the series of the store are others.

    What it holds follows from the store: forks make their own.
    """

    __slots__ = ("_mark", "_starts")

    def __init__(self) -> None:
        self._mark: tuple[Any, int, int] | None = None
        self._starts: Ints = np.zeros(0, np.int64)

    def find(
        self, store: SeriesStore, owner: Any, size: int, cells: Ints, block: Callable[[int], int]
    ) -> Ints:
        """The first row of each cell.

        Args:
            store: of the rows.
            owner: what gives the numbers of cells their meaning, such as a topology.
            size: how many numbers there are.
            cells: different ones.
            block: the number of a cell's block; makes it where there is none.
        """
        self._hold(store, owner, size)
        starts = self._starts[cells]
        missing = np.flatnonzero(starts < 0)
        if len(missing):
            for place in missing.tolist():
                block(int(cells[place]))
            self._hold(store, owner, size)  # a block that was made moves the mark
            starts = self._starts[cells]
            for place in np.flatnonzero(starts < 0).tolist():
                starts[place] = store.first_row(block(int(cells[place])))
            self._starts[cells] = starts
        return starts

    def _hold(self, store: SeriesStore, owner: Any, size: int) -> None:
        stamp = store.stamp(None)
        mark = self._mark
        if mark is None or mark[0] is not owner or mark[1] != stamp or mark[2] != size:
            self._mark = (owner, stamp, size)
            self._starts = np.full(size, -1, np.int64)


def distinct(keys: Ints, size: int) -> tuple[Ints, Ints]:
    """What `numpy.unique` gives with `return_inverse`, for whole numbers below a size that is not large."""
    if size > _SORTED * len(keys):
        found, inverse = np.unique(keys, return_inverse=True)
        return found, inverse
    cells = np.bincount(keys, minlength=size).nonzero()[0]
    place = np.zeros(size, np.int64)
    place[cells] = np.arange(len(cells))
    return cells, place[keys]


def growth(bounds: Ints, place: Ints, count: int, duration: Ints, weight: int, unit: float) -> Floats:
    """What some requests add to the histograms of their cells.

    Args:
        bounds: upper ones in µs, rising.
        place: number of the cell of each request.
        count: of cells.
        duration: of each request in µs.
        weight: how many requests each stands for.
        unit: µs in the unit of the sums.

    Returns:
        Cells x (bounds + 3): cumulative counts by bound, all of them (the bucket `+Inf`), sum, all again.
    """
    buckets = len(bounds) + 1
    bucket = np.searchsorted(bounds, duration, side="left")
    spread = np.bincount(place * buckets + bucket, minlength=count * buckets).reshape(count, buckets)
    out = np.empty((count, buckets + 2))
    np.cumsum(spread, axis=1, out=out[:, :buckets])
    out[:, buckets] = np.bincount(place, duration, minlength=count) / unit
    out[:, buckets + 1] = out[:, buckets - 1]
    if weight != 1:
        out *= weight
    return out


__all__ = ["Rows", "distinct", "growth"]
