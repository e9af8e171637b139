"""Moments as programs write them in their lines, in ns since the Unix epoch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache

_CLOCKS: Mapping[str, tuple[str, str, int]] = {
    "at_rfc": ("%Y-%m-%dT%H:%M:%S.", "Z", 3),
    "at_clock": ("%Y-%m-%dT%H:%M:%S.", "", 6),
    "at_log4j": ("%Y-%m-%d %H:%M:%S.", "", 3),
    "at_python": ("%Y-%m-%d %H:%M:%S,", "", 3),
    "at_go": ("%Y/%m/%d %H:%M:%S", "", 0),
    "at_redis": ("%d %b %Y %H:%M:%S.", "", 3),
    "at_apache": ("%d/%b/%Y:%H:%M:%S", " +0000", 0),
    "at_php": ("%Y-%m-%dT%H:%M:%S.", "+00:00", 6),
    "at_nginx": ("%Y/%m/%d %H:%M:%S", "", 0),
    "at_second": ("%Y-%m-%dT%H:%M:%S", "Z", 0),
    "at_mysql": ("%Y-%m-%d %H:%M:%S", "+00:00", 0),
    "at_klog": ("%m%d %H:%M:%S.", "", 6),
    "at_ctime": ("%a %b %d %H:%M:%S %Y", "", 0),
    "at_mongo": ("%Y-%m-%dT%H:%M:%S.", "+00:00", 3),
    "at_micro": ("%Y-%m-%dT%H:%M:%S.", "Z", 6),
}
"""By form: what stands before and behind the digits of a second's parts, and how many of these there are."""
_NAMED = re.compile(r"\{(" + "|".join([*_CLOCKS, "at_ms", "at_epoch"]) + r")\}")


@lru_cache(maxsize=16_384)
def _date(form: str, seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(form)


def moment(name: str, ns: int) -> str:
    """A moment in one of the forms `at_...`."""
    seconds, rest = divmod(ns, 1_000_000_000)
    if name == "at_ms":
        return str(ns // 1_000_000)
    if name == "at_epoch":
        return f"{seconds}.{rest // 1000:06d}"
    before, behind, digits = _CLOCKS[name]
    return _date(before, seconds) + (f"{rest:09d}"[:digits] if digits else "") + behind


def moments(name: str, every: Sequence[int]) -> list[str]:
    """Many moments in one of the forms `at_...`."""
    clock = _CLOCKS.get(name)
    if clock is None:
        return [moment(name, ns) for ns in every]
    before, behind, digits = clock
    form = f"%s%0{digits}d{behind}" if digits else f"%s{behind}%.0s"
    unit = 10 ** (9 - digits)
    return [form % (_date(before, ns // 1_000_000_000), ns % 1_000_000_000 // unit) for ns in every]


def stamped(text: str, ns: int, host: str) -> str:
    """A line with the moment in place of each `{at_...}`, and where it is written in place of `{at_host}`."""
    if "{at_" not in text:
        return text
    return _NAMED.sub(lambda found: moment(found[1], ns), text.replace("{at_host}", host))


__all__ = ["moment", "moments", "stamped"]
