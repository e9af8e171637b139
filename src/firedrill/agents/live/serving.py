"""The tools over a living world as programs in the sandbox get them: behind the command ``incident``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from firedrill.agents.base import Episode
from firedrill.agents.live.toolset import LiveTools, open_desk
from firedrill.agents.toolbox.calls import WIDE_TEXT
from firedrill.core.errors import InfrastructureError, InputError
from firedrill.tools.base import ToolResult
from firedrill.tools.live.catalog import LIVE_TOOLS
from firedrill.tools.live.desk import Desk
from firedrill.tools.live.toolbox import LiveToolbox
from firedrill.tools.toolbox import described, failure


class LiveEpisodeTools:
    """The tools of one episode. They exist before its world does, and answer once it is attached.

    A report that ends the work writes the answer file; the episode itself ends with the program.
    """

    def __init__(self) -> None:
        self._episode: Episode | None = None
        self._desk: Desk | None = None
        self._tools: LiveTools | None = None
        self._written: object = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> LiveEpisodeTools:
        return self

    async def __aexit__(self, *_: object) -> None:
        desk, self._desk, self._tools = self._desk, None, None
        if desk is not None:
            await desk.close()

    @property
    def fault(self) -> InfrastructureError | None:
        """Why a call could not be answered, when that was the machine's doing."""
        return None if self._tools is None else self._tools.fault

    def described(self) -> list[dict[str, Any]]:
        """Every tool: name, description, inputSchema."""
        return described(LIVE_TOOLS.values(), "mcp")

    def attach(self, episode: Episode) -> None:
        """Say which world they are about.

        Raises:
            InputError: the episode is about a recording.
        """
        self._episode = episode
        self._desk = open_desk(episode)
        self._tools = LiveTools(LiveToolbox(self._desk))

    def notes(self) -> dict[str, Any]:
        """What an episode's record says of them."""
        return {} if self._tools is None else self._tools.notes()

    async def call(self, name: str, arguments: Mapping[str, Any] | None, *, wide: bool = False) -> ToolResult:
        """Answer one call; they wait for one another, since each takes its time of the incident's.

        Raises:
            InfrastructureError: the machine failed, or the episode is over.
        """
        async with self._turn:
            tools, desk, episode = self._tools, self._desk, self._episode
            if tools is None or desk is None or episode is None:
                raise InfrastructureError("the episode is over")
            result = await tools.call(name, arguments, text_limit=WIDE_TEXT if wide else None)
            if desk.ending is not None and desk.ending is not self._written:
                self._written = desk.ending
                text = json.dumps(desk.ending.document, ensure_ascii=False, indent=2)
                try:
                    await episode.workspace.write_file(episode.task.answer, text.encode("utf-8", "replace"))
                except InputError as error:
                    desk.ending = self._written = None
                    return failure(f"{error.problem}; make room, and report again")
            return result
