"""Values against the leaves of a pattern: operators, ranges, `|`, `&`, quantities, durations, wildcards."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal

from firedrill.world.policy.kyverno import wildcard
from firedrill.world.policy.kyverno.scalars import duration, is_number, quantity

Operator = Literal["", ">=", "<=", ">", "<", "!", "-", "!-"]

_BOUND = r"[-+]?\d+(?:\.\d+)?[A-Za-z]*"
_RANGE = re.compile(rf"({_BOUND})-({_BOUND})")
_NO_RANGE = re.compile(rf"({_BOUND})!-({_BOUND})")
_LONGEST = 10_000


@lru_cache(maxsize=8192)
def operator_of(pattern: str) -> Operator:
    """The operator at the start of a pattern, `-` and `!-` for ranges, empty for equality."""
    if len(pattern) < 2:
        return ""
    if pattern[:2] == ">=":
        return ">="
    if pattern[:2] == "<=":
        return "<="
    if pattern[0] == ">":
        return ">"
    if pattern[0] == "<":
        return "<"
    if pattern[0] == "!":
        return "!"
    if len(pattern) < 256 and "-" in pattern:
        if _NO_RANGE.fullmatch(pattern):
            return "!-"
        if _RANGE.fullmatch(pattern):
            return "-"
    return ""


def bounds(pattern: str) -> tuple[str, str]:
    """Both ends of a range."""
    found = _NO_RANGE.fullmatch(pattern) or _RANGE.fullmatch(pattern)
    return (found[1], found[2]) if found else (pattern, pattern)


def leaf(value: Any, pattern: Any) -> bool:
    """Whether a value fits a pattern that is no list.

    A map as pattern asks only for a map. A text may hold alternatives (`a | b`) of conjunctions (`>1 & <5`).
    """
    if isinstance(pattern, bool):
        return isinstance(value, bool) and value == pattern
    if is_number(pattern):
        return _number(value, pattern)
    if pattern is None:
        return _nothing(value)
    if isinstance(pattern, str):
        return text(value, pattern)
    return isinstance(pattern, dict) and isinstance(value, dict)


def _number(value: Any, pattern: float) -> bool:
    if is_number(value):
        return bool(value == pattern)
    if not isinstance(value, str):
        return False
    try:
        found = int(value, 10) if isinstance(pattern, int) else float(value)
    except ValueError:
        return False
    return value.strip() == value and "_" not in value and found == pattern


def _nothing(value: Any) -> bool:
    if isinstance(value, dict | list):
        return False
    return value is None or not value


def text(value: Any, pattern: str) -> bool:
    """Whether a value fits a pattern that is a text."""
    if isinstance(value, str) and value == pattern:
        return True
    return any(
        all(_term(value, term.strip(" ")) for term in alternative.strip(" ").split("&"))
        for alternative in pattern.split("|")
    )


def _term(value: Any, pattern: str) -> bool:
    operator = operator_of(pattern)
    if operator == "-":
        low, high = bounds(pattern)
        return _compared(value, low, ">=") and _compared(value, high, "<=")
    if operator == "!-":
        low, high = bounds(pattern)
        return _compared(value, low, "<") or _compared(value, high, ">")
    return _compared(value, pattern[len(operator) :].strip(), operator)


def _compared(value: Any, pattern: str, operator: Operator) -> bool:
    return (
        _by(duration, value, pattern, operator)
        or _by(quantity, value, pattern, operator)
        or _as_text(value, pattern, operator)
    )


def _by(read: Any, value: Any, pattern: str, operator: Operator) -> bool:
    wanted = read(pattern)
    given = read(_digits(value)) if wanted is not None else None
    return given is not None and holds(given, wanted, operator)


def _digits(value: Any) -> str:
    if value is None:
        return "0"
    if isinstance(value, str):
        return value if len(value) < 64 else ""
    if isinstance(value, float):
        return f"{value:f}"
    return str(value) if is_number(value) else ""


def holds(left: Fraction | float, right: Fraction | float, operator: str) -> bool:
    """The comparison."""
    if operator == ">=":
        return left >= right
    if operator == "<=":
        return left <= right
    if operator == ">":
        return left > right
    if operator == "<":
        return left < right
    return (left != right) if operator == "!" else left == right


def _as_text(value: Any, pattern: str, operator: Operator) -> bool:
    if operator not in ("", "!"):
        return False
    shown = _shown(value)
    if shown is None or len(shown) > 100 * _LONGEST or len(pattern) > _LONGEST:
        return False
    return wildcard.match(pattern, shown) == (operator == "")


def _shown(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        mantissa, _, exponent = f"{value:.17E}".partition("E")
        shortest = repr(value)
        if "e" in shortest:
            mantissa = shortest.partition("e")[0]
        else:
            digits = shortest.replace("-", "").replace(".", "").strip("0") or "0"
            mantissa = ("-" if value < 0 else "") + digits[0] + ("." + digits[1:] if digits[1:] else "")
        return f"{mantissa}E{exponent[0]}{exponent[1:].zfill(2)}"
    return str(value) if isinstance(value, int) else None
