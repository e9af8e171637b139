"""The tools over one living world, for callers of all sorts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.tools.base import Answer, ToolResult
from firedrill.tools.errors import Mistake
from firedrill.tools.live.catalog import LIVE_TOOLS
from firedrill.tools.live.clients import Refused
from firedrill.tools.live.desk import refusal
from firedrill.tools.render import clean
from firedrill.tools.toolbox import TEXT, Style, build, described, failure, read_arguments, unknown_tool

if TYPE_CHECKING:
    from firedrill.tools.live.base import LiveTool
    from firedrill.tools.live.desk import Desk

KEPT = 8
"""Answers that can be paged through without asking again."""
_MOST_TOLD = 6_000


class LiveToolbox:
    """Some or all of the tools over one world. Use it in one event loop; calls may overlap.

    Args:
        desk: of the episode.
        names: of the tools that are offered; by default all.
        text_limit: characters of an answer.
    """

    def __init__(self, desk: Desk, names: Collection[str] | None = None, *, text_limit: int = TEXT) -> None:
        self.desk = desk
        self.tools: Mapping[str, LiveTool[Any]] = {
            name: tool for name, tool in LIVE_TOOLS.items() if names is None or name in names
        }
        self.text_limit = text_limit
        self._kept: dict[str, Answer] = {}

    def schemas(self, style: Style = "openai") -> list[dict[str, Any]]:
        """Every tool as endpoints want to be told of it."""
        return described(self.tools.values(), style)

    async def call(
        self, name: str, arguments: Mapping[str, Any] | None = None, *, text_limit: int | None = None
    ) -> ToolResult:
        """Answer one call. A call that makes no sense gets an answer that says how to mend it.

        ``text_limit`` is the bound of this answer, where it is another.

        Raises:
            InfrastructureError: the machine failed, never for what the caller asked.
        """
        tool = self.tools.get(name)
        if tool is None:
            return unknown_tool(name, self.tools)
        params = read_arguments(tool, arguments)
        if isinstance(params, ToolResult):
            return params
        bound = text_limit or self.text_limit
        key = f"{name} {params.model_dump_json(exclude={'limit', 'offset'})}"
        kept = self._kept.get(key) if params.offset else None
        if kept is not None:
            return build(kept, params, bound)
        try:
            answer = await tool.run(self.desk, params)
        except Mistake as mistake:
            return failure(clean(str(mistake), _MOST_TOLD))
        except Refused as error:
            return failure(clean(refusal("the cluster", error), _MOST_TOLD))
        self._keep(key, answer)
        return build(answer, params, bound)

    def _keep(self, key: str, answer: Answer) -> None:
        self._kept.pop(key, None)
        self._kept[key] = answer
        while len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
