"""PromQL text to nodes: precedence, types of arguments and operands, and errors as Prometheus words them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from firedrill.world.sim.tables import table
from firedrill.world.telemetry.labels import NAME, quoted
from firedrill.world.telemetry.matching import Matcher, Op
from firedrill.world.telemetry.promql import lexer, typing_rules
from firedrill.world.telemetry.promql.errors import ParseError
from firedrill.world.telemetry.promql.lexer import Token
from firedrill.world.telemetry.promql.nodes import (
    Aggregate,
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
    Vector,
)

LONGEST = 100_000
"""Characters of a query at most."""
DEEPEST = 64
"""Levels of nesting at most."""
MOST_OPERATORS = 200
"""Binary operators at most, as chains of them are deep trees."""
_LEVELS = (
    ("or",),
    ("and", "unless"),
    ("==", "!=", "<=", "<", ">=", ">"),
    ("+", "-"),
    ("*", "/", "%", "atan2"),
    ("^",),
)
_LEVEL = {op: level for level, ops in enumerate(_LEVELS) for op in ops}
_POWER = 5
_NO_NAMES = frozenset(("bool", "on", "ignoring", "group_left", "group_right", "atan2"))
_OPS: dict[str, Op] = {"=": "=", "!=": "!=", "=~": "=~", "!~": "!~"}


class Signature(NamedTuple):
    """Arguments of a function; `optional` of -1 lets the last one repeat."""

    args: tuple[Type, ...]
    optional: int
    returns: Type


@lru_cache(maxsize=1)
def signatures() -> Mapping[str, Signature]:
    """All functions by name."""
    return {
        name: Signature(tuple(entry["args"]), entry.get("optional", 0), entry.get("returns", "vector"))
        for name, entry in table("firedrill.world.telemetry.promql", "functions.yaml").items()
    }


def parse(text: str) -> Node:
    """The expression of a text.

    Raises:
        ParseError: it is none.
    """
    if len(text) > LONGEST:
        raise ParseError("the expression is too long", text, 0)
    return _Parser(text).whole()


def parse_selector(text: str) -> tuple[Matcher, ...]:
    """The matchers of a text that may be a selector only, as in `match[]`. They may all fit nothing.

    Raises:
        ParseError: it is something else.
    """
    if len(text) > LONGEST:
        raise ParseError("the expression is too long", text, 0)
    return _Parser(text).only_selector()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = lexer.tokens(text)
        self.index = 0
        self.depth = 0
        self.aggregating = 0
        self.operators = 0

    # --- tokens

    @property
    def here(self) -> Token:
        return self.tokens[self.index]

    def ahead(self, count: int = 1) -> Token:
        return self.tokens[min(self.index + count, len(self.tokens) - 1)]

    def next(self) -> Token:
        token = self.here
        if token.kind != "end":
            self.index += 1
        return token

    def fail(self, problem: str, at: int) -> ParseError:
        return ParseError(problem, self.text, at)

    def unexpected(self, context: str = "", expected: str = "") -> ParseError:
        token = self.here
        if token.kind == "end" and token.value:
            return self.fail(token.value, token.start)
        problem = f"unexpected {lexer.describe(token)}"
        if not context and self.aggregating:
            context = "aggregation"
        if context:
            problem += f" in {context}"
        if expected:
            problem += f", expected {expected}"
        return self.fail(problem, token.start)

    def is_punctuation(self, symbol: str) -> bool:
        return self.here.kind == "punctuation" and self.here.value == symbol

    def take(self, symbol: str, context: str = "", expected: str = "") -> Token:
        if not self.is_punctuation(symbol):
            raise self.unexpected(context, expected)
        return self.next()

    def is_keyword(self, *words: str) -> bool:
        return self.here.kind == "keyword" and self.here.value in words

    # --- expressions

    def whole(self) -> Node:
        if self.here.kind == "end" and not self.here.value:
            raise ParseError("no expression found in input", "", -1)
        node = self.expression(0)
        if self.here.kind != "end" or self.here.value:
            raise self.unexpected()
        return node

    def only_selector(self) -> tuple[Matcher, ...]:
        token = self.here
        named = token.kind in {"identifier", "aggregator", "keyword"} or token.value in lexer.WORD_OPERATORS
        if named and token.value not in _NO_NAMES:
            self.next()
            node = self.selector(token.start, token.text)
        elif self.is_punctuation("{"):
            node = self.selector(token.start, "", empty=True)
        else:
            raise self.unexpected()
        if self.here.kind != "end" or self.here.value:
            raise self.unexpected()
        return node.matchers

    def expression(self, level: int) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.fail("the expression is nested too deeply", self.here.start)
        node = self.unary()
        while self.here.kind == "operator" and _LEVEL.get(self.here.value, -1) >= level:
            node = self.binary(node)
        self.depth -= 1
        return node

    def unary(self) -> Node:
        token = self.here
        if token.kind == "operator" and token.value in {"+", "-"}:
            self.next()
            expr = self.expression(_POWER)
            if isinstance(expr, Number):
                return Number(token.start, -expr.value if token.value == "-" else expr.value)
            typing_rules.check_unary(expr, token.start, self.text)
            return Unary(token.start, token.value, expr)
        return self.postfix(self.primary())

    def binary(self, lhs: Node) -> Node:
        token = self.next()
        self.operators += 1
        if self.operators > MOST_OPERATORS:
            raise self.fail("the expression has too many operators", token.start)
        level = _LEVEL[token.value]
        return_bool = False
        if self.is_keyword("bool"):
            self.next()
            return_bool = True
        matching = self.matching()
        # the power operator binds to the right
        rhs = self.expression(level if token.value == "^" else level + 1)
        return typing_rules.binary(self.text, token, lhs, rhs, return_bool=return_bool, matching=matching)

    def matching(self) -> Matching | None:
        if not self.is_keyword("on", "ignoring"):
            if self.is_keyword("group_left", "group_right"):
                raise self.unexpected()
            return None
        on = self.next().value == "on"
        labels = self.grouping()
        card, include = "one-to-one", tuple[str, ...]()
        if self.is_keyword("group_left", "group_right"):
            word = self.next()
            card = "many-to-one" if word.value == "group_left" else "one-to-many"
            if self.is_punctuation("(") and self._labels_follow():
                include = self.grouping()
        return Matching(card, labels, on, include)

    def _labels_follow(self) -> bool:
        """Whether a parenthesis behind `group_left` holds labels, and not the right operand."""
        offset = 1
        while self.ahead(offset).kind in {"identifier", "keyword", "aggregator"} or (
            self.ahead(offset).kind == "operator" and self.ahead(offset).value in lexer.WORD_OPERATORS
        ):
            offset += 1
            if self.ahead(offset).value != ",":
                break
            offset += 1
        if self.ahead(offset).value != ")":
            return False
        # `group_left (a) (b)`, `group_left (a) b`: labels; `group_left (a)` at the end: the operand
        after = self.ahead(offset + 1)
        return offset == 1 or (after.kind not in {"end", "operator"} and after.value not in {")", ",", "["})

    def primary(self) -> Node:
        token = self.here
        if token.kind == "number":
            self.next()
            return Number(token.start, self.number(token))
        if token.kind == "string":
            self.next()
            return String(token.start, token.value)
        if token.kind == "punctuation" and token.value == "(":
            self.next()
            inner = self.expression(0)
            self.take(")")
            return Paren(token.start, inner)
        if token.kind == "punctuation" and token.value == "{":
            return self.selector(token.start, "")
        following = self.ahead()
        opens = following.kind == "punctuation" and following.value == "("
        if token.kind == "aggregator" and (
            opens or (following.kind == "keyword" and following.value in {"by", "without"})
        ):
            return self.aggregate()
        if token.kind == "identifier" and opens:
            return self.call()
        if token.kind in {"identifier", "aggregator", "keyword"} or token.value in lexer.WORD_OPERATORS:
            if token.value in _NO_NAMES:
                raise self.unexpected()
            self.next()
            return self.selector(token.start, token.text)
        raise self.unexpected()

    def number(self, token: Token) -> float:
        text = token.text.lower()
        try:
            if text.startswith("0x"):
                return float(int(text, 16))
            if text.isdigit() and text.startswith("0") and len(text) > 1 and not set(text) & {"8", "9"}:
                return float(int(text, 8))
            return float(text)
        except (ValueError, OverflowError):
            raise self.fail(
                f"error parsing number: strconv.ParseFloat: parsing {quoted(token.text)}: invalid syntax",
                token.start,
            ) from None

    # --- selectors

    def selector(self, start: int, name: str, *, empty: bool = False) -> Vector:
        matchers: list[Matcher] = []
        if self.is_punctuation("{"):
            self.next()
            while not self.is_punctuation("}"):
                matchers.append(self.matcher())
                if self.is_punctuation(","):
                    self.next()
                elif not self.is_punctuation("}"):
                    raise self.unexpected("label matching", '"," or "}"')
            self.next()
        if name:
            for matcher in matchers:
                if matcher.name == NAME:
                    raise self.fail(
                        f"metric name must not be set twice: {quoted(name)} or {quoted(matcher.value)}", start
                    )
            matchers.append(Matcher(NAME, "=", name))
        if not empty and all(matcher.test()("") for matcher in matchers):
            raise self.fail("vector selector must contain at least one non-empty matcher", start)
        return Vector(start, name, tuple(matchers))

    def matcher(self) -> Matcher:
        label = self.here
        if label.kind != "identifier":
            raise self.unexpected("label matching", 'identifier or "}"')
        self.next()
        op = self.here
        if op.value not in _OPS or op.kind not in {"operator", "punctuation"}:
            raise self.unexpected("label matching", "label matching operator")
        self.next()
        value = self.here
        if value.kind != "string":
            raise self.unexpected("label matching", "string")
        self.next()
        made = Matcher(label.value, _OPS[op.value], value.value)
        try:
            made.test()
        except ValueError as error:
            problem = f"error parsing regexp: {error}"
            raise self.fail(problem, label.start) from None
        return made

    def postfix(self, node: Node) -> Node:
        while True:
            if self.is_punctuation("["):
                node = self.bracket(node)
            elif self.is_keyword("offset"):
                node = self.offset(node)
            elif self.is_punctuation("@"):
                node = self.at(node)
            else:
                return node

    def duration(self, context: str) -> int:
        token = self.here
        if token.kind != "duration":
            raise self.unexpected(context, "duration")
        self.next()
        try:
            found = lexer.duration_ms(token.text)
        except ValueError as error:
            raise self.fail(str(error), token.start) from None
        if not found:
            raise self.fail("duration must be greater than 0", token.start)
        return found

    def bracket(self, node: Node) -> Node:
        opening = self.next()
        span = self.duration("")
        if self.is_punctuation(":"):
            self.next()
            step = 0 if self.is_punctuation("]") else self.duration("subquery selector")
            self.take("]", "subquery selector", '"]"')
            typing_rules.check_subquery(node, self.text)
            return Subquery(node.start, node, span, step)
        self.take("]")
        if not isinstance(node, Vector):
            raise self.fail("ranges only allowed for vector selectors", opening.start)
        if node.has_offset:
            raise self.fail("no offset modifiers allowed before range", opening.start)
        if node.at is not None:
            raise self.fail("no @ modifiers allowed before range", opening.start)
        return Matrix(node.start, node, span)

    def offset(self, node: Node) -> Node:
        self.next()
        sign = 1
        if self.here.kind == "operator" and self.here.value in {"+", "-"}:
            sign = -1 if self.next().value == "-" else 1
        offset = sign * self.duration("offset")

        def change(vector: Vector | Subquery) -> Vector | Subquery:
            if vector.has_offset:
                raise self.fail("offset may not be set multiple times", node.start)
            return replace(vector, offset_ms=offset, has_offset=True)

        return self.changed(node, change, "offset modifier")

    def at(self, node: Node) -> Node:
        self.next()
        at: Any
        if self.is_keyword("start", "end"):
            at = self.next().value
            self.take("(", "@", "timestamp")
            self.take(")", "@", "timestamp")
        else:
            sign = 1
            if self.here.kind == "operator" and self.here.value in {"+", "-"}:
                sign = -1 if self.next().value == "-" else 1
            token = self.here
            if token.kind != "number":
                raise self.unexpected("@", "timestamp")
            self.next()
            seconds = sign * self.number(token)
            if not -9.2e15 < seconds * 1000 < 9.2e15:
                problem = f"timestamp out of bounds for @ modifier: {seconds:f}"
                raise self.fail(problem, node.start)
            at = round(seconds * 1000)

        def change(vector: Vector | Subquery) -> Vector | Subquery:
            if vector.at is not None:
                raise self.fail("@ <timestamp> may not be set multiple times", node.start)
            return replace(vector, at=at)

        return self.changed(node, change, "@ modifier")

    def changed(self, node: Node, change: Callable[[Any], Any], what: str) -> Node:
        if isinstance(node, Matrix):
            return replace(node, vector=change(node.vector))
        if isinstance(node, Vector | Subquery):
            out: Node = change(node)
            return out
        problem = (
            f"{what} must be preceded by an instant vector selector or range vector selector or a subquery"
        )
        raise self.fail(problem, node.start)

    # --- calls

    def grouping(self) -> tuple[str, ...]:
        self.take("(", "grouping opts", '"("')
        out: list[str] = []
        while not self.is_punctuation(")"):
            token = self.here
            word = token.kind in {"identifier", "keyword", "aggregator"}
            if not (word or token.value in lexer.WORD_OPERATORS) or ":" in token.text:
                raise self.unexpected("grouping opts", "label")
            self.next()
            out.append(token.text)
            if self.is_punctuation(","):
                self.next()
            elif not self.is_punctuation(")"):
                raise self.unexpected("grouping opts", '"," or ")"')
        self.next()
        return tuple(out)

    def arguments(self) -> tuple[list[Node], int]:
        self.take("(")
        out: list[Node] = []
        while not self.is_punctuation(")"):
            out.append(self.expression(0))
            if not self.is_punctuation(","):
                break
            comma = self.next()
            if self.is_punctuation(")"):
                raise self.fail("trailing commas not allowed in function call args", comma.start)
        end = self.here.start
        self.take(")")
        return out, end

    def call(self) -> Node:
        token = self.next()
        signature = signatures().get(token.text)
        if signature is None:
            raise self.fail(f"unknown function with name {quoted(token.text)}", token.start)
        args, _ = self.arguments()
        typing_rules.check_call(token, signature, args, self.text)
        return Call(token.start, token.text, tuple(args))

    def aggregate(self) -> Node:
        token = self.next()
        self.aggregating += 1
        modifier = self.modifier()
        args, _ = self.arguments()
        self.aggregating -= 1
        if modifier is None:
            modifier = self.modifier() or ((), False)
        wanted = 2 if token.value in lexer.PARAMETRIC else 1
        if not args:
            raise self.fail("no arguments for aggregate expression provided", token.start)
        if len(args) != wanted:
            problem = (
                "wrong number of arguments for aggregate expression provided, "
                f"expected {wanted}, got {len(args)}"
            )
            raise self.fail(problem, token.start)
        param = args[0] if wanted == 2 else None
        typing_rules.check_aggregate(token.value, param, args[-1], self.text)
        return Aggregate(token.start, token.value, args[-1], param, modifier[0], modifier[1])

    def modifier(self) -> tuple[tuple[str, ...], bool] | None:
        if not self.is_keyword("by", "without"):
            return None
        without = self.next().value == "without"
        return self.grouping(), without
