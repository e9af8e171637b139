"""What a tool of assessments is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from firedrill.tools.base import Answer, Paged, schema_of

if TYPE_CHECKING:
    from firedrill.tools.compliance.bench import Bench

P = TypeVar("P", bound=Paged)
KYVERNO = frozenset({"kyverno", "kyverno-update"})
SCRIPTS = frozenset({"kubectl-opa"})
HOSTS = frozenset({"rhel9-ansible-opa"})


@dataclass(frozen=True, slots=True)
class ComplianceTool(Generic[P]):
    """One tool: what a reader is told of it, what it takes, what it does.

    ``kinds``: the classes of assessments that it is offered in.
    """

    name: str
    description: str
    parameters: type[P]
    run: Callable[[Bench, P], Awaitable[Answer]]
    kinds: frozenset[str] = KYVERNO | SCRIPTS | HOSTS

    def schema(self) -> dict[str, Any]:
        """JSON schema of the parameters, without what only a program would read."""
        return schema_of(self.parameters)


def lines(text: str | list[str], *notes: str) -> Answer:
    """An answer of lines of text."""
    listed = text.splitlines() if isinstance(text, str) else text
    return Answer(("line",), [(line,) for line in listed], notes, width=2_000)
