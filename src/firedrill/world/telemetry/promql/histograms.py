"""Quantiles of classic histograms, for all histograms and steps at once."""

from __future__ import annotations

import math
from typing import NamedTuple

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
    layout, labels = _layout(buckets.labels)
    if not len(labels):
        return empty(steps)
    values, there = buckets.values, buckets.present
    if len(layout) == 1:
        some = None if there is None else there[layout[0].rows]
        out, present = _quantiles(q, layout[0], values[layout[0].rows], some)
        return Vec(labels, out, present)
    out, present = np.zeros((len(labels), steps)), np.zeros((len(labels), steps), bool)
    for alike in layout:
        some = None if there is None else there[alike.rows]
        out[alike.groups], present[alike.groups] = _quantiles(q, alike, values[alike.rows], some)
    return Vec(labels, out, present)


class Alike(NamedTuple):
    """Histograms with equally many buckets.

    Attributes:
        groups: their numbers.
        rows: of their buckets, g x b.
        bounds: likewise, rising.
        twice: some histogram has two buckets of one bound.
        open: where the last bound is infinite.
    """

    groups: Ints
    rows: Ints
    bounds: Floats
    twice: bool
    open: Bools


def _layout(labels: LabelSets) -> tuple[tuple[Alike, ...], LabelSets]:
    """The buckets by histogram and bound, and the labels of the histograms."""
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
        order = np.array([row for _, _, row in rows], np.intp)
        bounds = np.array([bound for _, bound, _ in rows])
        first, sizes = np.array(starts, np.intp), np.diff([*starts, len(rows)])
        alike = []
        for size in np.unique(sizes).tolist():
            groups = np.flatnonzero(sizes == size)
            places = first[groups][:, None] + np.arange(size)
            mine = bounds[places]
            twice = bool((mine[:, 1:] == mine[:, :-1]).any())
            alike.append(Alike(groups, order[places], mine, twice, mine[:, -1:] == np.inf))
        found = (tuple(alike), LabelSets([rows[start][0] for start in starts]))
        labels.keep("histograms", found)
    out: tuple[tuple[Alike, ...], LabelSets] = found
    return out


def _bound(text: str) -> float | None:
    try:
        bound = float(text)
    except ValueError:
        return None
    return None if math.isnan(bound) else bound


def _quantiles(q: Floats, alike: Alike, counts: Floats, there: Bools | None) -> tuple[Floats, Bools]:
    """For g histograms of b buckets each.

    Args:
        q: steps.
        alike: the histograms.
        counts, there: g x b x steps; None where everything is there.
    """
    bounds = alike.bounds
    groups, size, steps = counts.shape
    if alike.twice:
        counts, there = _merged(bounds, counts, np.ones(counts.shape, bool) if there is None else there)
    if there is not None and bool(there.all()):
        there = None
    if there is None and steps == 1:
        return _at_one_moment(float(q[0]), alike, counts[:, :, 0])[:, None], np.ones((groups, 1), bool)
    some: Bools = np.ones((groups, steps), bool) if there is None else np.logical_or.reduce(there, axis=1)
    # an absent bucket holds as much as the one before, and so is never the one that is looked for
    if there is not None:
        counts = np.where(there, counts, -np.inf)
    counts = np.fmax.accumulate(counts, axis=1)
    total = counts[:, -1]
    with np.errstate(all="ignore"):
        rank = q * total
        at = np.minimum((counts < rank[:, None]).sum(axis=1), size - 1)
    line = np.arange(size)[None, :, None]
    if there is None:
        first = np.zeros((groups, steps), np.intp)
        before = at - 1
        last_finite = np.full((groups, steps), size - 2)
        number = np.full((groups, steps), size)
        ends_open = np.broadcast_to(alike.open, (groups, steps))
    else:
        first = there.argmax(axis=1)
        number = there.sum(axis=1)
        places = np.where(there, line, -1)
        before = np.where(line < at[:, None], places, -1).max(axis=1)
        last_finite = np.where(line < size - 1, places, -1).max(axis=1)
        ends_open = there[:, -1] & alike.open
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


def _at_one_moment(q: float, alike: Alike, counts: Floats) -> Floats:
    """The same, to the last bit, where all buckets are there and only one moment is asked for."""
    groups, size = counts.shape
    if math.isnan(q) or (size < 2 and 0.0 <= q <= 1.0):
        return np.full(groups, math.nan)
    if not 0.0 <= q <= 1.0:
        return np.full(groups, math.copysign(math.inf, q))
    counts = np.fmax.accumulate(counts, axis=1)
    total = counts[:, -1]
    with np.errstate(all="ignore"):
        rank = q * total
        at = np.minimum((counts < rank[:, None]).sum(axis=1), size - 1)
        here = np.arange(groups) * size + at
        lowest = at == 0
        back = here - ~lowest
        end = alike.bounds.take(here)
        begin = np.where(lowest, 0.0, alike.bounds.take(back))
        below = np.where(lowest, 0.0, counts.take(back))
        inside = counts.take(here) - below
        found = begin + (end - begin) * ((rank - below) / inside)
        found = np.where(lowest & (end <= 0), end, found)
        found = np.where(at == size - 1, alike.bounds[:, size - 2], found)
        # neither greater nor smaller than nothing: none at all, or not a number
        empty_ = ~((total > 0) | (total < 0))
        return np.where(empty_ | ~alike.open[:, 0], math.nan, found)


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
