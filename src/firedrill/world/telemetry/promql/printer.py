"""Expressions back to text, as Prometheus prints them."""

from __future__ import annotations

import math

from firedrill.world.telemetry.labels import NAME, quoted
from firedrill.world.telemetry.promql.nodes import (
    Aggregate,
    At,
    Binary,
    Call,
    Matching,
    Matrix,
    Node,
    Number,
    Paren,
    String,
    Subquery,
    Unary,
    Vector,
)

_UNITS = (("y", 31_536_000_000), ("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000),
          ("s", 1000), ("ms", 1))  # fmt: skip
_WIDTH = 100


def duration(ms: int) -> str:
    """`1h30m` for a number of ms. Years and weeks are told only where they come out even."""
    if ms == 0:
        return "0s"
    out, left = "", ms
    for unit, size in _UNITS:
        if unit in {"y", "w"} and left % size:
            continue
        count, left = divmod(left, size)
        if count:
            out += f"{count}{unit}"
    return out


def number(value: float) -> str:
    """A number as Go's shortest form writes it, and Prometheus in its answers."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    digits = text.lstrip("-")
    exponent = 0
    if "e" in digits:
        mantissa, _, power = digits.partition("e")
        exponent = int(power)
        whole, _, fraction = mantissa.partition(".")
        figures = (whole + fraction).rstrip("0") or "0"
        point = len(whole) + exponent
    else:
        whole, _, fraction = digits.partition(".")
        figures, point = whole + fraction, len(whole)
        stripped = figures.lstrip("0")
        point -= len(figures) - len(stripped)
        figures = stripped.rstrip("0") or "0"
    sign = "-" if text.startswith("-") else ""
    if figures == "0":
        return sign + "0"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{figures}"
    if point >= len(figures):
        return sign + figures + "0" * (point - len(figures))
    return f"{sign}{figures[:point]}.{figures[point:]}"


def literal(value: float) -> str:
    """A number within an expression: very large and small ones with an exponent."""
    if value == 0 or math.isnan(value) or math.isinf(value) or 1e-4 <= abs(value) < 1e21:
        return number(value)
    text = repr(value)
    if "e" not in text:
        return number(value)
    mantissa, _, power = text.partition("e")
    return (
        f"{mantissa.removesuffix('.0')}e{power[0] if power[0] in '+-' else '+'}{power.lstrip('+-').zfill(2)}"
    )


def _modifiers(offset_ms: int, at: At) -> str:
    out = ""
    if isinstance(at, str):
        out += f" @ {at}()"
    elif at is not None:
        out += f" @ {at / 1000:.3f}"
    if offset_ms:
        out += f" offset {'-' if offset_ms < 0 else ''}{duration(abs(offset_ms))}"
    return out


def _selector(node: Vector) -> str:
    shown = [item for item in node.matchers if not (node.name and item.name == NAME and item.op == "=")]
    inner = ",".join(f"{item.name}{item.op}{quoted(item.value)}" for item in shown)
    return f"{node.name}{{{inner}}}" if inner or not node.name else node.name


def _matching(matching: Matching | None) -> str:
    if matching is None:
        return ""
    out = ""
    if matching.labels or matching.on:
        out = f" {'on' if matching.on else 'ignoring'} ({', '.join(matching.labels)})"
    if matching.card in {"many-to-one", "one-to-many"}:
        word = "group_left" if matching.card == "many-to-one" else "group_right"
        out += f" {word} ({', '.join(matching.include)})"
    return out


def _head(node: Aggregate) -> str:
    if node.without:
        return f"{node.op} without ({', '.join(node.grouping)}) "
    return f"{node.op} by ({', '.join(node.grouping)}) " if node.grouping else node.op


def _operator(node: Binary) -> str:
    return f"{node.op}{' bool' if node.return_bool else ''}{_matching(node.matching)}"


def show(node: Node) -> str:
    """The expression in one line."""
    if isinstance(node, Number):
        return literal(node.value)
    if isinstance(node, String):
        return quoted(node.value)
    if isinstance(node, Vector):
        return _selector(node) + _modifiers(node.offset_ms, node.at)
    if isinstance(node, Matrix):
        vector = node.vector
        return f"{_selector(vector)}[{duration(node.range_ms)}]" + _modifiers(vector.offset_ms, vector.at)
    if isinstance(node, Subquery):
        step = duration(node.step_ms) if node.step_ms else ""
        return f"{show(node.expr)}[{duration(node.range_ms)}:{step}]" + _modifiers(node.offset_ms, node.at)
    if isinstance(node, Call):
        return f"{node.function}({', '.join(map(show, node.args))})"
    if isinstance(node, Aggregate):
        param = f"{show(node.param)}, " if node.param is not None else ""
        return f"{_head(node)}({param}{show(node.expr)})"
    if isinstance(node, Binary):
        return f"{show(node.lhs)} {_operator(node)} {show(node.rhs)}"
    if isinstance(node, Unary):
        return f"{node.op}{show(node.expr)}"
    assert isinstance(node, Paren)
    return f"({show(node.expr)})"


def pretty(node: Node, level: int = 0) -> str:
    """The expression over as many lines as it needs, indented by two blanks."""
    pad = "  " * level
    line = show(node)
    if len(pad) + len(line) <= _WIDTH or isinstance(node, Number | String | Vector | Matrix):
        return pad + line
    if isinstance(node, Binary):
        return f"{pretty(node.lhs, level + 1)}\n{pad}{_operator(node)}\n{pretty(node.rhs, level + 1)}"
    if isinstance(node, Paren):
        return f"{pad}(\n{pretty(node.expr, level + 1)}\n{pad})"
    if isinstance(node, Unary):
        return f"{pad}{node.op}{pretty(node.expr, level).lstrip()}"
    if isinstance(node, Subquery):
        step = duration(node.step_ms) if node.step_ms else ""
        tail = f"[{duration(node.range_ms)}:{step}]" + _modifiers(node.offset_ms, node.at)
        return pretty(node.expr, level) + tail
    if isinstance(node, Aggregate):
        parts, head = [node.param] if node.param is not None else [], _head(node)
        parts.append(node.expr)
    else:
        assert isinstance(node, Call)
        parts, head = list(node.args), node.function
    inner = ",\n".join(pretty(part, level + 1) for part in parts)
    return f"{pad}{head}(\n{inner}\n{pad})"
