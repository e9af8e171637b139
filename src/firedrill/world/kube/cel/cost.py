"""An upper bound for what an expression can cost, known before it runs: the engine cannot be stopped.

Counted in steps. Collections are at most as wide, and texts as long, as the widest and longest of the
variables or as what the expression itself can build; each loop multiplies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from firedrill.world.kube.cel.desugar import LOOPS, PAIR_LOOPS
from firedrill.world.kube.cel.syntax import (
    Binary,
    Call,
    Ident,
    ListOf,
    Literal,
    MapOf,
    Node,
    Ternary,
    children,
)

LIMIT = 20_000_000
SIZE_LIMIT = 2_000_000
_LETTERS_A_STEP = 16
_PRODUCTS = frozenset({"replace", "join", "format"})


class Bound(NamedTuple):
    """At most so many steps, so many elements in any collection, so many characters in any text."""

    steps: int
    wide: int
    long: int


def measure(value: Any, depth: int = 0) -> tuple[int, int]:
    """The width of the widest collection and the length of the longest text in a value."""
    if isinstance(value, str | bytes):
        return 1, len(value)
    if depth > 100 or not isinstance(value, (dict, list, tuple, Mapping)):
        return 1, 24
    wide, long = max(len(value), 1), 1
    for item in value.values() if isinstance(value, (dict, Mapping)) else value:
        w, n = measure(item, depth + 1)
        wide, long = max(wide, w), max(long, n)
    return wide, long


def bound(node: Node, wide: int, long: int) -> Bound:
    """The bound of an expression over variables of that width and length."""
    return _bound(node, Bound(1, wide, long), {})


def _bound(node: Node, base: Bound, env: Mapping[str, Bound]) -> Bound:
    if isinstance(node, Literal):
        return Bound(1, 1, len(node.text))
    if isinstance(node, Ident):
        found = env.get(node.name, base)
        return Bound(1, found.wide, found.long)
    if isinstance(node, Call):
        return _call(node, base, env)
    parts = [_bound(item, base, env) for item in children(node)]
    steps = 1 + sum(part.steps for part in parts)
    wide = max((part.wide for part in parts), default=1)
    long = max((part.long for part in parts), default=1)
    if isinstance(node, Binary) and node.op == "+":
        wide, long = sum(part.wide for part in parts), sum(part.long for part in parts)
        steps += wide
    elif isinstance(node, ListOf | MapOf):
        wide = max(wide, len(parts))
        if isinstance(node, ListOf) and any(optional for optional, _ in node.items):
            steps += len(parts)
    elif isinstance(node, Ternary):
        steps = 1 + parts[0].steps + max(parts[1].steps, parts[2].steps)
    return Bound(min(steps, 10**18), min(wide, 10**12), min(long, 10**12))


def _call(node: Call, base: Bound, env: Mapping[str, Bound]) -> Bound:
    loops = node.target is not None and (
        (node.name in LOOPS and len(node.args) in (2, 3))
        or (node.name in PAIR_LOOPS and len(node.args) in (3, 4))
        or node.name in ("optMap", "optFlatMap")
    )
    if loops and node.target is not None:
        return _loop(node, node.target, base, env)
    if node.name == "bind" and len(node.args) == 3 and isinstance(node.args[0], Ident):
        value = _bound(node.args[1], base, env)
        body = _bound(node.args[2], base, {**env, node.args[0].name: value})
        return Bound(1 + value.steps + body.steps, max(value.wide, body.wide), body.long)
    given = ([node.target] if node.target is not None else []) + list(node.args)
    parts = [_bound(item, base, env) for item in given]
    steps = 1 + sum(part.steps for part in parts)
    wide = max((part.wide for part in parts), default=1)
    long = max((part.long for part in parts), default=1)
    if node.name in _PRODUCTS:
        product = 1
        for part in parts:
            product = min(product * max(part.long, part.wide, 1), 10**12)
        # What replaces, joins or formats cannot give more than every piece of each argument once
        # for every piece of the others; for ordinary sizes that is far too much, so it counts only
        # where an argument was built by the expression itself.
        grown = any(part.wide > base.wide or part.long > base.long for part in parts)
        long = product if grown else sum(part.long for part in parts) * max(wide, 1)
        steps += wide
    elif node.name in ("split", "findAll"):
        wide = max(wide, long + 1)
        steps += long // _LETTERS_A_STEP
    elif node.name == "range":
        wide = 10_000
    elif node.name in ("flatten", "distinct", "sort", "contains", "intersects", "equivalent"):
        wide = wide * wide if node.name == "flatten" else wide
        steps += wide if node.name == "flatten" else 0
    return Bound(min(steps, 10**18), min(wide, 10**12), min(long, 10**12))


def _loop(node: Call, target: Node, base: Bound, env: Mapping[str, Bound]) -> Bound:
    over = _bound(target, base, env)
    count = 2 if node.name in PAIR_LOOPS and len(node.args) >= 3 and node.name != "map" else 1
    inner = dict(env)
    for variable in node.args[:count]:
        if isinstance(variable, Ident):
            inner[variable.name] = over
    parts = [_bound(item, base, inner) for item in node.args[count:]]
    steps = over.steps + over.wide * (1 + sum(part.steps for part in parts))
    wide = max(over.wide, *(part.wide for part in parts))
    return Bound(min(steps, 10**18), min(wide, 10**12), max(over.long, *(part.long for part in parts)))
