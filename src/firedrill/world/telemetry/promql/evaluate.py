"""Evaluates expressions: every node at all steps at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from firedrill.world.telemetry import labels as label_sets
from firedrill.world.telemetry.labels import EMPTY, NAME, LabelSets
from firedrill.world.telemetry.newest import newest
from firedrill.world.telemetry.promql import aggregation, binary, changes, functions, windows
from firedrill.world.telemetry.promql.histograms import histogram_quantile
from firedrill.world.telemetry.promql.nodes import (
    Aggregate,
    At,
    Binary,
    Call,
    Matching,
    Matrix,
    Node,
    Number,
    Paren,
    String,
    Subquery,
    Unary,
    Vector,
    bare,
)
from firedrill.world.telemetry.promql.values import (
    Bools,
    Context,
    Floats,
    Ints,
    Value,
    Vec,
    empty,
)
from firedrill.world.telemetry.selection import FAR, Samples, Selection, load, name_matcher, within

_ALONE = LabelSets([EMPTY])


def evaluate(node: Node, context: Context) -> Value:
    """What the expression gives at each step of the context.

    Raises:
        PromQLError: it cannot be evaluated on these series.
    """
    return _EVALUATORS[type(node)](node, context)


def _number(node: Number, context: Context) -> Value:
    steps = len(context.steps)
    return np.array([node.value]) if steps == 1 else np.full(steps, node.value)


def _string(node: String, _: Context) -> Value:
    return node.value


def _paren(node: Paren, context: Context) -> Value:
    return evaluate(node.expr, context)


def _vector_of(node: Node, context: Context) -> Vec:
    value = evaluate(node, context)
    assert isinstance(value, Vec)
    return value


def _scalar(node: Node, context: Context) -> Floats:
    value = evaluate(node, context)
    assert isinstance(value, np.ndarray)
    return value


def _text(node: Node) -> str:
    inner = bare(node)
    assert isinstance(inner, String)
    return inner.value


def _unary(node: Unary, context: Context) -> Value:
    value = evaluate(node.expr, context)
    if node.op == "+":
        return value
    if isinstance(value, Vec):
        return Vec(value.labels, -value.values, value.present).nameless()
    assert isinstance(value, np.ndarray)
    return -value


def _binary(node: Binary, context: Context) -> Value:
    lhs, rhs = evaluate(node.lhs, context), evaluate(node.rhs, context)
    if isinstance(lhs, Vec) and isinstance(rhs, Vec):
        matching = node.matching or Matching()
        context.charge(lhs.values.size + rhs.values.size)
        if matching.card == "many-to-many":
            return binary.sets(node.op, lhs, rhs, matching)
        return binary.vectors(node.op, lhs, rhs, matching, return_bool=node.return_bool)
    if isinstance(lhs, Vec):
        assert isinstance(rhs, np.ndarray)
        return binary.with_number(node.op, lhs, rhs, swapped=False, return_bool=node.return_bool)
    assert isinstance(lhs, np.ndarray)
    if isinstance(rhs, Vec):
        return binary.with_number(node.op, rhs, lhs, swapped=True, return_bool=node.return_bool)
    assert isinstance(rhs, np.ndarray)
    return binary.numbers(node.op, lhs, rhs)


def _aggregate(node: Aggregate, context: Context) -> Value:
    kept = context.memo.get(node)
    if kept is not None:
        out: Vec = kept
        return out
    vector = _vector_of(node.expr, context)
    param = evaluate(node.param, context) if node.param is not None else None
    if node.op == "quantile" and node.param is not None and context.hints is not None:
        assert isinstance(param, np.ndarray)
        context.hints.quantile(node.param, param, len(vector.labels))
    found = aggregation.aggregate(node.op, vector, param, node.grouping, without=node.without)
    context.memo[node] = found
    return found


# --- selectors


def _moments(at: At, offset_ms: int, context: Context) -> Ints:
    """When a selector looks, for each step."""
    if at is None:
        return context.steps - offset_ms
    fixed = {"start": context.start, "end": context.end}[at] if isinstance(at, str) else at
    return np.full(len(context.steps), fixed - offset_ms, np.int64)


def selected(node: Vector, context: Context) -> Selection:
    """The series of a selector."""
    return context.store.choose(*name_matcher(node.matchers))


def _selector(node: Vector, context: Context) -> Vec:
    values, present, _, chosen = _latest(node, context)
    if chosen is None:
        return empty(len(context.steps))
    return Vec(chosen.labels, values, None if present is None or bool(present.all()) else present)


def _latest(
    node: Vector, context: Context, *, timed: bool = False
) -> tuple[Floats, Bools | None, Ints | None, Selection | None]:
    """For each series and step the newest sample: value, whether there is any, and its time in ms.

    Whether there is any is None where there always is.
    """
    chosen, steps = selected(node, context), len(context.steps)
    if not len(chosen):
        nothing = np.zeros((0, steps))
        return nothing, nothing.astype(bool), None, None
    stops = _moments(node.at, node.offset_ms, context)
    # a sample as old as the look-back counts in Prometheus 2 only
    starts = stops - context.options.lookback_ms
    context.charge(len(chosen) * steps)
    if steps == 1 and not chosen.mixed:
        left_open, lookback = context.options.left_open, context.options.lookback_ms
        found = newest(context.store, chosen, int(stops[0]), lookback, left_open=left_open)
        present = None if found.there is None else found.there[:, None]
        return found.values[:, None], present, found.times[:, None], chosen
    values, times = np.zeros((len(chosen), steps)), np.zeros((len(chosen), steps), np.int64)
    present = np.zeros((len(chosen), steps), bool)
    for piece in load(context.store, chosen, int(starts.min()), int(stops.max())):
        codes, rows = piece.alike(steps)
        picked = None if codes is None else rows
        low, high = piece.bounds(starts, stops, left_open=context.options.left_open, rows=picked)
        there = high > low
        if piece.offset is not None:
            ends, last = piece.ends[rows], piece.high[rows]
            # markers end rows: only their last samples are concerned
            if bool((ends <= stops.max()).any()):
                there &= (high != last[:, None]) | (ends[:, None] > stops[None, :])
        else:
            kept = within(high - 1, piece.ends.shape[1] - 1)
            there &= np.take_along_axis(piece.ends, kept, axis=1) > stops[None, :]
        index = high - 1 if codes is None else (high - 1)[codes]
        there = there if codes is None else there[codes]
        moments = piece.times_at(index) if timed else None
        if len(piece.positions) == len(chosen):
            return piece.values_at(index), there, moments, chosen
        values[piece.positions], present[piece.positions] = piece.values_at(index), there
        if moments is not None:
            times[piece.positions] = moments
    return values, present, times, chosen


def _timestamp(node: Node, context: Context) -> Vec:
    inner = bare(node)
    if isinstance(inner, Vector):
        _, present, times, chosen = _latest(inner, context, timed=True)
        if chosen is None or times is None:
            return empty(len(context.steps))
        return Vec(chosen.labels, times / 1000.0, present).nameless()
    vector = _vector_of(node, context)
    values = np.broadcast_to(context.steps / 1000.0, vector.values.shape).copy()
    return Vec(vector.labels, values, vector.present).nameless()


# --- ranges


def range_of(node: Node, context: Context) -> tuple[LabelSets, list[Samples], Ints, Ints, int]:
    """Series, their samples, and the windows of a range: starts, stops, and length in ms."""
    inner = bare(node)
    if isinstance(inner, Subquery):
        return _subquery(inner, context)
    assert isinstance(inner, Matrix)
    chosen = selected(inner.vector, context)
    stops = _moments(inner.vector.at, inner.vector.offset_ms, context)
    starts = stops - inner.range_ms
    pieces = load(context.store, chosen, int(starts.min()), int(stops.max())) if len(chosen) else []
    return chosen.labels, pieces, starts, stops, inner.range_ms


def _subquery(node: Subquery, context: Context) -> tuple[LabelSets, list[Samples], Ints, Ints, int]:
    stops = _moments(node.at, node.offset_ms, context)
    starts = stops - node.range_ms
    step = node.step_ms or context.options.subquery_step_ms
    first = int(starts.min()) // step * step
    if first < int(starts.min()) or (context.options.left_open and first == int(starts.min())):
        first += step
    count = max(0, (int(stops.max()) - first) // step + 1)
    if not count:
        return _ALONE.take(np.empty(0, np.int64)), [], starts, stops, node.range_ms
    context.charge(count)
    inner = context.at(first + np.arange(count, dtype=np.int64) * step)
    vector = _vector_of(node.expr, inner)
    rows = len(vector.labels)
    context.charge(rows * count)
    positions = np.arange(rows, dtype=np.int64)
    zero, full = np.zeros(rows, np.int64), np.full(rows, count, np.int64)
    if not rows:
        return vector.labels, [], starts, stops, node.range_ms
    if vector.present is None or bool(vector.present.all()):
        # regular: sample k at first + k * step; `first` may not be a multiple of the step after 0
        whole, rest = divmod(first, step)
        piece = Samples(
            positions, vector.values, zero, full, np.full(rows, FAR), whole, step, np.full(rows, rest)
        )
        return vector.labels, [piece], starts, stops, node.range_ms
    order = np.argsort(~vector.present, axis=1, kind="stable")
    lengths = vector.present.sum(axis=1).astype(np.int64)
    valid = np.arange(count)[None, :] < lengths[:, None]
    times = np.where(valid, inner.steps[order], FAR)
    values = np.take_along_axis(vector.values, order, axis=1)
    ends = np.full(times.shape, FAR, np.int64)
    piece = Samples(positions, values, zero, lengths, ends, times=times)
    return vector.labels, [piece], starts, stops, node.range_ms


def _over_range(node: Call, context: Context) -> Vec:
    kept = context.memo.get(node)
    if kept is not None:
        out: Vec = kept
        return out
    where = next(i for i, arg in enumerate(node.args) if isinstance(bare(arg), Matrix | Subquery))
    args = tuple(_scalar(arg, context) for i, arg in enumerate(node.args) if i != where)
    steps = len(context.steps)
    if steps == 1 and node.function in changes.STRETCHED and context.hints is None:
        once = _changed(node, node.args[where], context)
        if once is not None:
            context.memo[node] = once
            return once
    labels, pieces, starts, stops, span = range_of(node.args[where], context)
    context.charge(len(labels) * steps)
    values, present = np.zeros((len(labels), steps)), np.zeros((len(labels), steps), bool)
    function = windows.FUNCTIONS[node.function]
    for piece in pieces:
        context.charge(piece.values.size)
        over = windows.Windows(piece, (starts, stops), context.steps, span / 1000.0, args, context.options)
        found, there = function(over)
        if context.hints is not None and node.function in {"rate", "increase"}:
            some = np.zeros(len(labels), bool)
            some[piece.positions] = over.at_least(1).any(axis=1)
            context.hints.counters(node.args[where], labels, some)
        if len(piece.positions) == len(labels):
            values, present = found, there
        else:
            values[piece.positions], present[piece.positions] = found, there
    if context.hints is not None and node.function == "quantile_over_time":
        context.hints.quantile(node.args[0], args[0], len(labels))
    vector = Vec(labels, values, None if np.count_nonzero(present) == present.size else present)
    if node.function != "last_over_time":
        vector = vector.nameless()
    context.memo[node] = vector
    return vector


def _changed(node: Call, arg: Node, context: Context) -> Vec | None:
    """`rate`, `increase` or `delta` of whole rows at one moment; None where it takes more than that."""
    inner = bare(arg)
    if not isinstance(inner, Matrix):
        return None
    chosen = selected(inner.vector, context)
    if not len(chosen) or len(chosen.single.rows) < len(chosen):
        return None
    stop = int(_moments(inner.vector.at, inner.vector.offset_ms, context)[0])
    found = changes.at_one_moment(
        context.store, chosen.single, (stop - inner.range_ms, stop), node.function, context.options
    )
    if found is None:
        return None
    values, going, cells = found
    count = len(chosen)
    context.charge(count + cells)
    if going.places is None:
        return Vec(chosen.labels, values[:, None], None).nameless()
    whole, present = np.zeros((count, 1)), np.zeros((count, 1), bool)
    whole[going.places, 0], present[going.places] = values, True
    return Vec(chosen.labels, whole, present).nameless()


def _absent_over_time(node: Call, context: Context) -> Vec:
    _, pieces, starts, stops, _ = range_of(node.args[0], context)
    some = np.zeros(len(context.steps), bool)
    for piece in pieces:
        low, high = piece.bounds(starts, stops, left_open=context.options.left_open)
        some |= (high > low).any(axis=0)
    return _absence(node.args[0], some)


def _absent(node: Call, context: Context) -> Vec:
    vector = _vector_of(node.args[0], context)
    return _absence(node.args[0], np.logical_or.reduce(vector.there(), axis=0))


def _absence(node: Node, some: Bools) -> Vec:
    """One element wherever there is none, with the labels that the selector asks for outright."""
    inner = bare(node)
    if isinstance(inner, Matrix):
        inner = inner.vector
    pairs: dict[str, str] = {}
    if isinstance(inner, Vector):
        twice = set[str]()
        for matcher in inner.matchers:
            if matcher.name == NAME:
                continue
            if matcher.op == "=" and matcher.name not in pairs and matcher.name not in twice:
                pairs[matcher.name] = matcher.value
            else:
                twice.add(matcher.name)
                pairs.pop(matcher.name, None)
    return Vec(LabelSets([label_sets.make(pairs)]), np.ones((1, len(some))), ~some[None, :])


# --- calls


def _call(node: Call, context: Context) -> Value:
    name = node.function
    if name in windows.FUNCTIONS:
        return _over_range(node, context)
    if name in functions.SIMPLE:
        return functions.mapped(_vector_of(node.args[0], context), functions.SIMPLE[name])
    if name in functions.CALENDAR:
        if node.args:
            vector = _vector_of(node.args[0], context)
        else:
            vector = Vec(_ALONE, (context.steps / 1000.0)[None, :], None)
        return functions.calendar(vector, functions.CALENDAR[name])
    return _CALLS[name](node, context)


def _clamp(node: Call, context: Context) -> Value:
    vector = _vector_of(node.args[0], context)
    bounds = [_scalar(arg, context) for arg in node.args[1:]]
    if node.function == "clamp":
        return functions.clamped(vector, bounds[0], bounds[1])
    if node.function == "clamp_min":
        return functions.clamped(vector, bounds[0], None)
    return functions.clamped(vector, None, bounds[0])


def _round(node: Call, context: Context) -> Value:
    vector = _vector_of(node.args[0], context)
    return functions.rounded(vector, _scalar(node.args[1], context) if len(node.args) > 1 else np.ones(1))


def _label_replace(node: Call, context: Context) -> Value:
    target, replacement, source, pattern = (_text(arg) for arg in node.args[1:])
    return functions.label_replace(_vector_of(node.args[0], context), target, replacement, source, pattern)


def _label_join(node: Call, context: Context) -> Value:
    target, separator, *sources = (_text(arg) for arg in node.args[1:])
    return functions.label_join(_vector_of(node.args[0], context), target, separator, tuple(sources))


def _histogram_quantile(node: Call, context: Context) -> Value:
    q, buckets = _scalar(node.args[0], context), _vector_of(node.args[1], context)
    context.charge(buckets.values.size)
    if context.hints is not None:
        context.hints.quantile(node.args[0], q, len(buckets.labels))
        context.hints.buckets(node.args[1], buckets.labels)
    return histogram_quantile(q, buckets)


_CALLS: dict[str, Callable[[Call, Context], Value]] = {
    "absent": _absent,
    "absent_over_time": _absent_over_time,
    "clamp": _clamp,
    "clamp_max": _clamp,
    "clamp_min": _clamp,
    "histogram_quantile": _histogram_quantile,
    "label_join": _label_join,
    "label_replace": _label_replace,
    "pi": lambda node, context: np.full(len(context.steps), np.pi),
    "round": _round,
    "scalar": lambda node, context: functions.scalar_of(_vector_of(node.args[0], context)),
    "sort": lambda node, context: functions.sorted_by_value(_vector_of(node.args[0], context), down=False),
    "sort_desc": lambda node, context: functions.sorted_by_value(
        _vector_of(node.args[0], context), down=True
    ),
    "time": lambda node, context: context.steps / 1000.0,
    "timestamp": lambda node, context: _timestamp(node.args[0], context),
    "vector": lambda node, context: Vec(_ALONE, _scalar(node.args[0], context)[None, :], None),
}

_EVALUATORS: dict[type[Node], Callable[[Any, Context], Value]] = {
    Number: _number,
    String: _string,
    Paren: _paren,
    Unary: _unary,
    Binary: _binary,
    Aggregate: _aggregate,
    Vector: _selector,
    Call: _call,
}
