"""Label selectors as text (`app=web,tier in (a, b),!legacy`), refused in the words of a real API server.

Source: apimachinery's `labels` package, which tells tokens, where they may stand, and errors.
"""

from __future__ import annotations

import re

Requirement = tuple[str, str, tuple[str, ...]]

_BLANK = " \t\r\n"
_SYMBOLS = ("!=", "==", "=", "!", "(", ")", ",", ">", "<")
_WORD = re.compile(r"[^=!(),><\s\0]+")
_OPERATORS = {"in": "in", "notin": "notin", "=": "in", "==": "in", "!=": "notin", ">": "gt", "<": "lt"}
_KNOWN = "in, notin, =, ==, !=, gt, lt"
_END = ""


class SelectorError(ValueError):
    """The text is no selector."""


def read(text: str) -> tuple[Requirement, ...]:
    """The requirements of a label selector, all of which must hold.

    Raises:
        SelectorError: the text is malformed; its message is what the server answers.
    """
    return _Reader(_tokens(text)).requirements()


def _tokens(text: str) -> list[tuple[str, bool]]:
    """(text, whether it is a word) of each token; the end is an empty text."""
    out: list[tuple[str, bool]] = []
    at = 0
    while at < len(text) and text[at] != "\0":
        if text[at] in _BLANK:
            at += 1
        elif match := _WORD.match(text, at):
            out.append((match[0], True))
            at = match.end()
        else:
            symbol = next((item for item in _SYMBOLS if text.startswith(item, at)), text[at])
            out.append((symbol, False))
            at += len(symbol)
    return [*out, (_END, False)]


class _Reader:
    def __init__(self, tokens: list[tuple[str, bool]]) -> None:
        self.tokens, self.at = tokens, 0

    def look(self) -> tuple[str, bool]:
        return self.tokens[min(self.at, len(self.tokens) - 1)]

    def take(self) -> tuple[str, bool]:
        found = self.look()
        self.at += 1
        return found

    def requirements(self) -> tuple[Requirement, ...]:
        out: list[Requirement] = []
        if self.look()[0] == _END:
            return ()
        if not self.starts():
            raise SelectorError(f"found '{self.look()[0]}', expected: !, identifier, or 'end of string'")
        while True:
            try:
                out.append(self.requirement())
            except SelectorError as problem:
                raise SelectorError(f"unable to parse requirement: {problem}") from None
            text, _ = self.take()
            if text == _END:
                return tuple(out)
            if text != ",":
                raise SelectorError(f"found '{text}', expected: ',' or 'end of string'")
            if not self.starts():
                raise SelectorError(f"found '{self.look()[0]}', expected: identifier after ','")

    def starts(self) -> bool:
        text, word = self.look()
        return word or text == "!"

    def requirement(self) -> Requirement:
        text, word = self.take()
        absent = text == "!"
        if absent:
            text, word = self.take()
        if not word:
            raise SelectorError(f"found '{text}', expected: identifier")
        _check_key(text)
        if self.look()[0] in (_END, ","):
            return text, "!" if absent else "exists", ()
        if absent:  # as the server does, which takes no notice of what follows here
            return text, "!", ()
        sign, _ = self.take()
        operator = _OPERATORS.get(sign)
        if operator is None:
            raise SelectorError(f"found '{sign}', expected: {_KNOWN}")
        values = self.several() if sign in ("in", "notin") else (self.single(),)
        return text, operator, _checked(text, operator, values)

    def several(self) -> tuple[str, ...]:
        text, _ = self.take()
        if text != "(":
            raise SelectorError(f"found '{text}' expected: '('")
        text, word = self.look()
        if text == ")":
            self.take()
            return ("",)
        if not word and text != ",":
            raise SelectorError(f"found '{text}', expected: ',', ')' or identifier")
        found: set[str] = set()
        while True:
            text, word = self.take()
            following = self.look()[0]
            if word:
                found.add(text)
                if following not in (",", ")"):
                    raise SelectorError(f"found '{following}', expected: ',' or ')'")
            elif text == ",":
                found |= {""} if not found or following in (",", ")") else set()
            else:
                raise SelectorError(f"found '{text}', expected: ',', or identifier")
            if following == ")":
                self.take()
                return tuple(sorted(found))

    def single(self) -> str:
        if self.look()[0] in (_END, ","):
            return ""
        text, word = self.take()
        if not word:
            raise SelectorError(f"found '{text}', expected: identifier")
        return text


def _check_key(key: str) -> None:
    from firedrill.world.kube.schema.check.names import qualified

    if problems := qualified(key):
        raise SelectorError(f"<nil>: Invalid value: {_quoted(key)}: {'; '.join(problems)}")


def _checked(key: str, operator: str, values: tuple[str, ...]) -> tuple[str, ...]:
    from firedrill.world.kube.schema.check.names import problems

    for number, value in enumerate(values):
        if operator in ("gt", "lt") and re.fullmatch(r"[+-]?\d{1,18}", value, re.ASCII) is None:
            text = "for 'Gt', 'Lt' operators, the value must be an integer"
            raise SelectorError(f"values[{number}]: Invalid value: {_quoted(value)}: {text}")
        if value and (found := problems("label_value", value)):
            raise SelectorError(
                f"values[{number}][{key}]: Invalid value: {_quoted(value)}: {'; '.join(found)}"
            )
    return values


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
