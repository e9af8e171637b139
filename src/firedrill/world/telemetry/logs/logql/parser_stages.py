"""Selectors and the stages behind them."""

from __future__ import annotations

from collections.abc import Callable

from firedrill.world.telemetry.logs.logql import nodes, regex
from firedrill.world.telemetry.logs.logql import words as known
from firedrill.world.telemetry.logs.logql.errors import ParseError
from firedrill.world.telemetry.logs.logql.patterns import Pattern, PatternError
from firedrill.world.telemetry.logs.logql.stream import Words
from firedrill.world.telemetry.logs.logql.template import TemplateError, compile_template
from firedrill.world.telemetry.logs.logql.units import number

FILTERS = ("|=", "|~", "|>", "!~", "!=", "!>")
_COMPARISONS = (">", ">=", "<", "<=", "=", "==", "!=")
_MATCHES = ("=", "=~", "!~", "!=")


def selector(words: Words) -> tuple[nodes.Matcher, ...]:
    """`{a="b", c=~"d"}`."""
    words.expect("{")
    if words.skip("}"):
        return ()
    out = [_matcher(words, "IDENTIFIER", "}")]
    while words.next.kind == ",":
        words.take()
        out.append(_matcher(words, "IDENTIFIER"))
    words.expect("}", ",")
    return tuple(out)


def _matcher(words: Words, *expected: str) -> nodes.Matcher:
    if words.next.kind != "IDENTIFIER":
        raise words.unexpected(*expected)
    name = words.take().text
    op = words.expect(*_MATCHES).kind
    return make_matcher(name, op, words.expect("STRING").value)


def make_matcher(name: str, op: str, value: str) -> nodes.Matcher:
    """A matcher whose expression is one.

    Raises:
        ParseError: it is none.
    """
    if op in {"=~", "!~"}:
        check(value)
    return nodes.Matcher(name, op, value)  # type: ignore[arg-type]


def check(expression: str) -> None:
    """Raise a ParseError where the text is no regular expression."""
    try:
        regex.compiled(expression)
    except ValueError as error:
        raise ParseError(str(error)) from None


def stages(words: Words) -> tuple[nodes.Stage, ...]:
    """All stages up to an `unwrap`, a range or the end."""
    out: list[nodes.Stage] = []
    while True:
        if words.next.kind in FILTERS:
            out.append(_line_filter(words))
        elif words.next.kind == "|" and words.peek().kind != "unwrap":
            words.take()
            out.append(_stage(words))
        else:
            return tuple(out)


def _line_filter(words: Words) -> nodes.LineFilter:
    op = words.take().kind
    values = [_line_value(words, op)]
    while words.skip("or"):
        values.append(_line_value(words, op))
    return nodes.LineFilter(op, tuple(values))


def _line_value(words: Words, op: str) -> tuple[str, bool]:
    if words.next.kind == "ip":
        words.take()
        words.expect("(")
        text = words.expect("STRING").value
        words.expect(")")
        return text, True
    text = words.expect("STRING", "ip").value
    if op in {"|~", "!~"}:
        check(text)
    elif op in {"|>", "!>"}:
        try:
            Pattern(text, captures=False)
        except PatternError as error:
            raise ParseError(str(error)) from None
    return text, False


def _stage(words: Words) -> nodes.Stage:
    kind = words.next.kind
    if kind in {"IDENTIFIER", "("}:
        return label_filter(words)
    reader = _STAGES.get(kind)
    if reader is None:
        raise words.unexpected()
    words.take()
    return reader(words)


def _json(words: Words) -> nodes.Parser:
    return nodes.Parser("json", fields=_extracts(words))


def _logfmt(words: Words) -> nodes.Parser:
    flags = []
    while words.next.kind == "PARSER_FLAG":
        flags.append(words.take().text)
    return nodes.Parser("logfmt", fields=_extracts(words), flags=tuple(flags))


def _extracts(words: Words) -> tuple[nodes.Extract, ...]:
    if words.next.kind != "IDENTIFIER":
        return ()
    out = [_extract(words)]
    while words.skip(","):
        out.append(_extract(words))
    return tuple(out)


def _extract(words: Words) -> nodes.Extract:
    name = words.expect("IDENTIFIER").text
    expression = words.expect("STRING").value if words.skip("=") else name
    return nodes.Extract(name, expression)


def _regexp(words: Words) -> nodes.Parser:
    text = words.expect("STRING").value
    try:
        groups = regex.compiled(text).groupindex
    except ValueError as error:
        raise ParseError(str(error)) from None
    if not groups:
        raise ParseError("at least one named capture must be supplied")
    return nodes.Parser("regexp", text)


