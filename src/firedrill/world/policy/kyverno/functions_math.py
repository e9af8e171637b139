"""Arithmetic on numbers, quantities and durations."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Literal, NamedTuple

from firedrill.world.kube.quantity import canonical
from firedrill.world.policy.kyverno.scalars import duration, duration_text, is_number, quantity, whole


class Operand(NamedTuple):
    """A value with its unit; `like` is the text that says how a quantity is written."""

    kind: Literal["scalar", "quantity", "duration"]
    value: Fraction
    like: str = ""


def _operand(name: str, value: Any) -> Operand:
    if is_number(value) and math.isfinite(value):
        return Operand("scalar", Fraction(value))
    if isinstance(value, str):
        found = quantity(value)
        if found is not None:
            return Operand("quantity", found, value)
        found = duration(value)
        if found is not None:
            return Operand("duration", found)
    raise ValueError(f"JMESPath function '{name}': invalid operands")


def _shown(kind: str, value: Fraction, like: str) -> Any:
    if kind == "duration":
        return duration_text(value)
    if kind == "scalar":
        return whole(float(value)) if value.denominator != 1 else int(value)
    return quantity_text(value, like)


def quantity_text(value: Fraction, like: str) -> str:
    """A quantity written as `like` is: with binary or decimal suffixes."""
    if re.search(r"[KMGTPE]i$", like) and value.denominator == 1:
        number = int(value)
        for power, suffix in ((6, "Ei"), (5, "Pi"), (4, "Ti"), (3, "Gi"), (2, "Mi"), (1, "Ki")):
            if number and number % 1024**power == 0:
                return f"{number // 1024**power}{suffix}"
        return str(number)
    nanos = math.ceil(value * 10**9)
    return canonical(f"{nanos}n") if nanos % 10**9 else canonical(str(nanos // 10**9))


def _same(name: str, left: Operand, right: Operand) -> None:
    if left.kind != right.kind:
        raise ValueError(f"JMESPath function '{name}': Types mismatch")


def _add(left: Any, right: Any) -> Any:
    one, other = _operand("add", left), _operand("add", right)
    _same("add", one, other)
    return _shown(one.kind, one.value + other.value, one.like)


def _subtract(left: Any, right: Any) -> Any:
    one, other = _operand("subtract", left), _operand("subtract", right)
    _same("subtract", one, other)
    return _shown(one.kind, one.value - other.value, one.like)


def _multiply(left: Any, right: Any) -> Any:
    one, other = _operand("multiply", left), _operand("multiply", right)
    if one.kind == "scalar":
        one, other = other, one
    if other.kind != "scalar":
        raise ValueError("JMESPath function 'multiply': Types mismatch")
    return _shown(one.kind, one.value * other.value, one.like)


def _divide(left: Any, right: Any) -> Any:
    one, other = _operand("divide", left), _operand("divide", right)
    if other.kind not in ("scalar", one.kind):
        raise ValueError("JMESPath function 'divide': Types mismatch")
    if other.value == 0:
        raise ValueError("JMESPath function 'divide': Zero divisor passed")
    kind = "scalar" if one.kind == other.kind else one.kind
    return _shown(kind, one.value / other.value, one.like)


def _modulo(left: Any, right: Any) -> Any:
    one, other = _operand("modulo", left), _operand("modulo", right)
    _same("modulo", one, other)
    if other.value == 0:
        raise ValueError("JMESPath function 'modulo': Zero divisor passed")
    if one.kind != "duration" and (one.value.denominator != 1 or other.value.denominator != 1):
        raise ValueError("JMESPath function 'modulo': Non-integer argument(s) passed for modulo")
    rest = abs(one.value) % abs(other.value)
    return _shown(one.kind, -rest if one.value < 0 else rest, one.like)


def _round(value: Any, digits: Any) -> Any:
    if digits != int(digits) or digits < 0:
        raise ValueError("JMESPath function 'round': Non-integer length for round")
    scale = 10 ** min(int(digits), 15)
    scaled = abs(value) * scale
    return whole(math.copysign(math.floor(scaled + 0.5) / scale, value))


def _sum(values: list[Any]) -> Any:
    if not values:
        raise ValueError("JMESPath function 'sum': at least one element in the array is required")
    total = values[0]
    for item in values[1:]:
        total = _add(total, item)
    return total


_NUMBER = re.compile(
    r"v?(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?"
)


def semver(text: str, *, loose: bool = False) -> tuple[Any, ...] | None:
    """What versions are ordered by, or None for what is no version."""
    found = _NUMBER.fullmatch(text) if len(text) < 256 else None
    if found is None or (not loose and (found[3] is None or text.startswith("v"))):
        return None
    numbers = tuple(int(found[at] or 0) for at in (1, 2, 3))
    if not found[4]:
        return (*numbers, (1,))
    parts = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in found[4].split("."))
    return (*numbers, (0, parts))


_TERM = re.compile(r"(>=|<=|!=|==|=|>|<|!)?\s*(\S+)")


def _semver_compare(version: str, wanted: str) -> bool:
    given = semver(version, loose=True)
    if given is None:
        raise ValueError(f"JMESPath function 'semver_compare': invalid version {version}")
    return any(all(_meets(given, term) for term in _terms(part)) for part in wanted.split("||"))


def _terms(text: str) -> list[tuple[str, str]]:
    spaced = re.sub(r"(>=|<=|!=|==|=|>|<|!)\s+", r"\1", text.strip()[:1000])
    return [(found[1] or "=", found[2]) for found in map(_TERM.fullmatch, spaced.split()) if found]


def _meets(given: tuple[Any, ...], term: tuple[str, str]) -> bool:
    operator, text = term
    parts = re.split(r"\.", text)
    wild = next((at for at, part in enumerate(parts) if part in ("x", "X", "*")), None)
    if wild is not None:
        low = semver(".".join(parts[:wild]) or "0", loose=True)
        same = low is not None and given[:wild] == low[:wild]
        if operator in ("=", "=="):
            return same
        if operator in ("!", "!="):
            return not same
        return low is not None and _ordered(given[:wild], low[:wild], operator)
    wanted = semver(text, loose=True)
    if wanted is None:
        raise ValueError(f"JMESPath function 'semver_compare': Could not get version from string: {text!r}")
    return _ordered(given, wanted, operator)


def _ordered(given: tuple[Any, ...], wanted: tuple[Any, ...], operator: str) -> bool:
    if operator in ("=", "=="):
        return given == wanted
    if operator in ("!", "!="):
        return given != wanted
    if operator == ">=":
        return given >= wanted
    if operator == "<=":
        return given <= wanted
    return given > wanted if operator == ">" else given < wanted


_EITHER = "number|string"
ENTRIES: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "add": (_add, (_EITHER, _EITHER)),
    "subtract": (_subtract, (_EITHER, _EITHER)),
    "multiply": (_multiply, (_EITHER, _EITHER)),
    "divide": (_divide, (_EITHER, _EITHER)),
    "modulo": (_modulo, (_EITHER, _EITHER)),
    "round": (_round, ("number", "number")),
    "sum": (_sum, ("array",)),
    "semver_compare": (_semver_compare, ("string", "string")),
}
