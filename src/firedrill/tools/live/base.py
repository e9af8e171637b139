"""What a tool over a living world is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from pydantic import Field

from firedrill.tools.base import Answer, Paged, schema_of

if TYPE_CHECKING:
    from firedrill.tools.live.desk import Desk

P = TypeVar("P", bound=Paged)
Role = Literal["look", "act", "report"]


class Span(Paged):
    """Parameters of tools that look at a stretch of time."""

    since: str | None = Field(
        None,
        max_length=60,
        description="Start: -15m (before now), onset-5m (before the first alert), or a UTC time in ISO form."
        " By default ten minutes before now.",
    )
    until: str | None = Field(None, max_length=60, description="End, in the same forms. By default now.")


@dataclass(frozen=True, slots=True)
class LiveTool(Generic[P]):
    """One tool: what a reader is told of it, what it takes, what it does.

    ``role``: it only looks, may change something, or reports.
    """

    name: str
    description: str
    parameters: type[P]
    run: Callable[[Desk, P], Awaitable[Answer]]
    role: Role = "look"

    def schema(self) -> dict[str, Any]:
        """JSON schema of the parameters, without what only a program would read."""
        return schema_of(self.parameters)


def listing(lines: list[str], *notes: str) -> Answer:
    """An answer of lines of text."""
    return Answer(("line",), [(line,) for line in lines], notes, width=2_000)
