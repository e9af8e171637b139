"""Conditions of preconditions and deny rules: a key, an operator, a value."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from firedrill.world.policy.kyverno import wildcard
from firedrill.world.policy.kyverno.functions_math import semver
from firedrill.world.policy.kyverno.leaves import holds, operator_of, text
from firedrill.world.policy.kyverno.scalars import as_text, duration, is_number, quantity

_LIMIT = 2_000_000


class ConditionError(Exception):
    """Conditions are none; the text says why."""


Resolve = Callable[[Any], Any]
"""Puts values in the place of variables."""


def evaluate(conditions: Any, resolve: Resolve) -> tuple[bool, str]:
    """Whether conditions hold, and the messages of those that settled it.

    Args:
        conditions: `{any: […], all: […]}`, or, as long ago, a plain list of which all must hold.
        resolve: puts values in the place of variables; its errors go through.

    Raises:
        ConditionError: they are no conditions.
    """
    if conditions is None:
        return True, ""
    if isinstance(conditions, Mapping):
        return _block(conditions, resolve)
    if not isinstance(conditions, list):
        raise ConditionError("invalid condition")
    messages = []
    for item in conditions:
        block = isinstance(item, Mapping) and ("any" in item or "all" in item)
        met, message = _block(item, resolve) if block else _one(item, resolve)
        if not met:
            return False, message
        messages.append(message)
    return True, ";".join(filter(None, messages))


def _block(block: Mapping[str, Any], resolve: Resolve) -> tuple[bool, str]:
    true: list[str] = []
    false: list[str] = []
    some = "any" not in block or block["any"] is None
    for item in block.get("any") or ():
        met, message = _one(item, resolve)
        (true if met else false).append(message)
        if met:
            some = True
            break
    every = True
    for item in block.get("all") or ():
        met, message = _one(item, resolve)
        (true if met else false).append(message)
        if not met:
            every = False
            break
    return some and every, "; ".join(filter(None, true if some and every else false))


def _one(condition: Any, resolve: Resolve) -> tuple[bool, str]:
    if not isinstance(condition, Mapping):
        raise ConditionError("invalid condition")
    key, value = resolve(condition.get("key")), resolve(condition.get("value"))
    operator = OPERATORS.get(str(condition.get("operator") or "").lower())
    if operator is None:
        raise ConditionError("failed to create handler for condition operator")
    return operator(key, value), str(condition.get("message") or "")


def equals(key: Any, value: Any) -> bool:
    """Whether they are equal: numbers as numbers, quantities and durations by size, texts by wildcards."""
    if isinstance(key, bool) or isinstance(value, bool):
        return isinstance(key, bool) and isinstance(value, bool) and key == value
    if is_number(key):
        return _number_equals(key, value)
    if isinstance(key, str):
        pair = _durations(key, value)
        if pair is not None:
            return pair[0] == pair[1]
        if not isinstance(value, str):
            return False
        size = quantity(key)
        if size is not None:
            return quantity(value) == size
        return wildcard.match(value, key)
    return type_alike(key, value) and bool(key == value)


def type_alike(left: Any, right: Any) -> bool:
    """Whether both are maps or both are lists."""
    return any(isinstance(left, type_) and isinstance(right, type_) for type_ in (dict, list))


def _number_equals(key: float, value: Any) -> bool:
    if is_number(value):
        return bool(key == value)
    number = _number(value, integer=isinstance(key, int))
    return number is not None and number == key


def _number(value: Any, *, integer: bool = False) -> float | None:
    if not isinstance(value, str) or "_" in value or value != value.strip() or len(value) > 64:
        return None
    try:
        return int(value, 10) if integer else float(value)
    except ValueError:
        return None


def not_equals(key: Any, value: Any) -> bool:
    """The opposite; what is of another type differs, but nothing can be said about a key that is null."""
    if key is None:
        return False
    texts = isinstance(key, str) and isinstance(value, str) and _durations(key, value) is None
    if texts and quantity(key) is not None and quantity(value) is None:
        return False  # a size against what is none cannot be decided
    return not equals(key, value)


def _durations(key: Any, value: Any) -> tuple[Fraction, Fraction] | None:
    """Both as seconds where at least one is a duration and the other could be."""
    left, right = _real_duration(key), _real_duration(value)
    if left is None and right is None:
        return None
    if left is None:
        left = Fraction(key) if is_number(key) else None
    if right is None:
        right = Fraction(value) if is_number(value) else None
    return (left, right) if left is not None and right is not None else None


def _real_duration(value: Any) -> Fraction | None:
    return duration(value) if isinstance(value, str) and value not in ("0", "+0", "-0") else None


def _order(symbol: str) -> Callable[[Any, Any], bool]:
    def compare(key: Any, value: Any) -> bool:
        if isinstance(key, str):
            return _text_order(key, value, symbol)
        return is_number(key) and _number_order(key, value, symbol)

    return compare


def _number_order(key: float, value: Any, symbol: str) -> bool:
    if is_number(value):
        return holds(key, value, symbol)
    pair = _durations(key, value)
    if pair is not None:
        return holds(*pair, symbol)
    number = _number(value)
    return number is not None and holds(key, number, symbol)


def _text_order(key: str, value: Any, symbol: str) -> bool:
    pair = _durations(key, value)
    if pair is not None:
        return holds(*pair, symbol)
    if isinstance(value, str):
        left, right = quantity(key), quantity(value)
        if left is not None and right is not None:
            return holds(left, right, symbol)
    number = _number(key)
    if number is not None:
        return _number_order(number, value, symbol)
    version, other = semver(key), semver(value) if isinstance(value, str) else None
    if version is None or other is None:
        return False
    return {">": version > other, "<": version < other, ">=": version >= other, "<=": version <= other}[
        symbol
    ]


def _duration_order(symbol: str) -> Callable[[Any, Any], bool]:
    def seconds(value: Any) -> Fraction | None:
        if is_number(value):
            return Fraction(int(value))
        return duration(value) if isinstance(value, str) else None

    def compare(key: Any, value: Any) -> bool:
        left, right = seconds(key), seconds(value)
        return left is not None and right is not None and holds(left, right, symbol)

    return compare


def _key(key: Any) -> list[str] | None:
    """The key as texts; None where it is of no use."""
    if isinstance(key, list):
        return [as_text(item) for item in key]
    return None if key is None or isinstance(key, dict) else [as_text(key)]


def _values(value: Any) -> list[str] | None:
    """The values as texts; None where they are of no use."""
    if isinstance(value, list):
        return [as_text(item) for item in value]
    if is_number(value):
        return [as_text(value)]
    if not isinstance(value, str):
        return None
    try:
        found = json.loads(value) if len(value) < _LIMIT else value
    except (ValueError, RecursionError):
        return [value]
    return found if isinstance(found, list) and all(isinstance(item, str) for item in found) else None


def _fits(key: str, values: list[str]) -> bool:
    return any(wildcard.match(item, key) or wildcard.match(key, item) for item in values)


def _membership(key: Any, value: Any) -> list[bool] | None:
    """For each key whether it is among the values; None where that cannot be said."""
    keys = _key(key)
    if keys is None or (not isinstance(key, list) and not isinstance(value, list | str)):
        return None
    if isinstance(value, str):
        if not isinstance(key, list) and wildcard.match(value, keys[0]):
            return [True]
        if keys == [value]:
            return [True]
        if operator_of(value) == "-":
            return [text(item, value) for item in keys]
    values = _values(value)
    if values is None or len(keys) * max(len(values), 1) > _LIMIT:
        return None
    return [_fits(item, values) for item in keys]


def _members(decide: Callable[[list[bool]], bool]) -> Callable[[Any, Any], bool]:
    def among(key: Any, value: Any) -> bool:
        found = _membership(key, value)
        return found is not None and decide(found)

    return among


_any_in = _members(any)
_all_in = _members(all)
_any_not_in = _members(lambda found: not all(found))
_all_not_in = _members(lambda found: not any(found))

OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "equal": equals,
    "equals": equals,
    "notequal": not_equals,
    "notequals": not_equals,
    "in": _all_in,
    "anyin": _any_in,
    "allin": _all_in,
    "notin": _any_not_in,
    "anynotin": _any_not_in,
    "allnotin": _all_not_in,
    "greaterthan": _order(">"),
    "greaterthanorequals": _order(">="),
    "lessthan": _order("<"),
    "lessthanorequals": _order("<="),
    "durationgreaterthan": _duration_order(">"),
    "durationgreaterthanorequals": _duration_order(">="),
    "durationlessthan": _duration_order("<"),
    "durationlessthanorequals": _duration_order("<="),
}
