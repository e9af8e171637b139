"""What an expression reads, where that alone decides what it gives."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from firedrill.world.telemetry.promql.nodes import (
    Aggregate,
    Binary,
    Call,
    Matrix,
    Node,
    Number,
    Paren,
    String,
    Unary,
    Vector,
)
from firedrill.world.telemetry.selection import name_matcher

Inputs = tuple[tuple[str, int], ...]
"""Names of metrics, and how many ms back they are read."""

_CLOCKS = frozenset(
    (
        *(
            "time",
            "timestamp",
            "minute",
            "hour",
            "day_of_week",
            "day_of_month",
            "day_of_year",
            "days_in_month",
        ),
        *("month", "year"),
    )
)


def inputs_of(node: Node) -> Inputs | None:
    """The metrics that an expression reads; None where it also depends on the clock, or on what it reads how.

    As long as these have the same values, it gives the same result at each moment.
    """
    found: dict[str, int] = {}
    return tuple(sorted(found.items())) if _collect(node, 0, found) else None


def names_of(node: Node) -> frozenset[str] | None:
    """The metrics that an expression reads; None where it does not name them all."""
    found: set[str] = set()
    left: list[Any] = [node]
    while left:
        item = left.pop()
        if isinstance(item, tuple):
            left += item
        elif isinstance(item, Vector):
            name, _ = name_matcher(item.matchers)
            if name is None:
                return None
            found.add(name)
        elif is_dataclass(item):
            left += [getattr(item, one.name) for one in fields(item)]
    return frozenset(found)


def _collect(node: Node, reach_ms: int, found: dict[str, int]) -> bool:
    if isinstance(node, Number | String):
        return True
    if isinstance(node, Vector):
        name, _ = name_matcher(node.matchers)
        if name is None or node.at is not None or node.offset_ms < 0:
            return False
        found[name] = max(found.get(name, 0), reach_ms + node.offset_ms)
        return True
    if isinstance(node, Matrix):
        return _collect(node.vector, reach_ms + node.range_ms, found)
    if isinstance(node, Call):
        return node.function not in _CLOCKS and all(_collect(arg, reach_ms, found) for arg in node.args)
    if isinstance(node, Aggregate):
        param = node.param is None or _collect(node.param, reach_ms, found)
        return param and _collect(node.expr, reach_ms, found)
    if isinstance(node, Binary):
        return _collect(node.lhs, reach_ms, found) and _collect(node.rhs, reach_ms, found)
    if isinstance(node, Unary | Paren):
        return _collect(node.expr, reach_ms, found)
    return False


__all__ = ["Inputs", "inputs_of", "names_of"]
