"""`rate`, `increase` and `delta` at one moment, of rows that were scraped through the whole window.

What rules ask for, over and over. The numbers are those of `windows.extrapolated`, to the last bit; what
depends only on when samples were taken is worked out once for all rows that are scraped together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from firedrill.world.telemetry.promql.options import Options
from firedrill.world.telemetry.promql.values import Floats, Ints
from firedrill.world.telemetry.selection import Going, Rows

if TYPE_CHECKING:
    from firedrill.world.telemetry.store import SeriesStore

STRETCHED = frozenset({"rate", "increase", "delta"})
_CLASSES = 4
"""More kinds of rows than a store of three moments has are left to `windows`."""


class _Window(NamedTuple):
    """The samples of a class of rows in the window; times in seconds.

    Attributes:
        low, high: from the first one up to behind the last one.
        valid: up to where there are samples at all.
        scale: of the change between the first and the last.
        sampled, average, threshold, to_end: from first to last, between two, and what is near; to the end.
        bound: how much of what was sampled a counter may have come from zero.
    """

    low: int
    high: int
    valid: int
    scale: float
    sampled: float
    average: float
    threshold: float
    to_end: float
    bound: float


def at_one_moment(
    store: SeriesStore, rows: Rows, window: tuple[int, int], function: str, options: Options
) -> tuple[Floats, Going, int] | None:
    """The function of each row that goes on, which ones these are, and how many samples were looked at.

    Args:
        store: of the rows.
        rows: which ones.
        window: its start and its end in ms.
        function: one of `STRETCHED`.
        options: how queries are answered.

    Returns:
        None where a row has fewer than two samples or a reset there, or ended or began in it: then the
        general way has to be gone. The others have nothing in the window.
    """
    start, stop = window
    interval, going = store.interval_ms, rows.going
    if going is None or len(going.times.offset) > _CLASSES or going.ended * interval > start:
        return None
    times = going.times
    if times.last > max(start // interval - 1, store.floor):
        return None
    offsets = times.offset.tolist()
    behind = [(store.until_ms - offset) // interval + 1 for offset in offsets]
    first = max(start // interval - 1, times.first, store.floor)
    last = min(stop // interval + 1, max(behind))
    found = []
    for offset, until in zip(offsets, behind, strict=True):
        valid = min(until, last) - first
        base = offset + first * interval
        low = (start - base) // interval + 1 if options.left_open else -((base - start) // interval)
        low, high = max(low, 0), min((stop - base) // interval + 1, valid)
        if high - low < 2:
            return None
        span = (stop - start) / 1000.0 if function == "rate" else 1.0
        found.append(_stretched(low, high, valid, (base, interval), window, span, options))
    values = store.gather(going.rows, first, last)
    counter = function != "delta"
    if counter and _fell(values, found, times.codes):
        return None
    span = (stop - start) / 1000.0 if function == "rate" else 1.0
    return _change(values, found, times.codes, span, options, counter=counter), going, values.size


def _stretched(
    low: int,
    high: int,
    valid: int,
    line: tuple[int, int],
    window: tuple[int, int],
    span: float,
    options: Options,
) -> _Window:
    base, interval = line
    begin, end = base + low * interval, base + (high - 1) * interval
    sampled = (end - begin) / 1000.0
    average = sampled / (high - low - 1)
    to_start, to_end = (begin - window[0]) / 1000.0, (window[1] - end) / 1000.0
    threshold = average * 1.1
    to_end = average / 2 if to_end >= threshold else to_end
    near = average / 2 if to_start >= threshold else to_start
    bound = (to_start if options.clamp_zero_first else near) / sampled
    scale = (sampled + near + to_end) / sampled / span
    return _Window(low, high, valid, scale, sampled, average, threshold, to_end, bound)


def _fell(values: Floats, found: list[_Window], codes: Ints) -> bool:
    """Whether a counter was reset among the samples."""
    least, most = min(one.valid for one in found), max(one.valid for one in found)
    if np.count_nonzero(values[:, 1:least] < values[:, : least - 1]):
        return True
    if least == most:
        return False
    fell = values[:, least:most] < values[:, least - 1 : most - 1]
    if not np.count_nonzero(fell):
        return False
    ends = np.array([one.valid for one in found])[codes]
    return bool(np.count_nonzero(fell & (np.arange(least, most) < ends[:, None])))


def _change(
    values: Floats, found: list[_Window], codes: Ints, span: float, options: Options, *, counter: bool
) -> Floats:
    one = found[0] if all(item == found[0] for item in found) else None
    with np.errstate(all="ignore"):
        if one is not None:
            first, scale, bound = values[:, one.low], one.scale, one.bound
            change = values[:, one.high - 1] - first
            out: Floats = change * scale
            limit = change * bound
        else:
            row = np.arange(len(values))
            first = values[row, np.array([item.low for item in found])[codes]]
            change = values[row, np.array([item.high - 1 for item in found])[codes]] - first
            out = change * np.array([item.scale for item in found])[codes]
            limit = change * np.array([item.bound for item in found])[codes]
        if not counter or not np.count_nonzero(change):
            return out
        clamped = first < limit
        clamped &= change > 0
        clamped &= first >= 0
        if np.count_nonzero(clamped):
            for place in clamped.nonzero()[0].tolist():
                here = found[int(codes[place])]
                to_zero = here.sampled * (float(first[place]) / float(change[place]))
                if options.clamp_zero_first and to_zero >= here.threshold:
                    to_zero = here.average / 2
                factor = (here.sampled + to_zero + here.to_end) / here.sampled
                out[place] = float(change[place]) * (factor / span)
    return out
