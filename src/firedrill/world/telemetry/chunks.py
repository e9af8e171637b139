"""Samples of many rows in some slots, once they change no longer."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_WORTH_IT = 0.75


class Chunk(NamedTuple):
    """Rows of samples.

    Attributes:
        rows: which rows these are, rising; None for all from the first on.
        data: rows x slots.
    """

    rows: Ints | None
    data: Floats

    def read(self, rows: Ints, low: int, high: int, into: Floats) -> None:
        """Copy some slots of some rows; what the chunk has not is left as it is."""
        columns = self.data[:, low:high]
        if self.rows is None:
            if len(rows) and int(rows.max()) < len(columns):
                into[:] = columns[_run(rows)]
                return
            there = rows < len(columns)
            into[there] = columns[rows[there]]
            return
        places, there = self._places(rows)
        into[there] = columns[places[there]]

    def cells(self, rows: Ints, slots: Ints) -> Floats:
        """One value of each row; of rows that the chunk has not it means nothing."""
        if self.rows is None:
            places = np.minimum(rows, len(self.data) - 1)
        else:
            places, _ = self._places(rows)
        return self.data[places, slots]

    def _places(self, rows: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        assert self.rows is not None
        places = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        return places, self.rows[places] == rows


def _run(rows: Ints) -> Ints | slice:
    """Rows that follow each other are read faster as a slice."""
    if len(rows) == rows[-1] - rows[0] + 1 and bool((np.diff(rows) == 1).all()):
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def sealed(data: Floats, alive: Ints) -> Chunk:
    """A copy of the rows that had a life in these slots, or of all if that is not much more."""
    if len(alive) > _WORTH_IT * len(data) or not len(alive):
        return Chunk(None, data.copy())
    return Chunk(alive, data[alive])
