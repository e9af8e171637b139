"""Moments in the layouts of Go, which spell out Mon Jan 2 15:04:05 MST 2006. All in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import NamedTuple


class Moment(NamedTuple):
    """ns since the Unix epoch."""

    ns: int


_PARTS = re.compile(
    r"2006|January|Jan|Monday|Mon|MST|Z07:00|-07:00|-0700|[.,]0+|[.,]9+|01|02|03|04|05|06|002|15|PM|pm|_2|[1-5]"
)
_NAMED = {
    "2006": "%Y", "January": "%B", "Jan": "%b", "Monday": "%A", "Mon": "%a", "01": "%m", "02": "%d",
    "03": "%I",    "04": "%M", "05": "%S", "06": "%y", "002": "%j", "15": "%H", "PM": "%p",
}  # fmt: skip
_KNOWN = {
    "ANSIC": "Mon Jan _2 15:04:05 2006",
    "RFC3339": "2006-01-02T15:04:05Z07:00",
}


def layout(moment: Moment, form: str) -> str:
    """A moment in a layout."""
    seconds, rest = divmod(moment.ns, 1_000_000_000)
    when = datetime.fromtimestamp(seconds, UTC)

    def one(found: re.Match[str]) -> str:
        part = found[0]
        if part in _NAMED:
            return when.strftime(_NAMED[part])
        if part[0] in ".,":
            digits = f"{rest:09d}"[: len(part) - 1]
            if part[1] == "9":
                digits = digits.rstrip("0")
                return part[0] + digits if digits else ""
            return part[0] + digits
        other = {
            "MST": "UTC", "Z07:00": "Z", "-07:00": "+00:00", "-0700": "+0000",
            "pm": when.strftime("%p").lower(),
            "_2": f"{when.day:2d}", "1": str(when.month), "2": str(when.day), "3": str(when.hour % 12 or 12),
            "4": str(when.minute), "5": str(when.second),
        }  # fmt: skip
        return other[part]

    return _PARTS.sub(one, _KNOWN.get(form, form))


_READ = {
    "2006": r"(?P<Y>\d{4})", "01": r"(?P<m>\d{2})", "1": r"(?P<m>\d{1,2})", "02": r"(?P<d>\d{2})",
    "_2": r"\s?(?P<d>\d{1,2})",
    "2": r"(?P<d>\d{1,2})", "15": r"(?P<H>\d{2})", "04": r"(?P<M>\d{2})",
    "05": r"(?P<S>\d{2})(?:[.,](?P<f>\d{1,9}))?",
    "Jan": r"(?P<b>[A-Z][a-z]{2})", "Mon": r"[A-Z][a-z]{2}", "MST": r"[A-Z]{3,4}",
    "Z07:00": r"(?P<z>Z|[+-]\d{2}:\d{2})",
    "-07:00": r"(?P<z>[+-]\d{2}:\d{2})", "-0700": r"(?P<z>[+-]\d{4})", "January": r"(?P<b>[A-Z][a-z]+)",
}  # fmt: skip
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@lru_cache(maxsize=64)
def _reader(form: str) -> re.Pattern[str]:
    out, at = [], 0
    for found in _PARTS.finditer(form):
        out.append(re.escape(form[at : found.start()]))
        part = found[0]
        if part[0] in ".,":
            at = found.end()
            continue  # fractions are taken with the seconds
        if part not in _READ:
            raise ValueError(f"the layout {part!r} cannot be read")
        out.append(_READ[part])
        at = found.end()
    try:
        return re.compile("".join([*out, re.escape(form[at:])]), re.ASCII)
    except re.error:
        raise ValueError("the layout names a part twice") from None


def parse(text: str, form: str) -> Moment:
    """The moment that a text in a layout says.

    Raises:
        ValueError: the text does not fit.
    """
    found = _reader(_KNOWN.get(form, form)).fullmatch(text)
    if found is None:
        raise ValueError(f'parsing time "{text[:80]}" as "{form[:80]}": cannot parse')
    part = {key: value for key, value in found.groupdict().items() if value}
    month = _MONTHS.index(part["b"][:3]) + 1 if "b" in part else int(part.get("m", 1))
    zone = part.get("z", "Z").replace(":", "")
    shift = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:])) if zone != "Z" else timedelta()
    when = datetime(
        int(part.get("Y", 1970)), month, int(part.get("d", 1)), int(part.get("H", 0)), int(part.get("M", 0)),
        int(part.get("S", 0)), tzinfo=timezone(-shift if zone[0] == "-" else shift),
    )  # fmt: skip
    return Moment(int(when.timestamp()) * 1_000_000_000 + int(part.get("f", "0").ljust(9, "0")))
