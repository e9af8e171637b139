"""The part of Kubernetes' JSONPath that printer columns use.

Steps: `.name`, `['name']`, `[0]`, `[-1]`, `[1:3]`, `[*]`, `.*`, `..name`, `[?(@.a.b=="x")]` with the six
comparisons, or a bare path as a test of presence. Source: the JSONPath page of the kubectl reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

_Step = Callable[[list[Any]], list[Any]]
_NAME = re.compile(r"(?:\\.|[^.\[\]\\'\" ])+")
_FILTER = re.compile(r"\s*@([^=!<>]*?)\s*(?:(==|!=|<=|>=|<|>)\s*(.+?))?\s*")
_SLICE = re.compile(r"(-?\d{1,6})?:(-?\d{1,6})?")
_MAX_LENGTH, _MAX_FOUND = 1024, 10_000


@lru_cache(maxsize=512)
def compile_path(text: str) -> Callable[[Any], list[Any]]:
    """A function that finds what the path leads to, in order.

    Raises:
        ValueError: the text is no such path.
    """
    if len(text) > _MAX_LENGTH:
        raise ValueError("path is too long")
    steps: list[_Step] = []
    rest = text.removeprefix("{").removesuffix("}").removeprefix("$")
    while rest:
        step, rest = _next(rest)
        steps.append(step)

    def find(value: Any) -> list[Any]:
        found = [value]
        for step in steps:
            found = step(found)[:_MAX_FOUND]
        return found

    return find


def _next(rest: str) -> tuple[_Step, str]:
    if rest.startswith(".."):
        match = _NAME.match(rest, 2)
        if match is None:
            raise ValueError(f"nothing after ..: {rest}")
        return _deep(match[0]), rest[match.end() :]
    if rest.startswith("["):
        end = _closing(rest)
        return _bracket(rest[1:end].strip()), rest[end + 1 :]
    start = 1 if rest.startswith(".") else 0
    match = _NAME.match(rest, start)
    if match is None:
        if rest == ".":
            return list, ""
        if rest.startswith(".["):
            return _next(rest[1:])
        raise ValueError(f"unexpected {rest[:20]!r}")
    return _field(re.sub(r"\\(.)", r"\1", match[0])), rest[match.end() :]


def _closing(rest: str) -> int:
    quote, depth = "", 0
    for place, letter in enumerate(rest):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter == "[":
            depth += 1
        elif letter == "]":
            depth -= 1
            if not depth:
                return place
    raise ValueError("unterminated array")


def _bracket(inner: str) -> _Step:
    if inner == "*":
        return _field("*")
    if inner.startswith("?(") and inner.endswith(")"):
        return _filter(inner[2:-1])
    if len(inner) > 1 and inner[0] == inner[-1] and inner[0] in "'\"":
        return _field(inner[1:-1])
    if inner.removeprefix("-").isdecimal() and len(inner) < 8:
        return _index(int(inner))
    match = _SLICE.fullmatch(inner)
    if match is None:
        raise ValueError(f"invalid array index {inner}")
    bounds = slice(*(None if part is None else int(part) for part in match.groups()))
    return lambda found: [item for value in found if isinstance(value, list) for item in value[bounds]]


def _index(number: int) -> _Step:
    def step(found: list[Any]) -> list[Any]:
        return [
            value[number] for value in found if isinstance(value, list) and -len(value) <= number < len(value)
        ]

    return step


def _field(name: str) -> _Step:
    def children(value: Any) -> list[Any]:
        if isinstance(value, dict):
            return list(value.values()) if name == "*" else [value[name]] if name in value else []
        return list(value) if name == "*" and isinstance(value, list) else []

    return lambda found: [item for value in found for item in children(value)]


def _deep(name: str) -> _Step:
    def step(found: list[Any]) -> list[Any]:
        out: list[Any] = []
        stack = list(reversed(found))
        while stack and len(out) < _MAX_FOUND:
            value = stack.pop()
            if isinstance(value, dict):
                out.extend(value.values() if name == "*" else [value[name]] if name in value else ())
                stack.extend(reversed(value.values()))
            elif isinstance(value, list):
                stack.extend(reversed(value))
        return out

    return step


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: bool(a == b),
    "!=": lambda a, b: bool(a != b),
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}


def _filter(text: str) -> _Step:
    match = _FILTER.fullmatch(text)
    if match is None:
        raise ValueError(f"unrecognised filter {text}")
    left, operator = compile_path(match[1].strip()), match[2]
    right = _literal(match[3]) if operator else None

    def holds(value: Any) -> bool:
        found = left(value)
        if not found or operator is None:
            return bool(found)
        try:
            return _COMPARE[operator](found[0], right)
        except TypeError:
            return False

    return lambda found: [item for value in found if isinstance(value, list) for item in value if holds(item)]


def _literal(text: str) -> Any:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text) if "." in text else int(text[:20])
    except ValueError as error:
        raise ValueError(f"unrecognised value {text} in a filter") from error
