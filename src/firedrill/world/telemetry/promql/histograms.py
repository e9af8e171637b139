"""Quantiles of classic histograms, for all histograms and steps at once."""

from __future__ import annotations

import math

import numpy as np

from firedrill.world.telemetry.labels import Labels, LabelSets
from firedrill.world.telemetry.promql.values import Bools, Floats, Ints, Vec, empty

_LE = "le"


def histogram_quantile(q: Floats, buckets: Vec) -> Vec:
    """The quantile of each histogram among a vector of cumulative buckets.

    Args:
        q: for each step.
        buckets: elements without a number as label `le` do not count.
    """
    steps = buckets.values.shape[1]
    order, starts, bounds, labels = _layout(buckets.labels)
    if not len(starts):
        return empty(steps)
    sizes = np.diff(np.r_[starts, len(order)])
    values, there = buckets.values[order], buckets.there()[order]
    out, present = np.zeros((len(starts), steps)), np.zeros((len(starts), steps), bool)
    for size in np.unique(sizes).tolist():
        groups = np.flatnonzero(sizes == size)
        rows = starts[groups][:, None] + np.arange(size)
        out[groups], present[groups] = _quantiles(q, bounds[rows], values[rows], there[rows])
    return Vec(labels, out, present)


def _layout(labels: LabelSets) -> tuple[Ints, Ints, Floats, LabelSets]:
    """Rows in order of histogram and bound, where each histogram begins, the bounds, and the labels."""
    found = labels.kept("histograms")
    if found is None:
        keys = labels.keys((_LE,), on=False)
        rows: list[tuple[Labels, float, int]] = []
        for row, (key, text) in enumerate(zip(keys, labels.column(_LE), strict=True)):
            bound = _bound(text)
            if bound is not None:
                rows.append((key, bound, row))
        rows.sort()
        starts = [i for i in range(len(rows)) if not i or rows[i][0] != rows[i - 1][0]]
        found = (
            np.array([row for _, _, row in rows], np.intp),
            np.array(starts, np.intp),
            np.array([bound for _, bound, _ in rows]),
            LabelSets([rows[start][0] for start in starts]),
        )
        labels.keep("histograms", found)
    out: tuple[Ints, Ints, Floats, LabelSets] = found
    return out


def _bound(text: str) -> float | None:
    try:
        bound = float(text)
    except ValueError:
        return None
    return None if math.isnan(bound) else bound


def _quantiles(q: Floats, bounds: Floats, counts: Floats, there: Bools) -> tuple[Floats, Bools]:
    """For g histograms of b buckets each.

    Args:
        q: steps.
        bounds: g x b, rising.
        counts, there: g x b x steps.
    """
    groups, size, steps = counts.shape
    if size > 1 and bool((bounds[:, 1:] == bounds[:, :-1]).any()):
        counts, there = _merged(bounds, counts, there)
    some: Bools = np.logical_or.reduce(there, axis=1)
    whole = bool(there.all())
    # an absent bucket holds as much as the one before, and so is never the one that is looked for
    if not whole:
        counts = np.where(there, counts, -np.inf)
    counts = np.fmax.accumulate(counts, axis=1)
    total = counts[:, -1]
    with np.errstate(all="ignore"):
        rank = q * total
        at = np.minimum((counts < rank[:, None]).sum(axis=1), size - 1)
    line = np.arange(size)[None, :, None]
    if whole:
        first = np.zeros((groups, steps), np.intp)
        before = at - 1
        last_finite = np.full((groups, steps), size - 2)
        number = np.full((groups, steps), size)
        ends_open = np.isinf(bounds[:, -1:]) & (bounds[:, -1:] > 0) & np.ones((1, steps), bool)
    else:
        first = there.argmax(axis=1)
        number = there.sum(axis=1)
        places = np.where(there, line, -1)
        before = np.where(line < at[:, None], places, -1).max(axis=1)
        last_finite = np.where(line < size - 1, places, -1).max(axis=1)
        ends_open = there[:, -1] & (bounds[:, -1:] == np.inf)
    group = np.arange(groups)[:, None]
    step = np.arange(steps)[None, :]
    with np.errstate(all="ignore"):
        end = bounds[group, at]
        begin = np.where(before >= 0, bounds[group, np.maximum(before, 0)], 0.0)
        below = np.where(before >= 0, counts[group, np.maximum(before, 0), step], 0.0)
        inside = counts[group, at, step] - below
        found = begin + (end - begin) * ((rank - below) / inside)
        found = np.where((at == first) & (end <= 0), end, found)
        found = np.where(at == size - 1, bounds[group, np.maximum(last_finite, 0)], found)
        found = np.where(~ends_open | (number < 2) | (total == 0) | np.isnan(total), np.nan, found)
        found = np.where(q < 0, -np.inf, np.where(q > 1, np.inf, found))
        found = np.where(np.isnan(q), np.nan, found)
    return found, some


def _merged(bounds: Floats, counts: Floats, there: Bools) -> tuple[Floats, Bools]:
    """Buckets that write the same bound differently count together, in the last of them."""
    counts, there = np.where(there, counts, 0.0), there.copy()
    for at in range(1, counts.shape[1]):
        same = bounds[:, at] == bounds[:, at - 1]
        moved = same[:, None] & there[:, at - 1]
        counts[:, at] += np.where(moved, counts[:, at - 1], 0.0)
        there[:, at] |= moved
        there[:, at - 1] &= ~moved
    return counts, there
