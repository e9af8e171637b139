"""Range aggregations: what the samples of a window amount to, at every step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from firedrill.world.telemetry.logs.logql import nodes
from firedrill.world.telemetry.logs.logql.matrix import Labels, Matrix, empty, made

Floats = NDArray[np.float64]
_SECOND = 1e9


class Samples:
    """Times (ns) and values of the series of one range aggregation."""

    __slots__ = ("_series",)

    def __init__(self) -> None:
        self._series: dict[Labels, tuple[list[int], list[float]]] = {}

    def __len__(self) -> int:
        return len(self._series)

    def add(self, labels: Labels, at: int, value: float) -> None:
        """One sample more."""
        found = self._series.get(labels)
        if found is None:
            found = self._series[labels] = ([], [])
        found[0].append(at)
        found[1].append(value)

    def series(self) -> Mapping[Labels, tuple[list[int], list[float]]]:
        """(times, values) by labels."""
        return self._series


def aggregate(query: nodes.RangeAggregation, samples: Samples, steps: NDArray[np.int64]) -> Matrix:
    """The aggregation at each step; a window is (step - range, step], less the offset.

    Args:
        query: the aggregation.
        samples: of its series.
        steps: moments in ns.
    """
    ends = steps - query.offset
    if query.op == "absent_over_time":
        return _absent(query, samples, ends)
    if not samples:
        return empty(len(steps))
    labels, rows, present = [], [], []
    for key, (times, values) in samples.series().items():
        order = np.argsort(np.array(times, np.int64), kind="stable")
        at, value = np.array(times, np.int64)[order], np.array(values, np.float64)[order]
        low = np.searchsorted(at, ends - query.range, side="right")
        high = np.searchsorted(at, ends, side="right")
        labels.append(key)
        rows.append(_row(query, value, low, high))
        present.append(high > low)
    return made(labels, np.array(rows), np.array(present)).compact()


def _row(
    query: nodes.RangeAggregation, value: Floats, low: NDArray[np.intp], high: NDArray[np.intp]
) -> Floats:
    op, seconds = query.op, max(query.range, 1) / _SECOND
    if op in {"count_over_time", "sum_over_time", "bytes_over_time", "rate", "bytes_rate"}:
        if op == "count_over_time" or (op == "rate" and query.unwrap is None):
            total = (high - low).astype(np.float64)
        else:
            total = _sums(value, low, high)
        return total / seconds if op in {"rate", "bytes_rate"} else total
    if op == "rate_counter":
        return _counter(value, low, high, max(query.range, 1))
    window = _WINDOWS[op] if op != "quantile_over_time" else _quantile(query.parameter or 0.0)
    out = np.zeros(len(low))
    for number in range(len(low)):
        if high[number] > low[number]:
            out[number] = window(value[low[number] : high[number]])
    return out


def _sums(value: Floats, low: NDArray[np.intp], high: NDArray[np.intp]) -> Floats:
    whole = np.concatenate(([0.0], np.cumsum(value)))
    return whole[high] - whole[low]


def _counter(value: Floats, low: NDArray[np.intp], high: NDArray[np.intp], span: int) -> Floats:
    """Growth of a counter per second, resets included."""
    rises = np.diff(value, prepend=value[:1])
    rises = np.where(rises < 0, value, rises)
    whole = np.concatenate(([0.0], np.cumsum(rises)))
    first = np.minimum(low + 1, high)
    return (whole[high] - whole[first]) / (span / _SECOND)


def _quantile(share: float) -> Callable[[Floats], float]:
    def window(value: Floats) -> float:
        if share < 0:
            return float("-inf")
        if share > 1:
            return float("inf")
        ordered = np.sort(value)
        rank = share * (len(ordered) - 1)
        low = max(0, int(np.floor(rank)))
        high = min(len(ordered) - 1, low + 1)
        weight = rank - np.floor(rank)
        return float(ordered[low] * (1 - weight) + ordered[high] * weight)

    return window


_WINDOWS: Mapping[str, Callable[[Floats], float]] = {
    "avg_over_time": lambda value: float(value.mean()),
    "min_over_time": lambda value: float(value.min()),
    "max_over_time": lambda value: float(value.max()),
    "stdvar_over_time": lambda value: float(value.var()),
    "stddev_over_time": lambda value: float(value.std()),
    "first_over_time": lambda value: float(value[0]),
    "last_over_time": lambda value: float(value[-1]),
}


def _absent(query: nodes.RangeAggregation, samples: Samples, ends: NDArray[np.int64]) -> Matrix:
    there = np.zeros(len(ends), np.bool_)
    for times, _ in samples.series().values():
        at = np.sort(np.array(times, np.int64))
        there |= np.searchsorted(at, ends, side="right") > np.searchsorted(
            at, ends - query.range, side="right"
        )
    if there.all():
        return empty(len(ends))
    return Matrix((_absent_labels(query.selector.matchers),), np.ones((1, len(ends))), ~there[None, :])


def _absent_labels(matchers: Sequence[nodes.Matcher]) -> Labels:
    out: dict[str, str] = {}
    twice: set[str] = set()
    for matcher in matchers:
        if matcher.op == "=" and matcher.name not in out:
            out[matcher.name] = matcher.value
        else:
            twice.add(matcher.name)
    return tuple(sorted((name, value) for name, value in out.items() if name not in twice and value))
