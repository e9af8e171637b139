"""Aggregations: over the elements of each group, at each step."""

from __future__ import annotations

from typing import Any

import numpy as np

from firedrill.world.telemetry import labels as label_sets
from firedrill.world.telemetry.labels import Labels, LabelSets
from firedrill.world.telemetry.promql import windows
from firedrill.world.telemetry.promql.errors import PromQLError
from firedrill.world.telemetry.promql.printer import number
from firedrill.world.telemetry.promql.values import Bools, Floats, Ints, Value, Vec, empty

_LABEL_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


def is_label(name: str) -> bool:
    """Whether that can be a label's name."""
    return bool(name) and set(name) <= _LABEL_LETTERS and not name[0].isdigit()


def aggregate(op: str, vector: Vec, param: Value | None, names: tuple[str, ...], *, without: bool) -> Vec:
    """One element for each group (for topk and bottomk: some of the elements).

    Args:
        op: the aggregation.
        vector: over whose elements it goes.
        param: k, quantile (a number for each step), or the label of `count_values`.
        names: labels of the grouping.
        without: whether groups differ in all labels but those.

    Raises:
        PromQLError: the parameter does not fit.
    """
    steps = vector.values.shape[1]
    if isinstance(param, str) and not is_label(param):
        raise PromQLError(f'invalid label name "{param}"')
    if not len(vector.labels):
        return empty(steps)
    codes, labels = vector.labels.grouped(names, by=not without)
    if op in {"topk", "bottomk"}:
        assert isinstance(param, np.ndarray)
        return _extremes(vector, codes, param, largest=op == "topk")
    if op == "limitk":
        assert isinstance(param, np.ndarray)
        return _limited(vector, codes, param)
    if op == "count_values":
        assert isinstance(param, str)
        return _counted(vector, codes, labels, param)
    order, starts, sizes = _runs(vector.labels, codes, names, without)
    values, present = vector.values, vector.present
    if order is not None:
        values = values[order]
        present = None if present is None else present[order]
    if present is None:
        count, there = sizes, None
    else:
        count = np.add.reduceat(present, starts, axis=0, dtype=np.int64).astype(np.float64)
        there = count > 0
        there = None if bool(there.all()) else there
    if op == "quantile":
        assert isinstance(param, np.ndarray)
        return Vec(labels, _quantiles(values, present, starts, param), there)
    if op in {"count", "group"}:
        count = np.broadcast_to(count, (len(starts), steps))
        return Vec(labels, np.array(count) if op == "count" else np.ones(count.shape), there)
    return Vec(labels, _reduced(op, values, present, starts, count), there)


def _runs(
    labels: LabelSets, codes: Ints, names: tuple[str, ...], without: bool
) -> tuple[Ints | None, Ints, Floats]:
    """An order in which groups are contiguous (None: they are), where each begins, and their sizes."""
    key = ("runs", names, without)
    found = labels.kept(key)
    if found is None:
        order = np.argsort(codes, kind="stable")
        starts = np.flatnonzero(np.r_[True, np.diff(codes[order]) > 0])
        sorted_already = bool((order == np.arange(len(order))).all())
        sizes = np.diff(np.r_[starts, len(order)]).astype(np.float64)[:, None]
        found = labels.keep(key, (None if sorted_already else order, starts, sizes))
    out: tuple[Ints | None, Ints, Floats] = found
    return out


def _reduced(op: str, values: Floats, present: Bools | None, starts: Ints, count: Floats) -> Floats:
    with np.errstate(all="ignore"):
        if op in {"min", "max"}:
            known = values if present is None else np.where(present, values, np.nan)
            out: Floats = (np.fmin if op == "min" else np.fmax).reduceat(known, starts, axis=0)
            return out
        known = values if present is None else np.where(present, values, 0.0)
        total: Floats = np.add.reduceat(known, starts, axis=0)
        if op == "sum":
            return total
        mean = total / count
        if op == "avg":
            return mean
        sizes = np.diff(np.r_[starts, len(values)])
        apart = values - np.repeat(mean, sizes, axis=0)
        if present is not None:
            apart = np.where(present, apart, 0.0)
        variance: Floats = np.add.reduceat(apart * apart, starts, axis=0) / count
        return np.sqrt(variance) if op == "stddev" else variance


def _quantiles(values: Floats, present: Bools | None, starts: Ints, q: Floats) -> Floats:
    ends = np.r_[starts[1:], len(values)]
    out = np.zeros((len(starts), values.shape[1]))
    for group, (low, high) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        mine = values[low:high].T
        valid = np.ones(mine.shape, bool) if present is None else present[low:high].T
        out[group] = windows.quantile(q, mine, valid)
    return out


def _extremes(vector: Vec, codes: Ints, k: Floats, *, largest: bool) -> Vec:
    if bool((np.isnan(k) | (np.abs(k) >= 2.0**63)).any()):
        odd = next(value for value in k.tolist() if not abs(value) < 2.0**63)
        raise PromQLError(f"Scalar value {number(odd)} overflows int64")
    values, there = vector.values, vector.there()
    steps = values.shape[1]
    keep = np.zeros(there.shape, bool)
    wanted = np.trunc(k)
    keyed = -values if largest else values
    ranked: list[Ints] = []
    for group in range(int(codes.max()) + 1):
        rows = np.flatnonzero(codes == group)
        mine, valid = keyed[rows], there[rows]
        # NaN comes after every number, what is absent after all
        order = np.lexsort((mine, np.isnan(mine), ~valid), axis=0)
        rank = np.empty_like(order)
        np.put_along_axis(rank, order, np.broadcast_to(np.arange(len(rows))[:, None], order.shape), axis=0)
        keep[rows] = valid & (rank < wanted)
        if steps == 1:
            ranked.append(rows[order[:, 0]][: int(max(wanted[0], 0))])
    if steps == 1:
        found = np.concatenate(ranked) if ranked else np.empty(0, np.int64)
        found = found[there[found, 0]]
        return Vec(vector.labels.take(found), values[found], None)
    return Vec(vector.labels, values, keep)


def _limited(vector: Vec, codes: Ints, k: Floats) -> Vec:
    """The first few elements of each group, in order of labels."""
    there = vector.there()
    keep = np.zeros(there.shape, bool)
    for group in range(int(codes.max()) + 1):
        rows = np.flatnonzero(codes == group)
        keep[rows] = there[rows] & (np.cumsum(there[rows], axis=0) <= np.nan_to_num(k))
    return Vec(vector.labels, vector.values, keep)


def _counted(vector: Vec, codes: Ints, labels: LabelSets, label: str) -> Vec:
    there, steps = vector.there(), vector.values.shape[1]
    rows: dict[Labels, Any] = {}
    for row, code in enumerate(codes.tolist()):
        group = labels.items[code]
        for step in np.flatnonzero(there[row]).tolist():
            pairs = dict(group)
            pairs[label] = number(float(vector.values[row, step]))
            made = label_sets.make(pairs)
            line = rows.get(made)
            if line is None:
                line = rows[made] = np.zeros(steps)
            line[step] += 1
    if not rows:
        return empty(steps)
    order = sorted(rows)
    values = np.array([rows[item] for item in order])
    return Vec(LabelSets(order), values, values > 0)
