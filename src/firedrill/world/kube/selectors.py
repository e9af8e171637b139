"""Label selectors (`app=web,tier in (a, b)`, `{matchLabels, matchExpressions}`) and field selectors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from firedrill.world.kube.selector_text import SelectorError, read

__all__ = [
    "Requirement", "SelectorError", "expression", "from_object", "matches", "of_map", "parse", "parse_fields",
    "selects",
]  # fmt: skip

Requirement = tuple[str, str, tuple[str, ...]]
"""(key, operator, values); the operator is one of in, notin, exists, !, gt, lt."""


@lru_cache(maxsize=2048)
def parse(text: str) -> tuple[Requirement, ...]:
    """The requirements of a label selector, all of which must hold.

    Raises:
        SelectorError: the text is malformed; its message is what the server answers.
    """
    return read(text)


def matches(requirements: tuple[Requirement, ...], labels: Mapping[str, str]) -> bool:
    """Whether the labels meet every requirement."""
    return all(_holds(item, labels) for item in requirements)


def _holds(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    key, operator, values = requirement
    here = labels.get(key)
    if operator == "in":
        return here is not None and here in values
    if operator == "notin":
        return here is None or here not in values
    if operator == "exists":
        return here is not None
    if operator == "!":
        return here is None
    if here is None or re.fullmatch(r"-?\d{1,18}", here) is None:
        return False
    return int(here) > int(values[0]) if operator == "gt" else int(here) < int(values[0])


_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!", "Gt": "gt", "Lt": "lt"}


def from_object(selector: Mapping[str, Any] | None) -> tuple[Requirement, ...] | None:
    """The requirements of a `LabelSelector`; None (nothing matches) where there is no selector at all.

    An empty selector matches everything.
    """
    if selector is None:
        return None
    out: list[Requirement] = [
        (key, "in", (text,)) for key, text in sorted((selector.get("matchLabels") or {}).items())
    ]
    out += [expression(item) for item in selector.get("matchExpressions") or ()]
    return tuple(out)


def expression(item: Mapping[str, Any]) -> Requirement:
    """One entry of `matchExpressions`.

    Raises:
        SelectorError: the operator is unknown.
    """
    operator = _OPERATORS.get(str(item.get("operator")))
    if operator is None:
        raise SelectorError(f'"{item.get("operator")}" is not a valid label selector operator')
    return str(item["key"]), operator, tuple(str(text) for text in item.get("values") or ())


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a `LabelSelector` object takes in these labels."""
    requirements = from_object(selector)
    return requirements is not None and matches(requirements, labels)


def of_map(labels: Mapping[str, str] | None) -> tuple[Requirement, ...] | None:
    """The requirements of a plain map, as in `Service.spec.selector`; None where it is empty or missing."""
    if not labels:
        return None
    return tuple((key, "in", (text,)) for key, text in sorted(labels.items()))


@lru_cache(maxsize=1024)
def parse_fields(text: str) -> tuple[tuple[str, str, str], ...]:
    """The terms of a field selector: (path, `=` or `!=`, value).

    Raises:
        SelectorError: a term has no operator.
    """
    out = []
    for part in (item for item in text.split(",") if item):
        match = re.fullmatch(r"([^=!]+?)(==|!=|=)(.*)", part)
        if match is None:
            raise SelectorError(f"invalid selector: {text!r}; can't understand {part!r}")
        out.append((match[1], "!=" if match[2] == "!=" else "=", match[3]))
    return tuple(out)
