"""What a tool is, what it takes and what it answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from firedrill.tools.render import CELL, Cell

if TYPE_CHECKING:
    from firedrill.tools.case import Case

MAX_ROWS = 1000


def loaded(value: object) -> object:
    """What was given as the text of its JSON, as some models do; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _listed(value: object) -> object:
    """``a,b`` and ``["a", "b"]`` as text, the way shells and some models pass lists."""
    if not isinstance(value, str):
        return value
    if value.startswith("["):
        return loaded(value)
    return [item.strip() for item in value.split(",") if item.strip()]


Texts = Annotated[tuple[str, ...], BeforeValidator(_listed)]
"""Several strings; a shell may give them with commas between."""


class Paged(BaseModel):
    """Parameters that every tool has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(50, ge=1, le=MAX_ROWS, description="Most rows to return.")
    offset: int = Field(0, ge=0, le=100_000_000, description="Rows to skip: next_offset of the last answer.")


class Windowed(Paged):
    """Parameters of tools that look at a stretch of time."""

    since: str | None = Field(
        None,
        max_length=60,
        description="Start of the window: ISO time (UTC), or relative: onset-5m, start, -15m (before end).",
    )
    until: str | None = Field(None, max_length=60, description="End of the window, in the same forms.")


P = TypeVar("P", bound=Paged)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool's executor returns: every row, or (``paged``) one page and one row more if there is one.

    ``width`` bounds the characters of a cell.
    """

    columns: tuple[str, ...]
    rows: Sequence[Sequence[object]]
    notes: tuple[str, ...] = ()
    paged: bool = False
    width: int = CELL


@dataclass(frozen=True, slots=True)
class Tool(Generic[P]):
    """One tool: what a reader is told of it, what it takes, what it does."""

    name: str
    description: str
    parameters: type[P]
    run: Callable[[Case, P], Answer]

    def schema(self) -> dict[str, Any]:
        """JSON schema of the parameters, without what only a program would read."""
        return schema_of(self.parameters)


class Described(Protocol):
    """A tool of either kind, over a recording or a living world, without what it does."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def description(self) -> str:
        """What a reader is told of it."""

    @property
    def parameters(self) -> type[Paged]:
        """What it takes."""

    def schema(self) -> dict[str, Any]:
        """JSON schema of the parameters."""


def schema_of(parameters: type[BaseModel]) -> dict[str, Any]:
    """JSON schema of parameters, without what only a program would read."""
    found = {key: _simple(value) for key, value in parameters.model_json_schema().items()}
    shapes = found.pop("$defs", {})
    found["properties"] = {name: _simple(about) for name, about in found["properties"].items()}
    found = {key: value for key, value in found.items() if key not in ("title", "description")}
    return found if not shapes else _inlined(found, shapes)


def _inlined(node: Any, shapes: Mapping[str, Any]) -> Any:
    """Shapes written where they are referred to: not every endpoint follows references."""
    if isinstance(node, list):
        return [_inlined(item, shapes) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        shape = _simple(shapes[str(node["$ref"]).rpartition("/")[2]])
        node = {**shape, **{key: value for key, value in node.items() if key != "$ref"}}
    return {key: _inlined(value, shapes) for key, value in node.items()}


@dataclass(frozen=True, slots=True)
class ToolResult:
    """A bounded answer. ``rows`` hold plain JSON cells, and ``text`` shows exactly these rows.

    ``truncated`` says that something was left out: the rows from ``next_offset`` on, or what ``notes`` say.
    ``error`` marks an answer to a call that made no sense; ``notes`` then say how to mend it.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    text: str
    truncated: bool = False
    next_offset: int | None = None
    notes: tuple[str, ...] = ()
    error: bool = False

    def to_json(self) -> dict[str, Any]:
        """The answer as a JSON object, without its text."""
        return {
            "columns": list(self.columns),
            "rows": [list(row) for row in self.rows],
            "truncated": self.truncated,
            "next_offset": self.next_offset,
            "notes": list(self.notes),
            "error": self.error,
        }


def _simple(node: Any) -> Any:
    """Drop titles, and write optional values as their type alone: endpoints differ in what they accept."""
    if isinstance(node, list):
        return [_simple(item) for item in node]
    if not isinstance(node, dict):
        return node
    found = {key: _simple(value) for key, value in node.items() if key != "title"}
    choices = [item for item in found.get("anyOf", ()) if item.get("type") != "null"]
    if len(choices) == 1:
        del found["anyOf"]
        found = {**choices[0], **found}
        if found.get("default", ...) is None:
            del found["default"]
    return found
