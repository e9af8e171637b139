"""From text to a tree, by hand, with the complaints of Loki's parser."""

from __future__ import annotations

import math
from functools import lru_cache

from firedrill.world.telemetry.logs.logql import nodes, regex
from firedrill.world.telemetry.logs.logql import words as known
from firedrill.world.telemetry.logs.logql.errors import LogQLError, ParseError
from firedrill.world.telemetry.logs.logql.lexer import END
from firedrill.world.telemetry.logs.logql.parser_stages import selector, stages, unwrap
from firedrill.world.telemetry.logs.logql.stream import Words
from firedrill.world.telemetry.logs.logql.units import number

_PARAMETER = frozenset(("topk", "bottomk", "approx_topk"))


@lru_cache(maxsize=256)
def parse(text: str) -> nodes.Query:
    """The tree of a query.

    Raises:
        LogQLError: it is none, in the words of Loki.
    """
    words = Words(text)
    try:
        out = _query(words)
    except RecursionError:
        raise ParseError("query is nested too deeply") from None
    if words.next.kind != END:
        raise words.unexpected()
    return out


def parse_matchers(text: str) -> tuple[nodes.Matcher, ...]:
    """The matchers of a bare selector, as `match[]` and `/series` have it.

    Raises:
        LogQLError: it is none.
    """
    words = Words(text)
    out = selector(words)
    if words.next.kind != END:
        if words.next.kind in {"|", "|=", "!=", "|~", "!~"}:
            raise ParseError("only label matchers is supported")
        raise words.unexpected()
    _need_matcher(out)
    return out


def _query(words: Words) -> nodes.Query:
    if words.next.kind == "{" or _bracketed_selector(words):
        brackets = 0
        while words.skip("("):
            brackets += 1
        matchers = selector(words)
        found = nodes.Selector(matchers, stages(words))
        if brackets == 0 and words.next.kind == "RANGE":
            raise words.unexpected()
        for _ in range(brackets):
            words.expect(")")
        _need_matcher(matchers)
        return found
    return _metric(words, 0)


def _bracketed_selector(words: Words) -> bool:
    ahead = 0
    while words.peek(ahead).kind == "(":
        ahead += 1
        if ahead > 60:
            raise ParseError("query is nested too deeply")
    return ahead > 0 and words.peek(ahead).kind == "{"


def _need_matcher(matchers: tuple[nodes.Matcher, ...]) -> None:
    for item in matchers:
        if item.op == "=" and item.value:
            return
        if item.op == "!=" and not item.value:
            return
        if item.op in {"=~", "!~"}:
            empty = regex.anchored(item.value).search("") is not None
            if empty == (item.op == "!~"):
                return
    raise ParseError(
        "queries require at least one regexp or equality matcher that does not have an empty-compatible"
        ' value. For instance, app=~".*" does not meet this requirement, but app=~".+" will'
    )


def _metric(words: Words, level: int) -> nodes.Metric:
    words.deeper()
    left = _operand(words)
    while (found := known.LEVELS.get(words.next.kind, 0)) > level:
        op = words.take().kind
        matching = _matching(words, op)
        right = _metric(words, found - 1 if op == "^" else found)
        left = _binary(op, left, right, matching)
    words.higher()
    return left


def _operand(words: Words) -> nodes.Metric:
    kind = words.next.kind
    if kind in known.RANGE:
        return _range_aggregation(words)
    if kind in known.VECTOR:
        return _vector_aggregation(words)
    if kind in {"NUMBER", "+", "-"}:
        return nodes.Number(_signed(words))
    if kind == "vector":
        words.take()
        words.expect("(")
        value = _signed(words)
        words.expect(")")
        return nodes.Vector(value)
    if kind == "label_replace":
        return _label_replace(words)
    if kind == "(":
        words.take()
        inner = _metric(words, 0)
        if words.next.kind != ")":
            raise words.unexpected()
        words.take()
        return inner
    if kind == "{":
        # a log query where a metric query belongs: the complaint is about what follows it
        selector(words)
        stages(words)
    raise words.unexpected()


def _signed(words: Words) -> float:
    sign = 1.0
    if words.next.kind in {"+", "-"}:
        sign = -1.0 if words.take().kind == "-" else 1.0
    return sign * number(words.expect("NUMBER").text)


def _matching(words: Words, op: str) -> nodes.Matching:
    plain = words.next.kind == "bool"
    if plain:
        if op not in known.COMPARISONS:
            raise words.unexpected()
        words.take()
    if words.next.kind not in {"on", "ignoring"}:
        return nodes.Matching(bool=plain)
    on = words.take().kind == "on"
    labels = _labels(words)
    if words.next.kind not in {"group_left", "group_right"}:
        return nodes.Matching(on, labels, bool=plain)
    if op in known.SETS:
        raise words.unexpected()
    group = words.take().kind
    include = _labels(words) if words.next.kind == "(" else ()
    return nodes.Matching(on, labels, "left" if group == "group_left" else "right", include, plain)


def _labels(words: Words) -> tuple[str, ...]:
    words.expect("(")
    out: list[str] = []
    if words.skip(")"):
        return ()
    while True:
        out.append(words.expect("IDENTIFIER", *([] if out else [")"])).text)
        if words.expect(",", ")").kind == ")":
            return tuple(out)