def _pattern(words: Words) -> nodes.Parser:
    text = words.expect("STRING").value
    try:
        Pattern(text)
    except PatternError as error:
        raise ParseError(f"invalid pattern: {error}" if text else str(error)) from None
    return nodes.Parser("pattern", text)


def _line_format(words: Words) -> nodes.LineFormat:
    return nodes.LineFormat(_template(words.expect("STRING").value, "line"))


def _template(text: str, what: str) -> str:
    try:
        compile_template(text)
    except TemplateError as error:
        raise ParseError(f"invalid {what} template: {error}") from None
    return text


def _label_format(words: Words) -> nodes.LabelFormat:
    out: list[tuple[str, str, bool]] = []
    while True:
        name = words.expect("IDENTIFIER").text
        words.expect("=")
        value = words.expect("IDENTIFIER", "STRING")
        if any(name == other for other, _, _ in out):
            raise ParseError(f"multiple label name '{name}' not allowed in a single format operation")
        if name == "__error__":
            raise ParseError("__error__ cannot be formatted")
        if value.kind == "STRING":
            out.append((name, _template(value.value, "template for label"), True))
        else:
            out.append((name, value.text, False))
        if not words.skip(","):
            return nodes.LabelFormat(tuple(out))


def _drop_keep(words: Words, keep: bool) -> nodes.DropKeep:
    names, matchers = [], []
    while True:
        name = words.expect("IDENTIFIER").text
        if words.next.kind in _MATCHES:
            op = words.take().kind
            matchers.append(make_matcher(name, op, words.expect("STRING").value))
        else:
            names.append(name)
        if not words.skip(","):
            return nodes.DropKeep(keep, tuple(names), tuple(matchers))


_STAGES: dict[str, Callable[[Words], nodes.Stage]] = {
    "json": _json,
    "logfmt": _logfmt,
    "regexp": _regexp,
    "pattern": _pattern,
    "unpack": lambda _: nodes.Parser("unpack"),
    "line_format": _line_format,
    "label_format": _label_format,
    "decolorize": lambda _: nodes.Decolorize(),
    "drop": lambda words: _drop_keep(words, False),
    "keep": lambda words: _drop_keep(words, True),
}


def label_filter(words: Words) -> nodes.LabelFilter:
    """Filters on labels, joined by `or`, `and`, commas or nothing."""
    left = _conjunction(words)
    while words.skip("or"):
        left = nodes.Both(left, _conjunction(words), any=True)
    return left


def _conjunction(words: Words) -> nodes.LabelFilter:
    left = _single(words)
    while words.next.kind in {"and", ",", "IDENTIFIER", "("}:
        words.skip("and", ",")
        left = nodes.Both(left, _single(words))
    return left


def _single(words: Words) -> nodes.LabelFilter:
    if words.skip("("):
        words.deeper()
        inner = label_filter(words)
        words.expect(")")
        words.higher()
        return inner
    name = words.expect("IDENTIFIER").text
    op = words.next.kind
    if op not in _COMPARISONS and op not in _MATCHES:
        raise words.unexpected()
    words.take()
    return _literal(words, name, op)


def _literal(words: Words, name: str, op: str) -> nodes.Compare:
    kind = words.next.kind
    if kind == "STRING" and op in _MATCHES:
        matcher = make_matcher(name, op, words.take().value)
        return nodes.Compare(name, matcher.op, matcher.value, "string")
    if op in {"=~", "!~"}:
        raise words.unexpected("STRING")
    if kind == "ip" and op in {"=", "!="}:
        words.take()
        words.expect("(")
        text = words.expect("STRING").value
        words.expect(")")
        return nodes.Compare(name, op, text, "ip")
    if kind in {"DURATION", "BYTES"}:
        return nodes.Compare(name, _equal(op), words.take().value, kind.lower())
    sign = 1.0
    if kind in {"+", "-"}:
        sign = -1.0 if words.take().kind == "-" else 1.0
    if words.next.kind != "NUMBER":
        raise words.unexpected()
    return nodes.Compare(name, _equal(op), sign * number(words.take().text), "number")


def _equal(op: str) -> str:
    return "==" if op == "=" else op


def unwrap(words: Words) -> nodes.Unwrap | None:
    """`| unwrap bytes(size) | filters`, where it is there."""
    if not (words.next.kind == "|" and words.peek().kind == "unwrap"):
        return None
    words.take()
    words.take()
    conversion = ""
    if words.next.kind in known.CONVERSIONS:
        conversion = words.take().kind
        words.expect("(")
        label = words.expect("IDENTIFIER").text
        words.expect(")")
    else:
        label = words.expect("IDENTIFIER", "bytes", "duration", "duration_seconds").text
    filters = []
    while words.next.kind == "|":
        words.take()
        filters.append(label_filter(words))
    return nodes.Unwrap(label, conversion, tuple(filters))
