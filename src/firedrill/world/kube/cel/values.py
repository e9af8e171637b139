"""Values that CEL of Kubernetes knows and the engine does not: maps with one reserved key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class CelError(Exception):
    """An expression failed while it was evaluated; the text is what a server reports."""


class Optional(NamedTuple):
    """A CEL optional: `values` has no element or one."""

    values: tuple[Any, ...] = ()


class Access(NamedTuple):
    """The value of `authorizer`; `ask` takes verb, group, resource, namespace, name, path, … by name."""

    ask: Callable[..., tuple[bool, str]]
    request: dict[str, str]


_MARK = "\x00"


def tagged(kind: str, content: Any) -> dict[str, Any]:
    """A value of a library type."""
    return {_MARK + kind: content}


def untagged(kind: str, value: Any) -> Any:
    """What a value of that library type holds.

    Raises:
        CelError: it is of another type.
    """
    if isinstance(value, dict):
        found = value.get(_MARK + kind)
        if found is not None:
            return found
    raise CelError("no such overload")


def kind_of(value: Any) -> str:
    """The library type, empty for ordinary values."""
    if isinstance(value, dict) and len(value) == 1:
        key = next(iter(value))
        if isinstance(key, str) and key.startswith(_MARK):
            return key[1:]
    return ""


def text(value: Any) -> str:
    """A string argument.

    Raises:
        CelError: it is something else.
    """
    if not isinstance(value, str):
        raise CelError("no such overload")
    return value


def whole(value: Any) -> int:
    """An integer argument.

    Raises:
        CelError: it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise CelError("no such overload")
    return value


def items(value: Any) -> list[Any]:
    """A list argument.

    Raises:
        CelError: it is something else.
    """
    if not isinstance(value, list | tuple):
        raise CelError("no such overload")
    return list(value)
