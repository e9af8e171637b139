"""PromQL text as tokens."""

from __future__ import annotations

import re
from typing import NamedTuple

from firedrill.world.telemetry.labels import quoted
from firedrill.world.telemetry.promql.errors import ParseError

PARAMETRIC = frozenset(("topk", "bottomk", "quantile", "count_values", "limitk"))
AGGREGATORS = PARAMETRIC | {"sum", "avg", "count", "min", "max", "group", "stddev", "stdvar"}
KEYWORDS = frozenset(
    ["offset", "by", "without", "on", "ignoring", "group_left", "group_right", "bool", "start", "end"]
)
WORD_OPERATORS = frozenset(("and", "or", "unless", "atan2"))
_DURATION = re.compile(
    r"(?=\d)(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?",
    re.ASCII,
)
_UNITS_MS = (31_536_000_000, 604_800_000, 86_400_000, 3_600_000, 60_000, 1000, 1)
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]*|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d*)?", re.ASCII)
_DIGITS = frozenset("0123456789")
_WORD = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\r\n]*)+")
_ALNUM = re.compile(r"[A-Za-z0-9_:]+")
_OPERATORS = re.compile(r"==|!=|>=|<=|=~|!~|[-+*/%^=<>(){}\[\],:@]")
_MAX_MS = (1 << 63) // 1_000_000


class Token(NamedTuple):
    """One token: `kind` is `number`, `duration`, `string`, `identifier`, `keyword`, `aggregator`,
    `operator`, `punctuation` or `end`; `value` what it means, `text` how it is written.
    """

    kind: str
    value: str
    text: str
    start: int


def describe(token: Token) -> str:
    """The token as Prometheus names what it did not expect."""
    if token.kind == "end":
        return "end of input"
    if token.kind == "identifier":
        what = "metric identifier" if ":" in token.text else "identifier"
        return f"{what} {quoted(token.text)}"
    if token.kind == "keyword":
        return f"<{token.text}>"
    if token.kind == "aggregator":
        return f"<aggr:{token.text}>"
    if token.kind == "operator":
        return f"<op:{token.text}>"
    if token.kind == "punctuation":
        return quoted(token.text)
    shown = quoted(token.text[:10]) + "..." if len(token.text) > 10 else quoted(token.text)
    return f"{token.kind} {shown}"


def duration_ms(text: str) -> int:
    """A duration such as `1h30m` in ms.

    Raises:
        ValueError: it is none, or too long.
    """
    found = _DURATION.fullmatch(text)
    if found is None or not text:
        raise ValueError(f"not a valid duration string: {quoted(text)}")
    total = sum(int(part) * unit for part, unit in zip(found.groups(), _UNITS_MS, strict=True) if part)
    if total > _MAX_MS:
        raise ValueError("duration out of range")
    return total


def tokens(text: str) -> list[Token]:
    """All tokens, with `end` as the last one.

    Raises:
        ParseError: a character or a string makes no token.
    """
    return _Lexer(text).run()


