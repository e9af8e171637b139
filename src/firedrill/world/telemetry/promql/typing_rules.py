"""Which expressions fit where, and how Prometheus says that one does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firedrill.world.telemetry.labels import quoted
from firedrill.world.telemetry.promql.errors import ParseError
from firedrill.world.telemetry.promql.nodes import (
    TYPE_NAMES,
    Binary,
    Call,
    Matching,
    Matrix,
    Node,
    Number,
    Paren,
    String,
    Subquery,
    Type,
    Unary,
)

if TYPE_CHECKING:
    from firedrill.world.telemetry.promql.lexer import Token
    from firedrill.world.telemetry.promql.parser import Signature

COMPARISONS = frozenset(("==", "!=", "<", ">", "<=", ">="))
SETS = frozenset(("and", "or", "unless"))


def type_of(node: Node) -> Type:
    """What an expression gives."""
    if isinstance(node, Number):
        return "scalar"
    if isinstance(node, String):
        return "string"
    if isinstance(node, Matrix | Subquery):
        return "matrix"
    if isinstance(node, Paren | Unary):
        return type_of(node.expr)
    if isinstance(node, Binary):
        both = {type_of(node.lhs), type_of(node.rhs)}
        return "scalar" if both == {"scalar"} else "vector"
    if isinstance(node, Call):
        from firedrill.world.telemetry.promql.parser import signatures

        return signatures()[node.function].returns
    return "vector"


def _expect(node: Node, wanted: Type, context: str, text: str) -> None:
    got = type_of(node)
    if got != wanted:
        problem = f"expected type {TYPE_NAMES[wanted]} in {context}, got {TYPE_NAMES[got]}"
        raise ParseError(problem, text, node.start)


def check_unary(node: Node, at: int, text: str) -> None:
    """A sign needs a scalar or an instant vector."""
    got = type_of(node)
    if got not in {"scalar", "vector"}:
        problem = (
            "unary expression only allowed on expressions of type scalar or instant vector, "
            f"got {quoted(TYPE_NAMES[got])}"
        )
        raise ParseError(problem, text, at)


def check_subquery(node: Node, text: str) -> None:
    """A subquery needs an instant vector."""
    got = type_of(node)
    if got != "vector":
        problem = f"subquery is only allowed on instant vector, got {got} instead"
        raise ParseError(problem, text, node.start)


def check_aggregate(op: str, param: Node | None, expr: Node, text: str) -> None:
    """Aggregations are over instant vectors; their parameter is a scalar, or a label's name."""
    _expect(expr, "vector", "aggregation expression", text)
    if param is not None:
        _expect(param, "string" if op == "count_values" else "scalar", "aggregation parameter", text)


def check_call(token: Token, signature: Signature, args: list[Node], text: str) -> None:
    """Number and types of a function's arguments."""
    wanted, name = len(signature.args), quoted(token.text)
    if not signature.optional:
        if len(args) != wanted:
            problem = f"expected {wanted} argument(s) in call to {name}, got {len(args)}"
            raise ParseError(problem, text, token.start)
    else:
        least = wanted - 1
        if len(args) < least:
            problem = f"expected at least {least} argument(s) in call to {name}, got {len(args)}"
            raise ParseError(problem, text, token.start)
        if signature.optional > 0 and len(args) > least + signature.optional:
            most = least + signature.optional
            problem = f"expected at most {most} argument(s) in call to {name}, got {len(args)}"
            raise ParseError(problem, text, token.start)
    for index, arg in enumerate(args):
        _expect(arg, signature.args[min(index, wanted - 1)], f"call to function {name}", text)


def binary(
    text: str, token: Token, lhs: Node, rhs: Node, *, return_bool: bool, matching: Matching | None
) -> Binary:
    """A binary operation of two expressions that fit together.

    Raises:
        ParseError: they do not.
    """
    op, left, right = token.value, type_of(lhs), type_of(rhs)
    start = lhs.start

    def fail(problem: str, at: int = start) -> ParseError:
        return ParseError(problem, text, at)

    if return_bool and op not in COMPARISONS:
        raise fail("bool modifier can only be used on comparison operators", token.start)
    if op in COMPARISONS and not return_bool and left == right == "scalar":
        raise fail("comparisons between scalars must use BOOL modifier", token.start)
    if op in SETS and matching is not None and matching.card != "one-to-one":
        raise fail(f"no grouping allowed for {quoted(op)} operation")
    if matching is not None and matching.on:
        for label in matching.labels:
            if label in matching.include:
                raise fail(
                    f"label {quoted(label)} must not occur in ON and GROUP clause at once", token.start
                )
    for node, kind in ((lhs, left), (rhs, right)):
        if kind not in {"scalar", "vector"}:
            raise fail("binary expression must contain only scalar and instant vector types", node.start)
    if left == right == "vector":
        found = matching or Matching()
        if op in SETS:
            found = Matching("many-to-many", found.labels, found.on)
        return Binary(start, op, lhs, rhs, return_bool, found)
    if matching is not None and (matching.labels or matching.on):
        raise fail("vector matching only allowed between instant vectors")
    if op in SETS:
        raise fail(f"set operator {quoted(op)} not allowed in binary scalar expression")
    return Binary(start, op, lhs, rhs, return_bool, None)
