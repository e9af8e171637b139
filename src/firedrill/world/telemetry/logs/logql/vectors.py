"""Aggregations over series, operators between them, and label_replace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firedrill.world.telemetry.logs.logql import nodes, regex
from firedrill.world.telemetry.logs.logql.errors import LogQLError
from firedrill.world.telemetry.logs.logql.functions import expand
from firedrill.world.telemetry.logs.logql.matrix import Labels, Matrix, Scalar, empty, made, only, without
from firedrill.world.telemetry.logs.logql.parser import arithmetic

_SETS = frozenset(("or", "and", "unless"))
_COMPARE = frozenset(("==", "!=", "<", "<=", ">", ">="))
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


def aggregate(query: nodes.VectorAggregation, inner: Matrix) -> Matrix:
    """`sum by (x)` and the like, at every step."""
    if query.op in {"sort", "sort_desc"}:
        return _sorted(inner, reverse=query.op == "sort_desc")
    grouping = query.grouping or nodes.Grouping()
    names = frozenset(grouping.labels)
    cut = without if grouping.without else only
    groups: dict[Labels, list[int]] = {}
    for row, labels in enumerate(inner.labels):
        groups.setdefault(cut(labels, names), []).append(row)
    if query.op in {"topk", "bottomk", "approx_topk"}:
        return _ranked(inner, list(groups.values()), query.parameter, smallest=query.op == "bottomk")
    if not groups:
        return empty(inner.values.shape[1])
    values, present = [], []
    for rows in groups.values():
        there = inner.present[rows]
        values.append(_reduced(query.op, inner.values[rows], there))
        present.append(there.any(axis=0))
    return made(list(groups), np.array(values), np.array(present)).compact()


def _reduced(op: str, values: Floats, there: Bools) -> Floats:
    count = there.sum(axis=0)
    out: Floats
    if op == "count":
        out = count.astype(np.float64)
        return out
    if op in {"min", "max"}:
        fill = np.inf if op == "min" else -np.inf
        filled = np.where(there, values, fill)
        out = filled.min(axis=0) if op == "min" else filled.max(axis=0)
        return out
    out = np.where(there, values, 0.0).sum(axis=0)
    if op == "sum":
        return out
    out = out / np.maximum(count, 1)
    if op == "avg":
        return out
    out = np.where(there, (values - out) ** 2, 0.0).sum(axis=0) / np.maximum(count, 1)
    return out if op == "stdvar" else np.sqrt(out)


def _ranked(inner: Matrix, groups: list[list[int]], count: int, *, smallest: bool) -> Matrix:
    present = np.zeros_like(inner.present)
    for rows in groups:
        part = inner.values[rows]
        worst = np.inf if smallest else -np.inf
        part = np.where(inner.present[rows] & ~np.isnan(part), part, worst)
        order = np.argsort(part if smallest else -part, axis=0, kind="stable")[:count]
        for step in range(part.shape[1]):
            chosen = [rows[row] for row in order[:, step]]
            present[chosen, step] = inner.present[chosen, step]
    return Matrix(inner.labels, inner.values, present).compact()


def _sorted(inner: Matrix, *, reverse: bool) -> Matrix:
    order = np.argsort(-inner.values[:, -1] if reverse else inner.values[:, -1], kind="stable").tolist()
    return Matrix(tuple(inner.labels[row] for row in order), inner.values[order], inner.present[order])


def binary(query: nodes.Binary, left: Matrix | Scalar, right: Matrix | Scalar) -> Matrix | Scalar:
    """An operator between two results.

    Raises:
        LogQLError: series do not find each other one to one.
    """
    if isinstance(left, Scalar):
        if isinstance(right, Scalar):
            return Scalar(arithmetic(query.op, left.value, right.value))
        return _with_number(query, right, left.value, number_first=True)
    if isinstance(right, Scalar):
        return _with_number(query, left, right.value, number_first=False)
    if query.op in _SETS:
        return _set(query, left, right)
    return _joined(query, left, right)


def _apply(op: str, left: Any, right: Any) -> Any:
    functions: dict[str, Callable[[Any, Any], Any]] = {
        "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "%": np.fmod, "^": np.power,
        "==": np.equal, "!=": np.not_equal, ">": np.greater, ">=": np.greater_equal, "<": np.less,
        "<=": np.less_equal,
    }  # fmt: skip
    with np.errstate(all="ignore"):
        out = functions[op](left, right)
        if op in {"/", "%"}:
            out = np.where(np.equal(right, 0), np.nan, out)  # Loki divides by zero to NaN
        return out


def _with_number(query: nodes.Binary, side: Matrix, value: float, *, number_first: bool) -> Matrix:
    found = _apply(query.op, value, side.values) if number_first else _apply(query.op, side.values, value)
    if query.op not in _COMPARE:
        return Matrix(side.labels, found, side.present)
    if query.matching.bool:
        return Matrix(side.labels, found.astype(np.float64), side.present)
    return Matrix(side.labels, side.values, side.present & found).compact()


def _signature(matching: nodes.Matching) -> Callable[[Labels], Labels]:
    names = frozenset(matching.labels)
    if matching.on:
        return lambda labels: only(labels, names)
    return lambda labels: without(labels, names)


def _set(query: nodes.Binary, left: Matrix, right: Matrix) -> Matrix:
    key = _signature(query.matching)
    steps = left.present.shape[1]

    def there(side: Matrix) -> dict[Labels, Bools]:
        out: dict[Labels, Bools] = {}
        for row, labels in enumerate(side.labels):
            found = key(labels)
            out[found] = out[found] | side.present[row] if found in out else side.present[row]
        return out

    none = np.zeros(steps, np.bool_)
    if query.op == "or":
        known = there(left)
        rest = [right.present[row] & ~known.get(key(labels), none) for row, labels in enumerate(right.labels)]
        present = np.concatenate([left.present, np.array(rest).reshape(-1, steps)])
        joined = Matrix(
            left.labels + right.labels, np.concatenate([left.values, right.values]), present.astype(np.bool_)
        )
        return joined.compact()
    other = there(right)
    masks = [other.get(key(labels), none) for labels in left.labels]
    mask = np.array(masks, np.bool_).reshape(-1, steps)
    kept = left.present & (mask if query.op == "and" else ~mask)
    return Matrix(left.labels, left.values, kept).compact()


def _joined(query: nodes.Binary, left: Matrix, right: Matrix) -> Matrix:
    matching = query.matching
    swapped = matching.group == "right"
    many, one = (right, left) if swapped else (left, right)
    key = _signature(matching)
    found: dict[Labels, list[int]] = {}
    for row, labels in enumerate(one.labels):
        found.setdefault(key(labels), []).append(row)
    labels_out: list[Labels] = []
    values: list[Floats] = []
    present: list[Bools] = []
    taken: dict[Labels, Bools] = {}
    for row, labels in enumerate(many.labels):
        signature = key(labels)
        for partner in _single(found.get(signature, []), one, signature, "left" if swapped else "right"):
            both = many.present[row] & one.present[partner]
            if not matching.group:
                if (taken.get(signature, False) & both).any():
                    raise LogQLError(
                        "multiple matches for labels: many-to-one matching must be explicit "
                        "(group_left/group_right)"
                    )
                taken[signature] = taken.get(signature, False) | both
            pair = (
                (one.values[partner], many.values[row])
                if swapped
                else (many.values[row], one.values[partner])
            )
            result = _apply(query.op, *pair)
            if query.op in _COMPARE and not matching.bool:
                both = both & result
                result = pair[0]
            labels_out.append(_result_labels(matching, labels, one.labels[partner]))
            values.append(np.asarray(result, np.float64))
            present.append(both)
    if not values:
        return empty(left.values.shape[1])
    return made(labels_out, np.array(values), np.array(present)).compact()


def _single(rows: list[int], one: Matrix, signature: Labels, side: str) -> list[int]:
    if len(rows) > 1 and (one.present[rows].sum(axis=0) > 1).any():
        raise LogQLError(
            f"found duplicate series on the {side} hand-side;many-to-many matching not allowed: "
            "matching labels must be unique on one side"
        )
    return rows


def _result_labels(matching: nodes.Matching, many: Labels, one: Labels) -> Labels:
    names = frozenset(matching.labels)
    if not matching.group:
        return only(many, names) if matching.on else without(many, names)
    out = dict(many)
    others = dict(one)
    for name in matching.include:
        if others.get(name):
            out[name] = others[name]
        else:
            out.pop(name, None)
    return tuple(sorted(out.items()))


def label_replace(query: nodes.LabelReplace, inner: Matrix) -> Matrix:
    """The series with a label made of another one."""
    expression = regex.anchored(query.expression)
    return Matrix(
        tuple(_replaced(labels, query, expression) for labels in inner.labels), inner.values, inner.present
    )


def _replaced(labels: Labels, query: nodes.LabelReplace, expression: Any) -> Labels:
    known = dict(labels)
    found = expression.search(known.get(query.source, ""))
    if found is None:
        return labels
    value = expand(query.replacement, found)
    known[query.target] = value
    return tuple(sorted((name, text) for name, text in known.items() if text))


__all__: Sequence[str] = ["aggregate", "binary", "label_replace"]
