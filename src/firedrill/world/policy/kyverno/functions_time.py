"""Times, in the layouts of Go, at the time of the world."""

from __future__ import annotations

import datetime
import hashlib
import random
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from firedrill.world.policy.kyverno.scalars import duration, duration_text

_UTC = datetime.UTC
_LAYOUT = (
    ("2006", "%Y"),
    ("January", "%B"),
    ("Jan", "%b"),
    ("Monday", "%A"),
    ("Mon", "%a"),
    ("01", "%m"),
    ("02", "%d"),
    ("15", "%H"),
    ("03", "%I"),
    ("04", "%M"),
    ("05", "%S"),
    ("PM", "%p"),
    ("MST", "%Z"),
    ("Z07:00", "%z"),
    ("-07:00", "%z"),
    ("-0700", "%z"),
)
_STAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def parse(text: str, layout: str = "") -> datetime.datetime:
    """A time.

    Raises:
        ValueError: the text does not fit the layout.
    """
    if layout:
        given = "".join(_directives(layout))
        found = datetime.datetime.strptime(text, given)  # noqa: DTZ007 - a layout may have no zone
        return found if found.tzinfo else found.replace(tzinfo=_UTC)
    match = _STAMP.fullmatch(text)
    if match is None:
        raise ValueError(
            f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse "{text}" as "2006"'
        )
    zone = _UTC
    if match[8] not in ("Z", "z"):
        sign = -1 if match[8][0] == "-" else 1
        hours, minutes = match[8][1:].split(":")
        zone = datetime.timezone(sign * datetime.timedelta(hours=int(hours), minutes=int(minutes)))
    micro = int((match[7] or "0").ljust(6, "0")[:6])
    year, month, day, hour, minute, second = (int(match[at]) for at in range(1, 7))
    return datetime.datetime(year, month, day, hour, minute, second, micro, zone)


def _directives(layout: str) -> list[str]:
    out, at = [], 0
    while at < len(layout):
        for go, python in _LAYOUT:
            if layout.startswith(go, at):
                out.append(python)
                at += len(go)
                break
        else:
            out.append("%%" if layout[at] == "%" else layout[at])
            at += 1
    return out


def show(time: datetime.datetime) -> str:
    """RFC 3339, with `Z` for UTC."""
    text = time.replace(microsecond=0).isoformat()
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


def _now(now: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(now / 1000, _UTC)


def _between(start: datetime.datetime, end: datetime.datetime) -> str:
    delta = end - start
    return duration_text(Fraction(delta.days * 86400 + delta.seconds) + Fraction(delta.microseconds, 10**6))


def _since(now: int, layout: str, start: str, end: str) -> str:
    return _between(parse(start, layout), parse(end, layout) if end else _now(now))


def _diff(now: int, start: str, end: str) -> str:
    return _between(parse(start), parse(end))


def _seconds(text: str) -> Fraction:
    found = duration(text)
    if found is None:
        raise ValueError(f'time: invalid duration "{text}"')
    return found


def _add(now: int, time: str, text: str) -> str:
    return show(parse(time) + datetime.timedelta(microseconds=int(_seconds(text) * 10**6)))


def _parse(now: int, layout: str, text: str) -> str:
    if layout.isdigit() and text.isdigit():
        return show(datetime.datetime.fromtimestamp(int(text), _UTC))
    return show(parse(text, layout))


def _truncate(now: int, time: str, text: str) -> str:
    size = int(_seconds(text) * 10**6)
    given = parse(time)
    if size <= 0:
        return show(given)
    start = datetime.datetime(1, 1, 1, tzinfo=_UTC)
    past = (given - start) // datetime.timedelta(microseconds=1)
    return show(given - datetime.timedelta(microseconds=past % size))


def _cron(now: int, time: str) -> str:
    at = parse(time).astimezone(_UTC)
    return f"{at.minute} {at.hour} {at.day} {at.month} {at.isoweekday() % 7}"


_CLASS = re.compile(r"\[([^\]]{1,100})\]|\\([dw])|(.)", re.DOTALL)
_COUNT = re.compile(r"\{(\d{1,4})(?:,(\d{1,4}))?\}")


def _random(now: int, pattern: str) -> str:
    """A text that fits a simple regular expression: classes with counts; the same one at the same time."""
    seed = hashlib.sha256(f"{now}/{pattern}".encode()).digest()
    draw = random.Random(seed)  # noqa: S311 - the same world gives the same text
    out: list[str] = []
    at = 0
    while at < len(pattern) and len(out) < 10_000:
        found = _CLASS.match(pattern, at)
        if found is None:
            break
        at = found.end()
        letters = (
            _letters(found[1])
            if found[1]
            else "0123456789"
            if found[2] == "d"
            else found[3] or _letters("a-zA-Z0-9_")
        )
        count = _COUNT.match(pattern, at)
        times = 1
        if count:
            at = count.end()
            times = min(int(count[1]), 10_000)
        out.extend(draw.choice(letters) for _ in range(times))
    return "".join(out)


def _letters(text: str) -> str:
    out: list[str] = []
    at = 0
    while at < len(text):
        if at + 2 < len(text) and text[at + 1] == "-":
            out.extend(
                chr(code) for code in range(ord(text[at]), min(ord(text[at + 2]), ord(text[at]) + 200) + 1)
            )
            at += 3
        else:
            out.append(text[at])
            at += 1
    return "".join(out)


S = "string"
ENTRIES: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "time_since": (_since, (S, S, S)),
    "time_now": (lambda now: show(_now(now)), ()),
    "time_now_utc": (lambda now: show(_now(now)), ()),
    "time_utc": (lambda now, time: show(parse(time).astimezone(_UTC)), (S,)),
    "time_to_cron": (_cron, (S,)),
    "time_add": (_add, (S, S)),
    "time_parse": (_parse, (S, S)),
    "time_diff": (_diff, (S, S)),
    "time_before": (lambda now, one, other: parse(one) < parse(other), (S, S)),
    "time_after": (lambda now, one, other: parse(one) > parse(other), (S, S)),
    "time_between": (lambda now, time, low, high: parse(low) < parse(time) < parse(high), (S, S, S)),
    "time_truncate": (_truncate, (S, S)),
    "random": (_random, (S,)),
}
