"""Queries over a store of series, as Prometheus answers them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from firedrill.world.telemetry.labels import Labels
from firedrill.world.telemetry.promql.errors import BadQuery
from firedrill.world.telemetry.promql.evaluate import evaluate, range_of
from firedrill.world.telemetry.promql.hints import Hints
from firedrill.world.telemetry.promql.nodes import TYPE_NAMES, Matrix, Node, Subquery, bare
from firedrill.world.telemetry.promql.options import DEFAULT, Options
from firedrill.world.telemetry.promql.parser import parse as parse_text
from firedrill.world.telemetry.promql.typing_rules import type_of
from firedrill.world.telemetry.promql.values import Bools, Context, Floats, Ints, Value, Vec, settle

if TYPE_CHECKING:
    from firedrill.world.telemetry.store import SeriesStore

MOST_STEPS = 11_000
"""Steps of a range query at most."""


@dataclass(frozen=True, slots=True)
class Vector:
    """Elements at one moment.

    Attributes:
        labels: of each element.
        values: of each element.
        at_ms: the moment.
    """

    labels: tuple[Labels, ...]
    values: Floats
    at_ms: int


@dataclass(frozen=True, slots=True)
class Series:
    """Samples of one series: times in ms and values."""

    labels: Labels
    times: Ints
    values: Floats


@dataclass(frozen=True, slots=True)
class Ranges:
    """Series over time, in order of their labels."""

    series: tuple[Series, ...]


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number at a moment."""

    value: float
    at_ms: int


@dataclass(frozen=True, slots=True)
class Text:
    """A string at a moment."""

    value: str
    at_ms: int


Answer = Vector | Ranges | Scalar | Text


@lru_cache(maxsize=4096)
def parse(text: str) -> Node:
    """The expression of a text; the same text gives the same tree.

    Raises:
        ParseError: it is none.
    """
    return parse_text(text)


def instant(
    store: SeriesStore,
    query: str | Node,
    at_ms: int,
    options: Options = DEFAULT,
    memo: dict[Any, Any] | None = None,
    hints: Hints | None = None,
) -> Answer:
    """The value of an expression at one moment.

    Args:
        store: whose series.
        query: a text or a tree.
        at_ms: the moment.
        options: how it is answered.
        memo: what queries at this very moment, of this very store, have in common is kept here.
        hints: takes remarks on the query.

    Raises:
        PromQLError: the text is no expression, or cannot be evaluated.
    """
    node = parse(query) if isinstance(query, str) else query
    inner = bare(node)
    context = Context(store, np.array([at_ms], np.int64), at_ms, at_ms, options)
    context.hints = hints
    if memo is not None:
        context.memo = memo
    if isinstance(inner, Matrix | Subquery):
        return _raw(inner, context)
    return _at_one_moment(evaluate(node, context), at_ms)


def _at_one_moment(value: Value, at_ms: int) -> Answer:
    if isinstance(value, str):
        return Text(value, at_ms)
    if isinstance(value, Vec):
        vector = settle(value)
        if vector.present is None:
            return Vector(vector.labels.items, vector.values[:, 0], at_ms)
        rows = vector.present[:, 0].nonzero()[0]
        if not len(rows):
            return Vector((), np.empty(0), at_ms)
        labels = tuple(vector.labels.items[row] for row in rows.tolist())
        return Vector(labels, vector.values[rows, 0], at_ms)
    return Scalar(float(value[0]), at_ms)


def _raw(node: Matrix | Subquery, context: Context) -> Ranges:
    labels, pieces, starts, stops, _ = range_of(node, context)
    found: list[Series] = []
    for piece in pieces:
        low, high = piece.bounds(starts, stops, left_open=context.options.left_open)
        for row, position in enumerate(piece.positions.tolist()):
            index = np.arange(int(low[row, 0]), int(high[row, 0]))
            if not len(index):
                continue
            if piece.offset is not None:
                times = (index + piece.first) * piece.interval + int(piece.offset[row])
            else:
                assert piece.times is not None
                times = piece.times[row, index]
            found.append(Series(labels.items[position], times, piece.values[row, index]))
    return Ranges(tuple(sorted(found, key=lambda series: series.labels)))


def steps_of(start_ms: int, end_ms: int, step_ms: int) -> Ints:
    """The moments of a range query.

    Raises:
        BadQuery: there are too many, or none.
    """
    if step_ms <= 0:
        raise BadQuery(
            "zero or negative query resolution step widths are not accepted. Try a positive integer"
        )
    if end_ms < start_ms:
        raise BadQuery("end timestamp must not be before start time")
    if (end_ms - start_ms) // step_ms > MOST_STEPS:
        raise BadQuery(
            "exceeded maximum resolution of 11,000 points per timeseries. "
            "Try decreasing the query resolution (?step=XX)"
        )
    return np.arange(start_ms, end_ms + 1, step_ms, dtype=np.int64)


def over_range(
    store: SeriesStore,
    query: str | Node,
    start_ms: int,
    end_ms: int,
    step_ms: int,
    options: Options = DEFAULT,
    hints: Hints | None = None,
) -> Ranges:
    """The value of an expression at many moments.

    Raises:
        PromQLError: the text is no expression, gives neither numbers nor a vector, or cannot be evaluated.
    """
    node = parse(query) if isinstance(query, str) else query
    steps = steps_of(start_ms, end_ms, step_ms)
    kind = type_of(node)
    if kind not in {"scalar", "vector"}:
        raise BadQuery(
            f'invalid expression type "{TYPE_NAMES[kind]}" for range query, must be Scalar or instant Vector'
        )
    value = evaluate(node, Context(store, steps, int(steps[0]), end_ms, options, hints=hints))
    if isinstance(value, Vec):
        return _series(settle(value), steps)
    assert isinstance(value, np.ndarray)
    return Ranges((Series((), steps, value),))


def _series(vector: Vec, steps: Ints) -> Ranges:
    order = vector.labels.kept("order")
    if order is None:
        items = vector.labels.items
        order = vector.labels.keep("order", sorted(range(len(items)), key=items.__getitem__))
    out, present = [], vector.present
    # most rows are there at the same steps
    known: dict[bytes, tuple[slice | Ints, Ints]] = {}
    for row in order:
        labels, values = vector.labels.items[row], vector.values[row]
        if present is None:
            out.append(Series(labels, steps, values))
            continue
        mask = present[row]
        key = mask.tobytes()
        found = known.get(key)
        if found is None:
            found = known[key] = _where(mask, steps)
        there, times = found
        if len(times):
            out.append(Series(labels, times, values[there]))
    return Ranges(tuple(out))


def _where(mask: Bools, steps: Ints) -> tuple[slice | Ints, Ints]:
    """Where a mask holds (a slice if it holds without gaps), and the steps of these places."""
    index = np.flatnonzero(mask)
    if len(index) and len(index) == index[-1] - index[0] + 1:
        run = slice(int(index[0]), int(index[-1]) + 1)
        return run, steps[run]
    return index, steps[index]
