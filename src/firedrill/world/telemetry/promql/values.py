"""What expressions give while they are evaluated: all series at all steps at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from firedrill.world.telemetry.labels import LabelSets
from firedrill.world.telemetry.promql.errors import PromQLError, TooMuch
from firedrill.world.telemetry.promql.options import Options

if TYPE_CHECKING:
    from firedrill.world.telemetry.promql.hints import Hints
    from firedrill.world.telemetry.store import SeriesStore

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(slots=True)
class Context:
    """One evaluation.

    Attributes:
        steps: the moments in ms, rising.
        start, end: of the whole query, for `@ start()` and `@ end()`.
        memo: results of parts that several expressions share.
        hints: remarks on the query, where anybody wants them.
        spent: cells worked on until now, in a list that inner evaluations share.
    """

    store: SeriesStore
    steps: Ints
    start: int
    end: int
    options: Options
    memo: dict[Any, Any] = field(default_factory=dict)
    spent: list[int] = field(default_factory=lambda: [0])
    hints: Hints | None = None

    def charge(self, cells: int) -> None:
        """Count cells.

        Raises:
            TooMuch: the query works on more than it may.
        """
        self.spent[0] += cells
        if self.spent[0] > self.options.most_cells:
            raise TooMuch("query processing would load too many samples into memory in query execution")

    def at(self, steps: Ints) -> Context:
        """The same query at other moments."""
        return Context(self.store, steps, self.start, self.end, self.options, {}, self.spent, self.hints)


@dataclass(frozen=True, slots=True)
class Vec:
    """An instant vector at each step.

    Attributes:
        labels: of n series.
        values: n x steps.
        present: where there is an element; None where everywhere.
    """

    labels: LabelSets
    values: Floats
    present: Bools | None

    def there(self) -> Bools:
        """The mask of elements, whole."""
        return np.ones(self.values.shape, bool) if self.present is None else self.present

    def nameless(self) -> Vec:
        """The same without the metrics' names."""
        return settle(Vec(self.labels.without_name(), self.values, self.present))


Value = Vec | Floats | str
"""A vector, a scalar (one number for each step), or a string."""

SAME_LABELS = "vector cannot contain metrics with the same labelset"


def empty(steps: int) -> Vec:
    """A vector without elements."""
    return Vec(_NONE, np.empty((0, steps)), None)


_NONE = LabelSets([])


def settle(vector: Vec, *, ever: bool = False) -> Vec:
    """Rows with equal labels become one.

    Args:
        vector: any vector.
        ever: whether they may not even have elements at different steps.

    Raises:
        PromQLError: two of them have an element at the same step.
    """
    codes = vector.labels.duplicated()
    if codes is None:
        return vector
    there = vector.there()
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(codes[order]) > 0])
    count = np.add.reduceat(there[order].astype(np.int64), starts, axis=0)
    if ever:
        count = np.add.reduceat(there[order].any(axis=1).astype(np.int64), starts, axis=0)
    if bool((count > 1).any()):
        raise PromQLError(SAME_LABELS)
    kept = np.where(there, vector.values, 0.0)[order]
    values = np.add.reduceat(kept, starts, axis=0)
    present = np.logical_or.reduceat(there[order], starts, axis=0)
    labels: LabelSets | None = vector.labels.kept("settled")
    if labels is None:
        labels = vector.labels.keep("settled", vector.labels.take(order[starts]))
    return Vec(labels, values, present)


def narrow(vector: Vec) -> Vec:
    """The vector without the rows that have no element at all."""
    if vector.present is None:
        return vector
    rows = vector.present.any(axis=1)
    if bool(rows.all()):
        return vector
    kept = np.flatnonzero(rows)
    return Vec(vector.labels.take(kept), vector.values[kept], vector.present[kept])
