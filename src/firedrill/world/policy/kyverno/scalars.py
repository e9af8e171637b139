"""Durations, quantities and the texts of values, as Go reads and prints them."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

from firedrill.world.kube.quantity import parse

_UNITS = {
    "ns": Fraction(1, 10**9),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),
    "μs": Fraction(1, 10**6),
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
}
_PART = r"(\d{1,18}(?:\.\d{0,18})?|\.\d{1,18})(ns|us|µs|μs|ms|s|m|h)"
_DURATION = re.compile(rf"[+-]?(?:{_PART})+")
_PIECE = re.compile(_PART)
TEXT_LIMIT = 1_000_000


@lru_cache(maxsize=4096)
def duration(text: str) -> Fraction | None:
    """Seconds, or None for what is no duration of Go (`1h30m`, `-5s`, `0`)."""
    if text in ("0", "+0", "-0"):
        return Fraction(0)
    if len(text) > 128 or _DURATION.fullmatch(text) is None:
        return None
    total = sum(
        (Fraction(Decimal(number)) * _UNITS[unit] for number, unit in _PIECE.findall(text)), Fraction()
    )
    return -total if text.startswith("-") else total


@lru_cache(maxsize=4096)
def quantity(text: str) -> Fraction | None:
    """The number, or None for what is no quantity."""
    try:
        return parse(text)
    except ValueError:
        return None


def duration_text(seconds: Fraction) -> str:
    """As Go prints a duration: `1h30m0s`, `1.5s`, `100ms`."""
    nanos = round(seconds * 10**9)
    sign, nanos = ("-" if nanos < 0 else ""), abs(nanos)
    if nanos == 0:
        return "0s"
    if nanos < 10**9:
        for unit, size in (("ms", 10**6), ("µs", 10**3), ("ns", 1)):
            if nanos >= size:
                return f"{sign}{_decimal(nanos, size)}{unit}"
    minutes, rest = divmod(nanos, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{head}{_decimal(rest, 10**9)}s"


def _decimal(value: int, size: int) -> str:
    whole, rest = divmod(value, size)
    if not rest:
        return str(whole)
    return f"{whole}.{str(rest).zfill(len(str(size)) - 1).rstrip('0')}"


def is_number(value: Any) -> bool:
    """An integer or a float, never a boolean."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def whole(value: float) -> float:
    """The same number, as an integer where it has no fraction."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)
    return value


def float_text(value: float) -> str:
    """As Go's `%v`: no exponent below 1e21 and from 1e-4."""
    if isinstance(value, int):
        return str(value)
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    shown = repr(value)
    if "e" not in shown:
        return shown
    mantissa, exponent = shown.split("e")
    number = int(exponent)
    return f"{mantissa}e{'-' if number < 0 else '+'}{abs(number):02d}"


def as_text(value: Any) -> str:
    """As Go's `Sprint` shows a value of JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return float_text(value)
    if isinstance(value, list):
        return "[" + " ".join(as_text(item) for item in value) + "]"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{as_text(value[key])}" for key in sorted(value)) + "]"
    return str(value)


def as_json(value: Any) -> str:
    """Compact JSON with sorted keys, as Go marshals maps."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
