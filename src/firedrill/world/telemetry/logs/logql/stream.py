"""The parser's place in the words of a query."""

from __future__ import annotations

from firedrill.world.telemetry.logs.logql.errors import ParseError
from firedrill.world.telemetry.logs.logql.lexer import Token, tokens

_DEEPEST = 60


class Words:
    """The words of a query, one after the other."""

    __slots__ = ("_all", "_at", "_depth")

    def __init__(self, text: str) -> None:
        self._all = tokens(text)
        self._at = 0
        self._depth = 0

    @property
    def next(self) -> Token:
        """The word that comes next; it stays there."""
        return self._all[self._at]

    def peek(self, ahead: int = 1) -> Token:
        """A later word."""
        return self._all[min(self._at + ahead, len(self._all) - 1)]

    def take(self) -> Token:
        """The next word, which is passed."""
        found = self._all[self._at]
        self._at = min(self._at + 1, len(self._all) - 1)
        return found

    def skip(self, *kinds: str) -> bool:
        """Pass the next word if it is one of these."""
        if self.next.kind in kinds:
            self.take()
            return True
        return False

    def expect(self, *kinds: str) -> Token:
        """Pass the next word, which must be one of these.

        Raises:
            ParseError: it is another.
        """
        if self.next.kind not in kinds:
            raise self.unexpected(*kinds)
        return self.take()

    def unexpected(self, *expected: str) -> ParseError:
        """The complaint about the next word; it names what would do where that is at most four words."""
        found = self.next
        text = f"syntax error: unexpected {found.kind}"
        if 0 < len(expected) <= 4:
            text += ", expecting " + " or ".join(expected)
        return ParseError(text, found.line, found.column)

    def deeper(self) -> None:
        """One level of brackets more.

        Raises:
            ParseError: there are too many.
        """
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ParseError("query is nested too deeply")

    def higher(self) -> None:
        """One level less."""
        self._depth -= 1