def _binary(op: str, left: nodes.Metric, right: nodes.Metric, matching: nodes.Matching) -> nodes.Metric:
    for side, name in ((left, "left"), (right, "right")):
        if op in known.SETS and isinstance(side, nodes.Number):
            raise ParseError(
                f"unexpected literal for {name} leg of logical/set binary operation ({op}): {side.value:.6f}"
            )
    if isinstance(left, nodes.Number) and isinstance(right, nodes.Number):
        return nodes.Number(arithmetic(op, left.value, right.value))
    return nodes.Binary(op, left, right, matching)


def arithmetic(op: str, left: float, right: float) -> float:
    """Two numbers and an operator; comparisons give 1 or 0."""
    if op in known.COMPARISONS:
        order = {
            "==": left == right, "!=": left != right, "<": left < right,
            "<=": left <= right, ">": left > right, ">=": left >= right,
        }  # fmt: skip
        return 1.0 if order[op] else 0.0
    try:
        if op == "+":
            return left + right
        if op == "-":
            return left - right
        if op == "*":
            return left * right
        if op == "/":
            return left / right
        return math.fmod(left, right) if op == "%" else math.pow(left, right)
    except (ZeroDivisionError, ValueError):
        return math.nan
    except OverflowError:
        return math.inf


def _grouping(words: Words) -> nodes.Grouping | None:
    if words.next.kind not in {"by", "without"}:
        return None
    without = words.take().kind == "without"
    return nodes.Grouping(_labels(words), without)


def _range_aggregation(words: Words) -> nodes.RangeAggregation:
    op = words.take().kind
    words.expect("(")
    parameter = None
    if words.next.kind == "NUMBER":
        parameter = words.take().text
        words.expect(",")
    elif words.next.kind not in {"{", "("}:
        raise words.unexpected("NUMBER", "{", "(")
    made = _log_range(words, op)
    words.expect(")")
    grouping = _grouping(words)
    quantile = None
    if op == "quantile_over_time":
        if parameter is None:
            raise ParseError(f"parameter required for operation {op}")
        quantile = number(parameter)
    elif parameter is not None:
        raise ParseError(f"parameter {parameter} not supported for operation {op}")
    if grouping is not None and op not in known.GROUPED:
        raise ParseError(f"grouping not allowed for {op} aggregation")
    if made.unwrap is not None and op not in known.UNWRAPPED:
        raise ParseError(f"invalid aggregation {op} with unwrap")
    if made.unwrap is None and op not in known.BARE:
        raise ParseError(f"invalid aggregation {op} without unwrap")
    return nodes.RangeAggregation(op, made.selector, made.range, made.offset, made.unwrap, quantile, grouping)


def _log_range(words: Words, op: str) -> nodes.RangeAggregation:
    """A selector with its range, which may stand before, between or behind the stages, and in brackets."""
    brackets = 0
    while words.skip("("):
        brackets += 1
        words.deeper()
    matchers = selector(words)
    span, offset, closed = -1, 0, 0
    before: tuple[nodes.Stage, ...] = ()
    found: nodes.Unwrap | None = None
    while True:
        if words.next.kind == "RANGE" and span < 0:
            span = words.take().value
            if words.skip("offset"):
                offset = words.expect("DURATION").value
        elif closed < brackets and words.next.kind == ")":
            words.take()
            words.higher()
            closed += 1
        elif words.next.kind == "|" and words.peek().kind == "unwrap" and found is None:
            found = unwrap(words)
        elif words.next.kind in {"|", "|=", "|~", "|>", "!~", "!=", "!>"} and found is None:
            before += stages(words)
        else:
            break
    if closed < brackets or span < 0:
        raise words.unexpected()
    _need_matcher(matchers)
    return nodes.RangeAggregation(op, nodes.Selector(matchers, before), span, offset, found)


def _vector_aggregation(words: Words) -> nodes.VectorAggregation:
    op = words.take().kind
    grouping = _grouping(words)
    words.expect("(", *(["by", "without"] if grouping is None else []))
    parameter = None
    if words.next.kind == "NUMBER" and words.peek().kind == ",":
        parameter = words.take().text
        words.take()
    inner = _metric(words, 0)
    if words.next.kind != ")":
        raise words.unexpected()
    words.take()
    if grouping is None:
        grouping = _grouping(words)
    count = _vector_parameter(op, parameter)
    if grouping is not None and op in {"approx_topk", "sort", "sort_desc"}:
        raise ParseError(f"grouping not allowed for {op} aggregation")
    return nodes.VectorAggregation(op, inner, grouping, count)


def _vector_parameter(op: str, text: str | None) -> int:
    if op not in _PARAMETER:
        if text is not None:
            raise ParseError(f"unsupported parameter for operation {op}({text},")
        return 0
    if text is None:
        raise ParseError(f"parameter required for operation {op}")
    if not text.isdecimal() or len(text) > 18:
        raise ParseError(f"invalid parameter {op}({text},")
    if int(text) <= 0:
        raise ParseError(f"invalid parameter (must be greater than 0) {op}({text}")
    return int(text)


def _label_replace(words: Words) -> nodes.LabelReplace:
    words.take()
    words.expect("(")
    inner = _metric(words, 0)
    texts = []
    for _ in range(4):
        if words.next.kind != ",":
            raise words.unexpected(",")
        words.take()
        texts.append(words.expect("STRING").value)
    words.expect(")")
    try:
        regex.anchored(texts[3])
    except ValueError as error:
        raise ParseError(f"invalid regex in label_replace: {error}") from None
    return nodes.LabelReplace(inner, texts[0], texts[1], texts[2], texts[3])


__all__ = ["LogQLError", "arithmetic", "parse", "parse_matchers"]
