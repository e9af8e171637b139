"""Functions over ranges: for n series and s windows each, numbers and where there are any.

Formulas are those of Prometheus' own documentation and behaviour; each is computed for all windows at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firedrill.world.telemetry.promql.errors import PromQLError
from firedrill.world.telemetry.promql.options import Options
from firedrill.world.telemetry.promql.printer import number
from firedrill.world.telemetry.promql.values import Bools, Floats, Ints
from firedrill.world.telemetry.selection import Samples, within

Found = tuple[Floats, Bools]
_PIECE = 2_000_000
"""Cells of windows laid out side by side at once."""


class Windows:
    """Windows over samples.

    Attributes:
        samples: n rows.
        starts, stops: of the windows in ms.
        now: the moments of evaluation in ms (differ from `stops` by the offset).
        span: length of the windows in seconds.
        args: scalar arguments, one number for each window.
        codes, rows: the classes of rows with samples at the same times, and a row of each.
        class_low, class_high: for each class and window the samples in it, `[low, high)`.
    """

    def __init__(
        self,
        samples: Samples,
        ranges: tuple[Ints, Ints],
        now: Ints,
        span: float,
        args: tuple[Floats, ...],
        options: Options,
    ) -> None:
        self.samples, self.now, self.span = samples, now, span
        self.starts, self.stops = ranges
        self.args, self.options = args, options
        self.codes, self.rows = samples.alike(len(now))
        self.class_low, self.class_high = samples.bounds(
            self.starts,
            self.stops,
            left_open=options.left_open,
            rows=None if self.codes is None else self.rows,
        )

    def spread(self, array: NDArray[Any]) -> NDArray[Any]:
        """What holds for the classes, for all rows."""
        return array if self.codes is None else array[self.codes]

    @cached_property
    def low(self) -> Ints:
        """For each row and window the first sample in it."""
        return self.spread(self.class_low)

    @cached_property
    def high(self) -> Ints:
        """For each row and window the first sample behind it."""
        return self.spread(self.class_high)

    @cached_property
    def final(self) -> Ints:
        """For each row and window the last sample in it."""
        return self.spread(self.class_high - 1)

    def count(self) -> Ints:
        """Samples in each window."""
        return self.spread(self.class_high - self.class_low)

    def at_least(self, count: int) -> Bools:
        """Which windows have as many samples."""
        out: Bools = self.spread(self.class_high - self.class_low >= count)
        return out

    def laid_out(self) -> Iterator[tuple[slice, Floats, Bools, Ints]]:
        """Some windows at a time: which, their values (n x some x longest), what is valid, the indices."""
        longest = max(1, int((self.high - self.low).max(initial=0)))
        rows, steps = self.low.shape
        some = max(1, _PIECE // max(1, rows * longest))
        width = self.samples.values.shape[1]
        line = np.arange(longest)
        row = np.arange(rows)[:, None, None]
        for begin in range(0, steps, some):
            here = slice(begin, min(begin + some, steps))
            index = self.low[:, here, None] + line
            valid = index < self.high[:, here, None]
            yield here, self.samples.values[row, np.minimum(index, max(width - 1, 0))], valid, index

    def values(self, index: Ints) -> Floats:
        """The values of one sample for each class and window, for all rows."""
        samples = self.samples
        if len(self.now) == 1 and self.codes is not None:
            place = index[0, 0]
            if len(index) == 1 or bool((index == place).all()):
                column = min(max(int(place), 0), max(samples.values.shape[1] - 1, 0))
                return samples.values[:, column : column + 1].copy()
        return samples.values_at(self.spread(index))

    def reduced(self, reduce: Callable[[Floats, Bools], Floats], least: int = 1) -> Found:
        """One number for each window, by a function of values and validity."""
        out = np.zeros(self.low.shape)
        for here, values, valid, _ in self.laid_out():
            out[:, here] = reduce(values, valid)
        return out, self.at_least(least)


def _events(windows: Windows, event: NDArray[Any]) -> Floats:
    """Sum of what happens between the samples of each window; `event[:, k]` is between k - 1 and k."""
    samples = windows.samples
    total: Floats = np.zeros_like(samples.values)
    np.cumsum(event, axis=1, out=total[:, 1:])
    width = samples.values.shape[1] - 1
    row = np.arange(len(total))[:, None]
    first, last = within(windows.low, width), within(windows.high - 1, width)
    out: Floats = total[row, last] - total[row, first]
    return out


def extrapolated(windows: Windows, *, counter: bool, rate: bool) -> Found:
    """`rate`, `increase` and `delta`: the change between first and last sample, stretched to the window.

    A counter is not stretched to before it was zero.
    """
    samples = windows.samples
    present = windows.at_least(2)
    first = windows.values(windows.class_low)
    change = windows.values(windows.class_high - 1)
    rows = None if windows.codes is None else windows.rows
    begin, end = samples.times_at(windows.class_low, rows), samples.times_at(windows.class_high - 1, rows)
    with np.errstate(all="ignore"):
        change -= first
        if counter:
            change += _resets(windows)
        sampled = (end - begin) / 1000.0
        average = sampled / (windows.class_high - windows.class_low - 1)
        to_start = (begin - windows.starts) / 1000.0
        to_end = (windows.stops - end) / 1000.0
        threshold = average * 1.1
        to_end = np.where(to_end >= threshold, average / 2, to_end)
        near = np.where(to_start >= threshold, average / 2, to_start)
        bound = to_start if windows.options.clamp_zero_first else near
        scale = (sampled + near + to_end) / sampled / (windows.span if rate else 1.0)
        out = change * windows.spread(scale)
        if not counter:
            return out, present
        clamped = first < change * windows.spread(bound / sampled)
        clamped &= change > 0
        clamped &= first >= 0
        if np.count_nonzero(clamped):
            row, step = np.nonzero(clamped)
            of = (row if windows.codes is None else windows.codes[row], step)
            to_zero = sampled[of] * (first[row, step] / change[row, step])
            if windows.options.clamp_zero_first:
                to_zero = np.where(to_zero < threshold[of], to_zero, average[of] / 2)
            factor = (sampled[of] + to_zero + to_end[of]) / sampled[of]
            out[row, step] = change[row, step] * (factor / windows.span if rate else factor)
    return out, present


def _resets(windows: Windows) -> Floats | float:
    values = windows.samples.values
    if values.shape[1] < 2:
        return 0.0
    fell = values[:, 1:] < values[:, :-1]
    if np.count_nonzero(fell):
        fell &= _inside(windows.samples)[:, 1:]
    if not np.count_nonzero(fell):
        return 0.0
    return _events(windows, np.where(fell, values[:, :-1], 0.0))


def _inside(samples: Samples) -> Bools:
    """Which samples have one before them in the valid part of their row."""
    line = np.arange(samples.values.shape[1])
    return (line > samples.low[:, None]) & (line < samples.high[:, None])


def _last_two(windows: Windows, *, rate: bool) -> Found:
    samples = windows.samples
    last, before = samples.values_at(windows.final), samples.values_at(windows.final - 1)
    apart = (samples.times_at(windows.final) - samples.times_at(windows.final - 1)) / 1000.0
    present = windows.at_least(2) & (apart != 0)
    with np.errstate(all="ignore"):
        if rate:
            return np.where(last < before, last, last - before) / apart, present
        return last - before, present


def _changes(windows: Windows) -> Found:
    values = windows.samples.values
    both_nan = np.isnan(values[:, 1:]) & np.isnan(values[:, :-1])
    event = (values[:, 1:] != values[:, :-1]) & ~both_nan & _inside(windows.samples)[:, 1:]
    return _events(windows, event), windows.at_least(1)


def _reset_count(windows: Windows) -> Found:
    values = windows.samples.values
    with np.errstate(invalid="ignore"):
        event = (values[:, 1:] < values[:, :-1]) & _inside(windows.samples)[:, 1:]
    return _events(windows, event), windows.at_least(1)


def _regression(windows: Windows, *, predict: bool) -> Found:
    out = np.zeros(windows.low.shape)
    samples, count = windows.samples, windows.count()
    rows = np.arange(len(out))[:, None, None]
    for here, values, valid, index in windows.laid_out():
        if samples.offset is not None:
            times = (index + samples.first) * samples.interval + samples.offset[:, None, None]
        else:
            assert samples.times is not None
            times = samples.times[rows, np.minimum(index, samples.times.shape[1] - 1)]
        origin = windows.now[None, here, None] if predict else times[:, :, :1]
        x = np.where(valid, times - origin, 0) / 1000.0
        y = np.where(valid, values, 0.0)
        many = np.maximum(count[:, here], 1)
        with np.errstate(all="ignore"):
            mean_x, mean_y = x.sum(axis=2) / many, y.sum(axis=2) / many
            apart_x = np.where(valid, x - mean_x[:, :, None], 0.0)
            apart_y = np.where(valid, y - mean_y[:, :, None], 0.0)
            slope = (apart_x * apart_y).sum(axis=2) / (apart_x * apart_x).sum(axis=2)
            level = mean_y - slope * mean_x
            first = values[:, :, 0]
            flat = (np.where(valid, values, first[:, :, None]) == first[:, :, None]).all(axis=2)
            unbounded = np.isinf(first)
            slope = np.where(flat, np.where(unbounded, np.nan, 0.0), slope)
            level = np.where(flat, np.where(unbounded, np.nan, first), level)
            out[:, here] = slope * windows.args[0][here] + level if predict else slope
    return out, windows.at_least(2)


def _smoothed(windows: Windows) -> Found:
    asked = (windows.count() > 0).any(axis=0)
    for value, name in zip(windows.args, ("smoothing", "trend"), strict=True):
        for one in value[asked].tolist():
            if not 0 < one < 1:
                letter = "sf" if name == "smoothing" else "tf"
                raise PromQLError(f"invalid {name} factor. Expected: 0 < {letter} < 1, got: {one:f}")
    out = np.zeros(windows.low.shape)
    for here, values, valid, _ in windows.laid_out():
        if values.shape[2] < 2:
            continue
        smooth, trend = (arg[None, here] for arg in windows.args)
        level, slope = values[:, :, 0], values[:, :, 1] - values[:, :, 0]
        before = level
        for k in range(1, values.shape[2]):
            more = valid[:, :, k]
            if k > 1:
                slope = np.where(more, trend * (level - before) + (1 - trend) * slope, slope)
            x, y = smooth * values[:, :, k], (1 - smooth) * (level + slope)
            before = np.where(more, level, before)
            level = np.where(more, x + y, level)
        out[:, here] = level
    return out, windows.at_least(2)


def quantile(q: Floats, values: Floats, valid: Bools) -> Floats:
    """The quantile along the last axis; NaN sorts first, nothing valid gives NaN.

    Args:
        q: broadcast against the other axes.
        values, valid: of equal shape.
    """
    count = valid.sum(axis=-1)
    # invalid ones are sorted to the end, NaN to the front
    keyed = np.where(np.isnan(values), -np.inf, values)
    order = np.lexsort((keyed, ~np.isnan(values), ~valid), axis=-1)
    ordered = np.take_along_axis(values, order, axis=-1)
    with np.errstate(all="ignore"):
        rank = np.nan_to_num(q, posinf=0, neginf=0) * (count - 1)
        rank = np.clip(rank, 0, np.maximum(count - 1, 0))
        lower = np.floor(rank).astype(np.int64)
        upper = np.minimum(lower + 1, np.maximum(count - 1, 0))
        weight = rank - lower
        below = np.take_along_axis(ordered, lower[..., None], axis=-1)[..., 0]
        above = np.take_along_axis(ordered, upper[..., None], axis=-1)[..., 0]
        out = below * (1 - weight) + above * weight
    out = np.where(q < 0, -np.inf, np.where(q > 1, np.inf, out))
    return np.where(np.isnan(q) | (count == 0), np.nan, out)


def _quantile_over_time(windows: Windows) -> Found:
    out = np.zeros(windows.low.shape)
    for here, values, valid, _ in windows.laid_out():
        if values.shape[2]:
            out[:, here] = quantile(np.broadcast_to(windows.args[0][here], valid.shape[:2]), values, valid)
    return out, windows.at_least(1)


def _sum(values: Floats, valid: Bools) -> Floats:
    with np.errstate(all="ignore"):
        out: Floats = np.where(valid, values, 0.0).sum(axis=2)
    return out


def _mean(values: Floats, valid: Bools) -> Floats:
    with np.errstate(all="ignore"):
        out: Floats = _sum(values, valid) / valid.sum(axis=2)
    return out


def _variance(values: Floats, valid: Bools) -> Floats:
    with np.errstate(all="ignore"):
        mean = _mean(values, valid)
        apart = np.where(valid, values - mean[:, :, None], 0.0)
        out: Floats = (apart * apart).sum(axis=2) / valid.sum(axis=2)
    return out


def _highest(values: Floats, valid: Bools) -> Floats:
    out: Floats = np.fmax.reduce(np.where(valid, values, np.nan), axis=2, initial=np.nan)
    return out


def _lowest(values: Floats, valid: Bools) -> Floats:
    out: Floats = np.fmin.reduce(np.where(valid, values, np.nan), axis=2, initial=np.nan)
    return out


def _count(windows: Windows) -> Found:
    count = windows.count()
    return count.astype(np.float64), count >= 1


def _ones(windows: Windows) -> Found:
    return np.ones(windows.low.shape), windows.at_least(1)


def _last(windows: Windows) -> Found:
    return windows.samples.values_at(windows.final), windows.at_least(1)


FUNCTIONS: dict[str, Callable[[Windows], Found]] = {
    "rate": lambda w: extrapolated(w, counter=True, rate=True),
    "increase": lambda w: extrapolated(w, counter=True, rate=False),
    "delta": lambda w: extrapolated(w, counter=False, rate=False),
    "irate": lambda w: _last_two(w, rate=True),
    "idelta": lambda w: _last_two(w, rate=False),
    "changes": _changes,
    "resets": _reset_count,
    "deriv": lambda w: _regression(w, predict=False),
    "predict_linear": lambda w: _regression(w, predict=True),
    "holt_winters": _smoothed,
    "double_exponential_smoothing": _smoothed,
    "sum_over_time": lambda w: w.reduced(_sum),
    "avg_over_time": lambda w: w.reduced(_mean),
    "min_over_time": lambda w: w.reduced(_lowest),
    "max_over_time": lambda w: w.reduced(_highest),
    "stdvar_over_time": lambda w: w.reduced(_variance),
    "stddev_over_time": lambda w: w.reduced(lambda v, m: np.sqrt(_variance(v, m))),
    "quantile_over_time": _quantile_over_time,
    "count_over_time": _count,
    "present_over_time": _ones,
    "last_over_time": _last,
}
"""By name; each takes windows and gives numbers and where there are any."""
__all__ = ["FUNCTIONS", "Windows", "extrapolated", "number", "quantile"]