class _Lexer:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.out: list[Token] = []
        self.open: list[str] = []

    def run(self) -> list[Token]:
        while True:
            blank = _BLANK.match(self.text, self.at)
            if blank:
                self.at = blank.end()
            if self.at >= len(self.text):
                self._finish()
                return self.out
            self._one()

    def _fail(self, problem: str, at: int | None = None) -> ParseError:
        return ParseError(problem, self.text, self.at if at is None else at)

    def _add(self, kind: str, value: str, end: int) -> None:
        self.out.append(Token(kind, value, self.text[self.at : end], self.at))
        self.at = end

    def _finish(self) -> None:
        if self.open:
            problem = {
                "(": "unclosed left parenthesis",
                "{": "unexpected end of input inside braces",
                "[": "unclosed left bracket",
            }[self.open[-1]]
            # an expression that breaks off is told by the parser, with what it had expected
            self.out.append(Token("end", problem, "", self.at))
        else:
            self.out.append(Token("end", "", "", self.at))

    def _one(self) -> None:
        char = self.text[self.at]
        inside = self.open[-1:]
        if char in "\"'`":
            self._string(char)
        elif char in _DIGITS and inside == ["{"]:
            raise self._fail(f"unexpected character inside braces: '{char}'")
        elif char in _DIGITS or (char == "." and self.text[self.at + 1 : self.at + 2] in _DIGITS):
            self._number()
        elif self.open[-1:] == ["["] and char == ":":
            self._add("punctuation", ":", self.at + 1)
        elif word := (_LABEL if self.open[-1:] == ["{"] else _WORD).match(self.text, self.at):
            self._word(word[0])
        else:
            self._operator(char)

    def _word(self, word: str) -> None:
        lower, end = word.lower(), self.at + len(word)
        inside = self.open[-1:] == ["{"]
        if inside:
            self._add("identifier", word, end)
        elif lower in WORD_OPERATORS:
            self._add("operator", lower, end)
        elif lower in KEYWORDS:
            self._add("keyword", lower, end)
        elif lower in AGGREGATORS:
            self._add("aggregator", lower, end)
        elif lower in {"inf", "nan"}:
            self._add("number", lower, end)
        else:
            self._add("identifier", word, end)

    def _operator(self, char: str) -> None:
        found = _OPERATORS.match(self.text, self.at)
        where = {"{": " inside braces", "[": " inside brackets"}.get(self.open[-1] if self.open else "", "")
        if found is None:
            following = self.text[self.at + 1 : self.at + 2]
            if char == "!" and following:
                raise self._fail(f"unexpected character after '!'{where}: '{following}'")
            raise self._fail(f"unexpected character{where}: '{char}'")
        symbol = found[0]
        if symbol == "=~" and not where:
            raise self._fail("unexpected character after '=': '~'")
        if symbol in "({[":
            if symbol == "{" and self.open[-1:] == ["{"]:
                raise self._fail("unexpected character inside braces: '{'")
            self.open.append(symbol)
        elif symbol in ")}]":
            if self.open[-1:] != [_OPENING[symbol]]:
                if symbol == "}":
                    raise self._fail("unexpected character: '}'")
                beyond = int(symbol == ")")
                raise self._fail(f"unexpected {_NAMES[symbol]} '{symbol}'", self.at + beyond)
            self.open.pop()
        if symbol == "[":
            self._check_duration(found.end())
        kind = "operator" if symbol not in "(){}[],:@=" or symbol in {"==", "=~"} else "punctuation"
        self._add(kind, symbol, found.end())

    def _check_duration(self, at: int) -> None:
        """Behind a bracket nothing but a duration may stand."""
        blank = _BLANK.match(self.text, at)
        at = blank.end() if blank else at
        number = _NUMBER.match(self.text, at)
        end = number.end() if number else at
        following = self.text[end : end + 1]
        if not following:
            return
        if not _ALNUM.match(following):
            raise self._fail("missing unit character in duration", at)
        duration = _DURATION.match(self.text, at)
        if duration is None or _LABEL.match(self.text, duration.end()):
            raise self._fail(f"bad duration syntax: {quoted(self.text[at:end])}", at)

    def _number(self) -> None:
        number = _NUMBER.match(self.text, self.at)
        duration = _DURATION.match(self.text, self.at)
        end = number.end() if number else self.at
        if duration and duration.end() > end:
            following = _ALNUM.match(self.text, duration.end())
            if following is None or following[0].startswith(":"):
                self._add("duration", duration[0], duration.end())
                return
        following = _ALNUM.match(self.text, end)
        if following is not None and not (self.open[-1:] == ["["] and following[0].startswith(":")):
            raise self._fail(f"bad number or duration syntax: {quoted(self.text[self.at : end])}")
        self._add("number", self.text[self.at : end], end)

    def _string(self, quote: str) -> None:
        end, out = self.at + 1, []
        while True:
            if end >= len(self.text) or (quote != "`" and self.text[end] == "\n"):
                name = "unterminated raw string" if quote == "`" else "unterminated quoted string"
                raise self._fail(name)
            char = self.text[end]
            if char == quote:
                break
            if char == "\\" and quote != "`":
                piece, end = self._escape(end + 1, quote)
                out.append(piece)
            else:
                out.append(char)
                end += 1
        self._add("string", "".join(out), end + 1)

    def _escape(self, at: int, quote: str) -> tuple[str, int]:
        char = self.text[at : at + 1]
        if not char:
            raise self._fail("escape sequence not terminated")
        if char in _SIMPLE:
            return _SIMPLE[char], at + 1
        if char == quote:
            return char, at + 1
        size, base = {"x": (2, 16), "u": (4, 16), "U": (8, 16)}.get(char, (3, 8))
        start = at if base == 8 else at + 1
        digits = self.text[start : start + size]
        known = "01234567" if base == 8 else "0123456789abcdefABCDEF"
        if char in "01234567xuU":
            odd = next((digit for digit in digits if digit not in known), "")
            if odd:
                raise self._fail(f"illegal character U+{ord(odd):04X} '{odd}' in escape sequence")
            if len(digits) < size:
                raise self._fail("escape sequence not terminated")
            code = int(digits, base)
            if code > 0x10FFFF or 0xD800 <= code < 0xE000:
                raise self._fail("escape sequence is an invalid Unicode code point")
            return chr(code), start + size
        raise self._fail(f"unknown escape sequence U+{ord(char):04X} '{char}'")


_OPENING = {")": "(", "}": "{", "]": "["}
_NAMES = {")": "right parenthesis", "]": "right bracket"}
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
