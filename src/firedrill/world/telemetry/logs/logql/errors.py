"""What goes wrong with a query, in the words of Loki."""

from __future__ import annotations


class LogQLError(Exception):
    """A query that cannot be answered: the client's fault."""


class ParseError(LogQLError):
    """The text is no query.

    Attributes:
        problem: what is wrong, without the place.
        line, column: where; both 0 when it is about the whole.
    """

    def __init__(self, problem: str, line: int = 0, column: int = 0) -> None:
        self.problem, self.line, self.column = problem, line, column
        where = f"at line {line}, col {column}" if line or column else ""
        super().__init__(f"parse error {where}: {problem}")


class LimitError(LogQLError):
    """The query asks for more than a server gives."""


class PipelineError(LogQLError):
    """A metric query came upon a line that one of its stages could not read.

    Attributes:
        kind: as in the label `__error__`.
    """

    def __init__(self, kind: str, series: str) -> None:
        self.kind = kind
        super().__init__(
            f"pipeline error: '{kind}' for series: '{series}'.\n"
            f'Use a label filter to intentionally skip this error. (e.g | __error__!="{kind}").\n'
            'To skip all potential errors you can match empty errors.(e.g __error__="")\n'
            'The label filter can also be specified after unwrap. (e.g | unwrap latency | __error__="" )\n'
        )
