"""Expressions as data. Two equal expressions are equal nodes; where they stand in the text does not count."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from firedrill.world.telemetry.matching import Matcher

Type = Literal["scalar", "vector", "matrix", "string"]
TYPE_NAMES: dict[Type, str] = {
    "scalar": "scalar",
    "vector": "instant vector",
    "matrix": "range vector",
    "string": "string",
}
At = int | Literal["start", "end"] | None
"""A fixed time in ms, the query's start or end, or none."""


@dataclass(frozen=True, slots=True)
class Node:
    """Any expression; `start` is where it begins in the text."""

    start: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Number(Node):
    """A number."""

    value: float


@dataclass(frozen=True, slots=True)
class String(Node):
    """A string."""

    value: str


@dataclass(frozen=True, slots=True)
class Vector(Node):
    """An instant vector selector: the matchers hold the metric's name as well."""

    name: str
    matchers: tuple[Matcher, ...]
    offset_ms: int = 0
    at: At = None
    has_offset: bool = False


@dataclass(frozen=True, slots=True)
class Matrix(Node):
    """A range vector selector."""

    vector: Vector
    range_ms: int


@dataclass(frozen=True, slots=True)
class Subquery(Node):
    """`expr[range:step]`; a step of 0 means the default one."""

    expr: Node
    range_ms: int
    step_ms: int
    offset_ms: int = 0
    at: At = None
    has_offset: bool = False


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function with its arguments."""

    function: str
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Aggregate(Node):
    """An aggregation over groups."""

    op: str
    expr: Node
    param: Node | None
    grouping: tuple[str, ...]
    without: bool


@dataclass(frozen=True, slots=True)
class Matching:
    """How the elements of two vectors find each other.

    Attributes:
        card: `one-to-one`, `many-to-one` (group_left), `one-to-many` (group_right), `many-to-many` (sets).
        on: whether `labels` are those that count (or those that do not).
        include: labels taken over from the side of one.
    """

    card: str = "one-to-one"
    labels: tuple[str, ...] = ()
    on: bool = False
    include: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """A binary operation; `matching` is None unless both sides are vectors."""

    op: str
    lhs: Node
    rhs: Node
    return_bool: bool = False
    matching: Matching | None = None


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """A sign."""

    op: str
    expr: Node


@dataclass(frozen=True, slots=True)
class Paren(Node):
    """An expression in parentheses."""

    expr: Node


def bare(node: Node) -> Node:
    """The expression inside of all its parentheses."""
    while isinstance(node, Paren):
        node = node.expr
    return node
