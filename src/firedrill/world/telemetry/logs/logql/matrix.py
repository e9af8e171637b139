"""Results of metric queries: series over steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Labels = tuple[tuple[str, str], ...]


class Matrix(NamedTuple):
    """Series by rows, steps by columns.

    Attributes:
        labels: of each row.
        values: rows x steps.
        present: where there is a value at all.
    """

    labels: tuple[Labels, ...]
    values: NDArray[np.float64]
    present: NDArray[np.bool_]

    def compact(self) -> Matrix:
        """Without the series that have no value at any step."""
        kept = np.flatnonzero(self.present.any(axis=1)) if len(self.labels) else np.zeros(0, np.intp)
        if len(kept) == len(self.labels):
            return self
        return Matrix(tuple(self.labels[row] for row in kept), self.values[kept], self.present[kept])


class Scalar(NamedTuple):
    """The same number at every step."""

    value: float


def empty(steps: int) -> Matrix:
    """No series."""
    return Matrix((), np.zeros((0, steps)), np.zeros((0, steps), np.bool_))


def made(labels: Sequence[Labels], values: NDArray[np.float64], present: NDArray[np.bool_]) -> Matrix:
    """A matrix with rows in order of their labels."""
    order = sorted(range(len(labels)), key=lambda row: labels[row])
    return Matrix(tuple(labels[row] for row in order), values[order], present[order])


def without(labels: Labels, names: frozenset[str]) -> Labels:
    """The labels that are not named."""
    return tuple(pair for pair in labels if pair[0] not in names)


def only(labels: Labels, names: frozenset[str]) -> Labels:
    """The labels that are named."""
    return tuple(pair for pair in labels if pair[0] in names)
