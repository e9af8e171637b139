"""The toolbox: every tool over one incident, for callers of all sorts."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from firedrill.core.errors import InputError
from firedrill.tools.base import Answer, Described, Paged, Tool, ToolResult
from firedrill.tools.case import Case
from firedrill.tools.catalog import TOOLS
from firedrill.tools.errors import Absent, Mistake
from firedrill.tools.render import Cell, clean, plain, table_lines

if TYPE_CHECKING:
    from firedrill.tools.evidence import Evidence

Style = Literal["openai", "mcp", "anthropic"]

TEXT = 16_000
"""Characters of an answer's text, unless the toolbox is opened with another bound."""
_LEAST_TEXT = 4_000
_COLUMNS = 60


def schemas(style: Style = "openai") -> list[dict[str, Any]]:
    """Every tool as endpoints want to be told of it; the same descriptions and parameters in each style."""
    return described(TOOLS.values(), style)


def described(tools: Iterable[Described], style: Style = "openai") -> list[dict[str, Any]]:
    """These tools, likewise."""
    found: list[dict[str, Any]] = []
    for tool in tools:
        about = {"name": tool.name, "description": tool.description}
        if style == "mcp":
            found.append({**about, "inputSchema": tool.schema()})
        elif style == "anthropic":
            found.append({**about, "input_schema": tool.schema()})
        else:
            found.append({"type": "function", "function": {**about, "parameters": tool.schema()}})
    return found


class Toolbox:
    """All tools over one incident's evidence. Safe to use from several threads.

    ``text_limit`` bounds the characters of each answer's text.
    """

    def __init__(self, evidence: Evidence, *, text_limit: int = TEXT) -> None:
        self.case = Case(evidence)
        self.text_limit = max(text_limit, _LEAST_TEXT)

    @property
    def tools(self) -> Mapping[str, Tool[Any]]:
        """Every tool by name."""
        return TOOLS

    def schemas(self, style: Style = "openai") -> list[dict[str, Any]]:
        """Every tool as endpoints want to be told of it."""
        return schemas(style)

    def call(self, name: str, arguments: Mapping[str, Any] | None = None) -> ToolResult:
        """Answer one call. A call that makes no sense gets an answer that says how to mend it.

        Values may be strings where numbers, truth values or lists are meant; null stands for not given.

        Raises:
            InfrastructureError: when the machine fails, never for what the caller asked.
        """
        tool = TOOLS.get(name)
        if tool is None:
            return unknown_tool(name, TOOLS)
        params = read_arguments(tool, arguments)
        if isinstance(params, ToolResult):
            return params
        try:
            answer = tool.run(self.case, params)
        except Absent as absent:
            there = ", ".join(sorted(self.case.evidence.modalities)) or "nothing"
            return build(Answer((), (), (f"{absent}; what there is: {there}",)), params, self.text_limit)
        except Mistake as mistake:
            return failure(clean(str(mistake), 2_000))
        except InputError as error:  # a query that was refused or hit a bound
            return failure(clean(error.problem, 2_000))
        return build(answer, params, self.text_limit)


def failure(problem: str) -> ToolResult:
    """The answer to a call that made no sense."""
    return ToolResult((), (), f"error: {problem}", notes=(problem,), error=True)


def unknown_tool(name: object, known: Collection[str]) -> ToolResult:
    """The answer to a call of a tool that there is not."""
    close = difflib.get_close_matches(str(name)[:60], known, 3, 0.4)
    hint = f" Did you mean {', '.join(close)}?" if close else ""
    return failure(f"there is no tool {clean(str(name), 60)!r}.{hint} Tools: {', '.join(known)}")


def read_arguments(tool: Described, arguments: object) -> Paged | ToolResult:
    """The parameters that a call gives, or what is wrong with them; null stands for not given."""
    asked = arguments or {}
    if not isinstance(asked, Mapping):
        return failure(f"arguments must be an object. {usage(tool)}")
    given = {str(key): value for key, value in asked.items() if value is not None}
    try:
        return tool.parameters.model_validate(given)
    except ValidationError as error:
        return failure(f"{_explain(error, tool)}\n{usage(tool)}")


def usage(tool: Described) -> str:
    """The parameters of a tool in a few lines."""
    schema = tool.schema()
    required = schema.get("required", [])
    lines = [f"parameters of {tool.name}:"]
    for name, about in schema["properties"].items():
        kind = about.get("type", "string")
        if "enum" in about:
            kind = " | ".join(str(item) for item in about["enum"])
        default = (
            f", default {json.dumps(about['default'])}" if about.get("default") not in (None, []) else ""
        )
        need = ", required" if name in required else ""
        lines.append(f"  {name} ({kind}{default}{need}): {about.get('description', '')}")
    return "\n".join(lines)


def _explain(error: ValidationError, tool: Described) -> str:
    problems = []
    for item in error.errors(include_url=False, include_context=False):
        where = ".".join(str(part) for part in item["loc"]) or "arguments"
        if item["type"] == "extra_forbidden":
            close = difflib.get_close_matches(where[:60], tool.parameters.model_fields, 1, 0.5)
            hint = f"; did you mean {close[0]}?" if close else ""
            problems.append(f"no parameter {clean(where, 60)!r}{hint}")
        else:
            value = clean(repr(item["input"]), 80)
            problems.append(f"{clean(where, 60)}: {item['msg']}, got {value}")
    return "; ".join(problems[:8])


def build(answer: Answer, params: Paged, text_limit: int = TEXT) -> ToolResult:
    """Cut the page out of an answer, bound its text, and say what is left."""
    rows = answer.rows if answer.paged else answer.rows[params.offset : params.offset + params.limit + 1]
    columns = answer.columns[:_COLUMNS]
    notes = [clean(note, 1_000) for note in answer.notes]
    if len(answer.columns) > _COLUMNS:
        notes.append(f"{len(answer.columns) - _COLUMNS} further columns are left out")
    width = min(answer.width, max(20, text_limit // (2 * max(1, len(columns)))))
    cells: list[tuple[Cell, ...]] = [
        tuple(plain(cell, width) for cell in row[:_COLUMNS]) for row in rows[: params.limit]
    ]
    kept = _fitting(columns, cells, text_limit)
    more = len(rows) > kept
    next_offset = params.offset + kept if more else None
    if not cells and columns:
        notes.append("no rows" if not params.offset else f"no rows from offset {params.offset} on")
    shown = cells[:kept]
    said = [f"note: {note}" for note in notes]
    lines = table_lines(columns, shown) if shown else []
    # what is to be known before reading comes first, except before text that somebody may want to keep
    lines = [*lines, *said] if len(columns) == 1 else [*said, *lines]
    if more:
        total = "" if answer.paged else f" of {len(answer.rows)}"
        lines.append(
            f"note: rows {params.offset + 1} to {params.offset + kept}{total}; more with offset={next_offset}"
        )
    cut = more or len(answer.columns) > _COLUMNS
    return ToolResult(columns, tuple(shown), "\n".join(lines), cut, next_offset, tuple(notes))


def _fitting(columns: tuple[str, ...], rows: list[tuple[Cell, ...]], text_limit: int) -> int:
    """How many of ``rows`` fit into the text; at least one, so that paging moves on."""
    if len("\n".join(table_lines(columns, rows))) <= text_limit:
        return len(rows)
    low, high = 1, len(rows)
    while low < high:
        middle = (low + high + 1) // 2
        if len("\n".join(table_lines(columns, rows[:middle]))) <= text_limit:
            low = middle
        else:
            high = middle - 1
    return low
