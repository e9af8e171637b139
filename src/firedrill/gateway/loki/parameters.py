"""The parameters of Loki's requests. Times in ns."""

from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple

from firedrill.gateway.loki.wire import Asked, Refusal
from firedrill.world.telemetry.logs.logql import LogQLError, default_step, parse
from firedrill.world.telemetry.logs.logql.nodes import Query
from firedrill.world.telemetry.logs.logql.units import SECOND, duration_of, prometheus_text

_HOUR = 3600 * SECOND
_LONGEST = 721 * _HOUR
_DIGITS = re.compile(r"-?\d{1,19}")
_DECIMAL = re.compile(r"-?\d{1,12}\.\d{0,9}")
_RFC3339 = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(Z|[+-]\d{2}:\d{2})")
_LAYOUT = "2006-01-02T15:04:05.999999999Z07:00"
_FAR = 4_000_000_000 * SECOND
_MOST_POINTS = 11_000
_MOST_LINES = 5_000


class Range(NamedTuple):
    """A query over a time range."""

    query: Query
    start: int
    end: int
    step: int
    limit: int
    interval: int
    backward: bool


def query(asked: Asked) -> Query:
    """The parsed query.

    Raises:
        Refusal: 400, it is none.
    """
    try:
        return parse(asked.first("query"))
    except LogQLError as error:
        raise Refusal(400, str(error)) from None


def bounds(asked: Asked, now: int, default: int = _HOUR) -> tuple[int, int]:
    """(start, end) of the request.

    Raises:
        Refusal: 400, they are no times, or end comes first.
    """
    end = moment(asked.first("end"), now)
    since = asked.first("since")
    span = _duration(since) if since else default
    start = moment(asked.first("start"), min(end, now) - span)
    if end < start:
        raise Refusal(400, "end timestamp must not be before or equal to start time")
    if end - start > _LONGEST:
        length = prometheus_text(end - start)
        raise Refusal(
            400,
            "the query time range exceeds the limit "
            f"(query length: {length}, limit: {prometheus_text(_LONGEST)})",
        )
    return start, end


def ranged(asked: Asked, now: int) -> Range:
    """All of a range query.

    Raises:
        Refusal: 400, something is wrong with it.
    """
    start, end = bounds(asked, now)
    if end == start:
        raise Refusal(400, "end timestamp must not be before or equal to start time")
    step = ranged_step(asked, start, end)
    interval = asked.first("interval")
    return Range(
        query(asked), start, end, step, limit(asked), _duration(interval) if interval else 0, _backward(asked)
    )


def limit(asked: Asked, default: int = 100) -> int:
    """Most lines.

    Raises:
        Refusal: 400, it is no positive number or too large.
    """
    text = asked.first("limit")
    if not text:
        return default
    if not _DIGITS.fullmatch(text):
        raise Refusal(400, f'strconv.Atoi: parsing "{text[:40]}": invalid syntax')
    if int(text) <= 0:
        raise Refusal(400, "limit must be a positive value")
    if int(text) > _MOST_LINES:
        raise Refusal(
            400,
            "max entries limit per query exceeded, limit > max_entries_limit_per_query "
            f"({text} > {_MOST_LINES})",
        )
    return int(text)


def _backward(asked: Asked) -> bool:
    text = asked.first("direction", "backward").lower()
    if text not in {"backward", "forward"}:
        raise Refusal(400, f"invalid direction '{asked.first('direction')[:40]}'")
    return text == "backward"


def ranged_step(asked: Asked, start: int, end: int) -> int:
    """The step of a range; there may be 11 000 of them.

    Raises:
        Refusal: 400, it is none or too small.
    """
    step = _step(asked, start, end)
    if (end - start) // step > _MOST_POINTS:
        raise Refusal(
            400,
            "exceeded maximum resolution of 11,000 points per time series. "
            "Try increasing the value of the step parameter",
        )
    return step


def _step(asked: Asked, start: int, end: int) -> int:
    text = asked.first("step")
    if not text:
        return default_step(start, end)
    try:
        step = int(float(text) * SECOND) if re.fullmatch(r"-?\d{1,12}(\.\d*)?", text) else duration_of(text)
    except (ValueError, OverflowError):
        raise Refusal(400, f'cannot parse "{text[:40]}" to a valid duration') from None
    if step <= 0:
        raise Refusal(
            400, "zero or negative query resolution step widths are not accepted. Try a positive integer"
        )
    return max(step, 1_000_000)


def _duration(text: str) -> int:
    try:
        return duration_of(text) if not text.isdecimal() else int(text[:9]) * SECOND
    except ValueError as error:
        raise Refusal(400, str(error)) from None


def moment(text: str, default: int) -> int:
    """A time: seconds, seconds with a fraction, ns, or RFC 3339.

    Raises:
        Refusal: 400, it is none, in the words of Go.
    """
    if not text:
        return default
    if _DECIMAL.fullmatch(text):
        whole, _, rest = text.partition(".")
        return _bounded(int(whole or "0") * SECOND + int(rest.ljust(9, "0")))
    if _DIGITS.fullmatch(text):
        return _bounded(int(text) * SECOND if len(text) <= 10 else int(text))
    found = _RFC3339.fullmatch(text)
    try:
        if found is not None:
            at = datetime.fromisoformat(found[1] + found[3].replace("Z", "+00:00"))
            return int(at.timestamp()) * SECOND + int((found[2] or "0").ljust(9, "0"))
    except ValueError:
        pass  # digits that are no date, such as a 13th month: refused below
    shown = text[:60]
    raise Refusal(400, f'parsing time "{shown}" as "{_LAYOUT}": cannot parse "{shown}" as "2006"')


def _bounded(ns: int) -> int:
    """A time within a century or so, so that sums with durations stay whole numbers of 64 bits."""
    return max(-_FAR, min(ns, _FAR))
