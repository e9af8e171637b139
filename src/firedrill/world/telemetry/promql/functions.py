"""Functions of instant vectors: arithmetic, the calendar, and labels."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from firedrill.world.telemetry import labels as label_sets
from firedrill.world.telemetry.labels import Labels, LabelSets
from firedrill.world.telemetry.matching import capturing
from firedrill.world.telemetry.promql.aggregation import is_label
from firedrill.world.telemetry.promql.errors import PromQLError
from firedrill.world.telemetry.promql.values import Floats, Ints, Vec, settle

SIMPLE: dict[str, Callable[[Floats], Floats]] = {
    "abs": np.abs,
    "acos": np.arccos,
    "acosh": np.arccosh,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "ceil": np.ceil,
    "cos": np.cos,
    "cosh": np.cosh,
    "deg": np.degrees,
    "exp": np.exp,
    "floor": np.floor,
    "ln": np.log,
    "log10": np.log10,
    "log2": np.log2,
    "rad": np.radians,
    "sgn": np.sign,
    "sin": np.sin,
    "sinh": np.sinh,
    "sqrt": np.sqrt,
    "tan": np.tan,
    "tanh": np.tanh,
}
"""Of one number each."""

_DAY_S = 86_400
_FAR_S = 1 << 55


def _days(values: Floats) -> Ints:
    out: Ints = np.floor_divide(_seconds(values), _DAY_S)
    return out


def _seconds(values: Floats) -> Ints:
    with np.errstate(invalid="ignore"):
        return np.clip(np.nan_to_num(values), -_FAR_S, _FAR_S).astype(np.int64)


def _civil(days: Ints) -> tuple[Ints, Ints, Ints]:
    """Year, month and day of days since 1970."""
    shifted = days + 719_468
    era = shifted // 146_097
    of_era = shifted - era * 146_097
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    part = (5 * of_year + 2) // 153
    month = np.where(part < 10, part + 3, part - 9)
    year = year_of_era + era * 400 + (month <= 2)
    return year, month, of_year - (153 * part + 2) // 5 + 1


def _leap(year: Ints) -> Ints:
    out: Ints = ((year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))).astype(np.int64)
    return out


_LENGTHS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_BEFORE = np.r_[0, np.cumsum(_LENGTHS)[:-1]]


def _days_in_month(values: Floats) -> Ints:
    year, month, _ = _civil(_days(values))
    out: Ints = _LENGTHS[month - 1] + (month == 2) * _leap(year)
    return out


def _day_of_year(values: Floats) -> Ints:
    year, month, day = _civil(_days(values))
    out: Ints = _BEFORE[month - 1] + (month > 2) * _leap(year) + day
    return out


CALENDAR: dict[str, Callable[[Floats], Ints]] = {
    "minute": lambda v: _seconds(v) // 60 % 60,
    "hour": lambda v: _seconds(v) // 3600 % 24,
    "day_of_week": lambda v: (_days(v) + 4) % 7,
    "day_of_month": lambda v: _civil(_days(v))[2],
    "day_of_year": _day_of_year,
    "days_in_month": _days_in_month,
    "month": lambda v: _civil(_days(v))[1],
    "year": lambda v: _civil(_days(v))[0],
}
"""Of times in seconds since 1970, UTC."""


def mapped(vector: Vec, function: Callable[[Floats], Floats]) -> Vec:
    """Each value through a function; metrics lose their names."""
    with np.errstate(all="ignore"):
        return Vec(vector.labels, function(vector.values), vector.present).nameless()


def calendar(vector: Vec, function: Callable[[Floats], Ints]) -> Vec:
    """Each value as a time."""
    values = function(vector.values).astype(np.float64)
    return Vec(vector.labels, values, vector.present).nameless()


def rounded(vector: Vec, to: Floats) -> Vec:
    """To the nearest multiple; halves go up."""
    with np.errstate(all="ignore"):
        inverse = 1.0 / to
        return mapped(vector, lambda v: np.floor(v * inverse + 0.5) / inverse)


def clamped(vector: Vec, low: Floats | None, high: Floats | None) -> Vec:
    """Values within bounds; bounds the wrong way round leave nothing."""
    values = vector.values
    with np.errstate(invalid="ignore"):
        if high is not None:
            values = np.minimum(values, high)
        if low is not None:
            values = np.maximum(values, low)
        present = vector.present
        if low is not None and high is not None and bool((low > high).any()):
            fits = np.broadcast_to(~(low > high), values.shape)
            present = fits if present is None else fits & present
    return Vec(vector.labels, values, present).nameless()


def scalar_of(vector: Vec) -> Floats:
    """The value of the only element; NaN where there is another number of them."""
    if not len(vector.labels):
        return np.full(vector.values.shape[1], np.nan)
    there = vector.there()
    total = np.where(there, vector.values, 0.0).sum(axis=0)
    return np.where(there.sum(axis=0) == 1, total, np.nan)


def sorted_by_value(vector: Vec, *, down: bool) -> Vec:
    """Elements at the only step in order of their values, NaN last."""
    if vector.values.shape[1] != 1:
        return vector
    values = vector.values[:, 0]
    keys = -values if down else values
    order = np.lexsort((keys, np.isnan(values)))
    if vector.present is not None:
        order = order[vector.present[order, 0]]
    return Vec(vector.labels.take(order), vector.values[order], None)


# --- labels


def label_replace(vector: Vec, target: str, replacement: str, source: str, pattern: str) -> Vec:
    """Set a label from another one where all of that fits an expression.

    Raises:
        PromQLError: the expression is none, the target cannot be a label, or two elements become equal.
    """
    try:
        expression = capturing(pattern)
    except ValueError:
        raise PromQLError(f"invalid regular expression in label_replace(): {pattern}") from None
    if not is_label(target):
        raise PromQLError(f"invalid destination label name in label_replace(): {target}")
    key = ("label_replace", target, replacement, source, pattern)
    made: LabelSets | None = vector.labels.kept(key)
    if made is None:
        known: dict[str, str | None] = {}
        out = []
        for item, text in zip(vector.labels.items, vector.labels.column(source), strict=True):
            if text not in known:
                match = expression(text)
                known[text] = None if match is None else _expand(replacement, match)
            new = known[text]
            out.append(item if new is None else label_sets.make({**dict(item), target: new}))
        made = vector.labels.keep(key, LabelSets(out))
    return settle(Vec(made, vector.values, vector.present), ever=True)


_REFERENCE = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})", re.ASCII)


def _expand(template: str, match: re.Match[str]) -> str:
    """`$1`, `${1}`, `$name` as the groups of a match; a name takes all letters that follow."""

    def one(reference: re.Match[str]) -> str:
        if reference[1]:
            return "$"
        name = reference[2] or reference[3]
        if name.isdecimal():
            number = int(name) if len(name) < 6 else -1
            return (match[number] or "") if 0 <= number <= (match.re.groups) else ""
        return (match[name] or "") if name in match.re.groupindex else ""

    return _REFERENCE.sub(one, template)


def label_join(vector: Vec, target: str, separator: str, sources: tuple[str, ...]) -> Vec:
    """Set a label to the values of others.

    Raises:
        PromQLError: a name cannot be a label's, or two elements become equal.
    """
    for name in sources:
        if not is_label(name):
            raise PromQLError(f"invalid source label name in label_join(): {name}")
    if not is_label(target):
        raise PromQLError(f"invalid destination label name in label_join(): {target}")
    key = ("label_join", target, separator, sources)
    made: LabelSets | None = vector.labels.kept(key)
    if made is None:
        out: list[Labels] = []
        for item in vector.labels.items:
            pairs = dict(item)
            out.append(
                label_sets.make({**pairs, target: separator.join(pairs.get(name, "") for name in sources)})
            )
        made = vector.labels.keep(key, LabelSets(out))
    return settle(Vec(made, vector.values, vector.present), ever=True)
