"""Sums in shell scripts."""

from __future__ import annotations

import re
from collections.abc import Callable


class Sum:
    """Whole numbers by the usual order of operators."""

    _LEVELS: tuple[tuple[str, ...], ...] = (("<", ">", "<=", ">=", "==", "!="), ("+", "-"), ("*", "/", "%"))

    _DEEPEST = 30

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.depth = 0

    def value(self, level: int = 0) -> int:
        """The result; what cannot be read counts as 0."""
        if level == len(self._LEVELS):
            return self.atom()
        left = self.value(level + 1)
        while self.tokens and self.tokens[0] in self._LEVELS[level]:
            left = _OPERATIONS[self.tokens.pop(0)](left, self.value(level + 1))
        return max(min(left, 10**15), -(10**15))

    def atom(self) -> int:
        """A number, a negated one, or what is in brackets."""
        item = self.tokens.pop(0) if self.tokens else "0"
        if self.depth > self._DEEPEST:
            return 0
        if item == "(":
            self.depth += 1
            value = self.value()
            self.depth -= 1
            if self.tokens:
                self.tokens.pop(0)
            return value
        if item == "-":
            self.depth += 1
            value = -self.atom()
            self.depth -= 1
            return value
        return int(item) if re.fullmatch(r"-?\d+", item) else 0


_OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "<": lambda a, b: int(a < b),
    ">": lambda a, b: int(a > b),
    "<=": lambda a, b: int(a <= b),
    ">=": lambda a, b: int(a >= b),
    "==": lambda a, b: int(a == b),
    "!=": lambda a, b: int(a != b),
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: int(a / b) if b else 0,
    "%": lambda a, b: a % b if b else 0,
}
