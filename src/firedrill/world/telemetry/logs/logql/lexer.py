"""The words of a query, as Loki's own scanner cuts them."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from firedrill.world.telemetry.logs.logql import words
from firedrill.world.telemetry.logs.logql.errors import ParseError
from firedrill.world.telemetry.logs.logql.units import duration_of, humanized_bytes, prometheus_duration

END: Final = "$end"
_LONGEST = 131_072
OPERATORS: Final = (
    "|=", "|~", "|>", "!=", "!~", "!>", "=~", "==", ">=", "<=",
    "{", "}", "(", ")", ",", ".", "=", "|", "]", ">", "<", "+", "-", "*", "/", "%", "^",
)  # fmt: skip
_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_DIGITS = frozenset("0123456789")
_DURATION = re.compile(r"[0-9.nuµmshdwy]*")
_BYTES = re.compile(r"[0-9.BikKMGTP]*")
_FLAG = re.compile(r"--[A-Za-z-]*")
_CALL = re.compile(r"\s*(?:\(|(?:by|without)\s*\()", re.IGNORECASE)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}  # fmt: skip
_ESCAPE = re.compile(
    r"\\(?:([ntrabfv\\\"'])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3}))|\\(.?)",
    re.DOTALL,
)


class Token(NamedTuple):
    """One word.

    Attributes:
        kind: as error messages name it: an operator or keyword itself, or a class such as `STRING`.
        text: as written.
        value: of a literal: a string, ns, bytes.
        line, column: where it begins; the line is 0 where Loki's scanner has lost it.
    """

    kind: str
    text: str
    value: Any
    line: int
    column: int


def tokens(text: str) -> list[Token]:
    """All words of a query, the last one being `$end`.

    Raises:
        ParseError: there is something that is no word.
    """
    if len(text) > _LONGEST:
        raise ParseError(f"input size too long ({len(text)} > {_LONGEST})")
    return _Scanner(text).run()


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line, self.begin = 1, 0
        self.out: list[Token] = []

    def run(self) -> list[Token]:
        while True:
            self._skip()
            if self.at >= len(self.text):
                self._put(END, self.at)
                return self.out
            self._one()

    def _skip(self) -> None:
        text = self.text
        while self.at < len(text):
            char = text[self.at]
            if char == "\n":
                self.line, self.begin = self.line + 1, self.at + 1
            elif char == "#":
                end = text.find("\n", self.at)
                self.at = (end if end >= 0 else len(text)) - 1
            elif not char.isspace():
                return
            self.at += 1

    def _put(self, kind: str, end: int, value: Any = None, *, lost: bool = False) -> None:
        here = self.text[self.at : end]
        self.out.append(Token(kind, here, value, 0 if lost else self.line, self.at - self.begin + 1))
        self.at = end

    def _error(self, problem: str, *, lost: bool = False) -> ParseError:
        return ParseError(problem, 0 if lost else self.line, self.at - self.begin + 1)

    def _one(self) -> None:
        text, at = self.text, self.at
        char = text[at]
        if char in "\"`'":
            self._string(char)
        elif char == "[":
            self._range()
        elif char in _DIGITS or (char == "." and text[at + 1 : at + 2] in _DIGITS):
            self._number()
        elif char == "-" and self._negative():
            return
        elif (found := _IDENTIFIER.match(text, at)) is not None:
            self._word(found[0])
        else:
            for operator in OPERATORS:
                if text.startswith(operator, at):
                    self._put(operator, at + len(operator), lost=len(operator) > 1)
                    return
            self._put("IDENTIFIER", at + 1)

    def _word(self, word: str) -> None:
        lower = word.lower()
        end = self.at + len(word)
        kind = "IDENTIFIER"
        if lower in words.KEYWORDS or (lower in words.FUNCTIONS and _CALL.match(self.text, end)):
            kind = lower
        self._put(kind, end)

    def _string(self, quote: str) -> None:
        at = self.at + 1
        while at < len(self.text) and self.text[at] != quote:
            if self.text[at] == "\n" and quote != "`":
                raise self._error("literal not terminated")
            at += 2 if self.text[at] == "\\" and quote != "`" else 1
        if at >= len(self.text):
            raise self._error("literal not terminated")
        inner = self.text[self.at + 1 : at]
        try:
            value = inner.replace("\r", "") if quote == "`" else unquote(inner)
        except ValueError:
            raise self._error("invalid syntax") from None
        lines = inner.count("\n")
        self._put("STRING", at + 1, value)
        if lines:
            self.line += lines
            self.begin = self.text.rfind("\n", 0, at) + 1

    def _range(self) -> None:
        end = self.text.find("]", self.at)
        if end < 0:
            raise self._error("missing closing ']' in duration", lost=True)
        try:
            value = prometheus_duration(self.text[self.at + 1 : end])
        except ValueError as error:
            raise self._error(str(error), lost=True) from None
        self._put("RANGE", end + 1, value, lost=True)

    def _negative(self) -> bool:
        flag = _FLAG.match(self.text, self.at)
        if flag is not None and flag[0] in words.FLAGS:
            self._put("PARSER_FLAG", flag.end(), flag[0], lost=True)
            return True
        found = _DURATION.match(self.text, self.at + 1)
        if found is None or not found[0]:
            return False
        try:
            value = duration_of("-" + found[0])
        except ValueError:
            return False
        self._put("DURATION", found.end(), value, lost=True)
        return True

    def _number(self) -> None:
        found = _NUMBER.match(self.text, self.at)
        end = found.end() if found is not None else self.at + 1
        for kind, runes, parse in (("DURATION", _DURATION, duration_of), ("BYTES", _BYTES, humanized_bytes)):
            more = runes.match(self.text, end)
            if more is not None and more[0]:
                try:
                    value = parse(self.text[self.at : more.end()])
                except ValueError:
                    continue
                self._put(kind, more.end(), value, lost=True)
                return
        self._put("NUMBER", end)


def unquote(inner: str) -> str:
    """The text between double quotes with its escapes undone.

    Raises:
        ValueError: an escape is unknown.
    """
    if "\\" not in inner:
        return inner

    def one(found: re.Match[str]) -> str:
        simple, short, unicode4, unicode8, octal, bad = found.groups()
        if bad is not None:
            raise ValueError("invalid syntax")
        if simple:
            return _ESCAPES.get(simple, simple)
        return chr(int(octal, 8) if octal else int(short or unicode4 or unicode8, 16))

    try:
        return _ESCAPE.sub(one, inner)
    except OverflowError:
        raise ValueError("invalid syntax") from None
