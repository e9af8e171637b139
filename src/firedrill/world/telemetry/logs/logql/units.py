"""Durations, sizes and numbers, as Go, Prometheus and go-humanize write and read them."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Final

SECOND: Final = 1_000_000_000
_UNITS = {
    "ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": SECOND, "m": 60 * SECOND,
    "h": 3600 * SECOND,
    "d": 86_400 * SECOND, "w": 604_800 * SECOND, "y": 31_536_000 * SECOND,
}  # fmt: skip
_PROMETHEUS = re.compile(
    r"(?:(?P<y>\d+)y)?(?:(?P<w>\d+)w)?(?:(?P<d>\d+)d)?(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+)s)?(?:(?P<ms>\d+)ms)?",
    re.ASCII,
)
_GO_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_LONGEST = 2_500_000_000 * SECOND
_SIZES = {
    "": 1, "b": 1, "k": 10**3, "kb": 10**3, "m": 10**6, "mb": 10**6, "g": 10**9, "gb": 10**9, "t": 10**12,
    "tb": 10**12,
    "p": 10**15, "pb": 10**15, "e": 10**18, "eb": 10**18, "ki": 2**10, "kib": 2**10, "mi": 2**20,
    "mib": 2**20,
    "gi": 2**30, "gib": 2**30, "ti": 2**40, "tib": 2**40, "pi": 2**50,
    "pib": 2**50, "ei": 2**60, "eib": 2**60,
}  # fmt: skip
_SIZE = re.compile(r"\s*([0-9][0-9.,]*)\s*([A-Za-z]*)\s*", re.ASCII)
_FLOAT = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|0[xX][0-9a-fA-F]+)", re.ASCII)


def prometheus_duration(text: str) -> int:
    """ns of `1h30m`, in the units of Prometheus, `y` to `ms`.

    Raises:
        ValueError: it is none, in the words of Prometheus.
    """
    if text == "0":
        return 0
    if not text:
        raise ValueError("empty duration string")
    found = _PROMETHEUS.fullmatch(text)
    if found is None or len(text) > 200:
        raise ValueError(_why_not(text))
    total = sum(int(count) * _UNITS[unit] for unit, count in found.groupdict().items() if count)
    if total > _LONGEST:
        raise ValueError("duration out of range")
    return total


def _why_not(text: str) -> str:
    rest = text[:200]
    while rest:
        found = re.match(r"(\d+)([^\d]*)", rest, re.ASCII)
        if found is None:
            break
        if found[2] not in _UNITS or found[2] in {"ns", "us", "µs", "μs"}:
            if not found[2]:
                break
            return f'unknown unit "{found[2]}" in duration "{text[:200]}"'
        rest = rest[found.end() :]
    return f'not a valid duration string: "{text[:200]}"'


def go_duration(text: str) -> int:
    """ns of `1.5s` or `-2h45m`, as Go's `time.ParseDuration` reads it.

    Raises:
        ValueError: it is none, in the words of Go.
    """
    rest, sign = text, 1
    if rest[:1] in {"+", "-"}:
        sign = -1 if rest[0] == "-" else 1
        rest = rest[1:]
    if rest == "0":
        return 0
    total, at = Decimal(0), 0
    while at < len(rest):
        found = _GO_PART.match(rest, at)
        if found is None or len(rest) > 200:
            raise ValueError(_go_complaint(text, rest[at:]))
        total += Decimal(found[1]) * _UNITS[found[2]]
        at = found.end()
    if not rest or total > _LONGEST:
        raise ValueError(f'time: invalid duration "{text[:200]}"')
    return sign * int(total)


def _go_complaint(text: str, rest: str) -> str:
    found = re.match(r"(?:\d+\.?\d*|\.\d+)([^\d.]*)", rest, re.ASCII)
    if found is None or len(text) > 200:
        return f'time: invalid duration "{text[:200]}"'
    if not found[1]:
        return f'time: missing unit in duration "{text}"'
    return f'time: unknown unit "{found[1]}" in duration "{text}"'


def duration_of(text: str) -> int:
    """ns of either form.

    Raises:
        ValueError: it is none.
    """
    try:
        return prometheus_duration(text)
    except ValueError:
        return go_duration(text)


def humanized_bytes(text: str) -> int:
    """Bytes of `10MB` or `1.5 KiB`.

    Raises:
        ValueError: it is no size, in the words of go-humanize.
    """
    found = _SIZE.fullmatch(text)
    if found is None or len(text) > 60:
        raise ValueError(f'strconv.ParseFloat: parsing "{text[:60]}": invalid syntax')
    unit = _SIZES.get(found[2].lower())
    if unit is None:
        raise ValueError(f"unhandled size name: {found[2].lower()}")
    try:
        return int(Decimal(found[1].replace(",", "")) * unit)
    except ArithmeticError:
        raise ValueError(f'strconv.ParseFloat: parsing "{found[1]}": invalid syntax') from None


def number(text: str) -> float:
    """A float as Go's `strconv.ParseFloat` reads it.

    Raises:
        ValueError: it is none.
    """
    found = _FLOAT.fullmatch(text)
    if found is not None and len(text) < 400:
        return float(int(text, 16)) if "x" in text.lower() else float(text)
    special = text.lower().lstrip("+-")
    if special in {"inf", "infinity", "nan"} and len(text) - len(special) <= 1:
        return float(text)
    raise ValueError(f'strconv.ParseFloat: parsing "{text[:200]}": invalid syntax')


def sample_text(value: float) -> str:
    """A value as Prometheus and Loki print it: the fewest digits, never an exponent."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == int(value) and abs(value) < 1e15:
        return str(int(value)) if value or math.copysign(1, value) > 0 else "-0"
    text = repr(value)
    return format(Decimal(text), "f").removesuffix(".0") if "e" in text else text.removesuffix(".0")


def go_duration_text(ns: int) -> str:
    """A duration as Go prints it: `1h0m0s`, `1.5s`, `250ms`."""
    if ns == 0:
        return "0s"
    sign, left = ("-", -ns) if ns < 0 else ("", ns)
    if left < SECOND:
        for unit, size in (("ms", 1_000_000), ("µs", 1_000), ("ns", 1)):
            if left >= size:
                return f"{sign}{_plain(Decimal(left) / size)}{unit}"
    hours, left = divmod(left, _UNITS["h"])
    minutes, left = divmod(left, _UNITS["m"])
    seconds = _plain(Decimal(left) / SECOND)
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}s"
    return f"{sign}{minutes}m{seconds}s" if minutes else f"{sign}{seconds}s"


def prometheus_text(ns: int) -> str:
    """A duration as Prometheus prints it: `30d1h`."""
    out, left = "", ns // 1_000_000
    for unit in ("y", "w", "d", "h", "m", "s", "ms"):
        size = _UNITS[unit] // 1_000_000
        # weeks and years are only used where nothing is left over
        if unit in {"y", "w"} and left % size:
            continue
        count, left = divmod(left, size)
        out += f"{count}{unit}" if count else ""
    return out or "0s"


def _plain(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
