"""What goes wrong with a query, in the words of Prometheus."""

from __future__ import annotations


class PromQLError(Exception):
    """A query that cannot be answered.

    Attributes:
        kind: Prometheus' error type: `bad_data`, `execution`, `timeout`.
    """

    kind = "execution"


class ParseError(PromQLError):
    """The text is no expression. The message begins with line and column.

    Attributes:
        position: where, as a count of characters; below zero when it is nowhere.
        problem: the message without the place.
    """

    kind = "bad_data"

    def __init__(self, problem: str, text: str, position: int) -> None:
        self.position = min(max(position, 0), len(text))
        self.problem = problem
        before = text[: self.position]
        self.line = before.count("\n") + 1
        self.column = self.position - (before.rfind("\n") + 1) + 1
        place = f"{self.line}:{self.column}" if position >= 0 else "unknown position"
        super().__init__(f"{place}: parse error: {problem}")


class BadQuery(PromQLError):
    """A good expression asked for in a way that it cannot be."""

    kind = "bad_data"


class TooMuch(PromQLError):
    """The query is larger than what a server takes on."""


class TimedOut(PromQLError):
    """The query takes longer than a server allows."""

    kind = "timeout"
