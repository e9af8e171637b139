"""The tools of one episode on a living world, for the loop of a model."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, get_args

from firedrill.agents.base import AgentResult, Episode
from firedrill.agents.live.mind import Mind
from firedrill.agents.live.natural import Natural, forms, forms_digest
from firedrill.agents.models import ModelClient, Settings, ToolSpec
from firedrill.core.digest import digest_of
from firedrill.core.errors import FiredrillError, InfrastructureError, InputError
from firedrill.core.outcome import Outcome
from firedrill.tools.live.catalog import LIVE_TOOLS
from firedrill.tools.live.desk import Desk
from firedrill.tools.live.toolbox import LiveToolbox
from firedrill.tools.toolbox import described, failure

if TYPE_CHECKING:
    from firedrill.tools.base import Described, ToolResult

Style = Literal["live", "nl"]
STYLES: tuple[Style, ...] = get_args(Style)
"""``live``: function calls. ``nl``: those that ask are in natural language."""
KUBECTL = "/opt/on-call/kubectl"
"""Where the program is in the sandbox of an agent on call."""


class LiveTools:
    """Some of the tools, in one style.

    Args:
        box: the tools of the episode.
        mind: the model that translates, for the style ``nl``.
        until: which report ends the work: the one on causes, or the last one.
    """

    def __init__(
        self,
        box: LiveToolbox,
        mind: Mind | None = None,
        *,
        until: Literal["diagnosis", "end"] = "end",
    ) -> None:
        self.fault: InfrastructureError | None = None
        self.defects: list[str] = []
        self._box = box
        self._natural = None if mind is None else Natural(mind, box)
        self._until = until
        self._calls: Counter[str] = Counter()
        self._wrong: Counter[str] = Counter()
        offered: dict[str, Described] = {}
        spoken = {form.tool: form for form in forms().values()} if mind is not None else {}
        for name, tool in box.tools.items():
            form = spoken.get(name)
            offered[form.name if form is not None else name] = form or tool
        if mind is not None:
            offered["summarise"] = forms()["summarise"]
        self._offered = offered

    @property
    def names(self) -> Collection[str]:
        """Every tool that is offered."""
        return self._offered

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """The tools with their schemas."""
        listed = described(self._offered.values(), "mcp")
        return tuple(ToolSpec(tool["name"], tool["description"], tool["inputSchema"]) for tool in listed)

    @property
    def ending(self) -> AgentResult | None:
        """What a call handed in."""
        desk = self._box.desk
        if desk.ending is not None:
            outcome = Outcome.ESCALATED if desk.ending.escalated else Outcome.SUBMITTED
            text = json.dumps(desk.ending.document, ensure_ascii=False)
            return AgentResult(outcome, text, desk.ending.reason)
        if self._until == "diagnosis" and desk.diagnosis is not None:
            return AgentResult(Outcome.SUBMITTED, json.dumps(desk.diagnosis, ensure_ascii=False))
        return None

    async def call(
        self, name: str, arguments: Mapping[str, Any] | None, *, text_limit: int | None = None
    ) -> ToolResult:
        """Answer one call; a wrong one gets an error that says what to write instead.

        ``text_limit`` is the bound of this answer, where it is another.

        Raises:
            InfrastructureError: the machine failed.
            LimitReached: a cap was hit by what the model was asked beside.
        """
        from firedrill.agents.base import AgentError, LimitReached

        self._calls[name] += 1
        try:
            if self._natural is not None and name in self._natural.forms:
                result = await self._natural.call(name, arguments)
            elif name in self._offered:
                result = await self._box.call(name, arguments, text_limit=text_limit)
            else:
                result = failure(f"there is no tool {name[:60]!r}; tools: {', '.join(self._offered)}")
        except InfrastructureError as error:
            self.fault = error
            raise
        except (FiredrillError, LimitReached, AgentError):
            raise
        except Exception as error:  # noqa: BLE001 - a call of a model must not end the episode
            self.defects.append(f"{name[:60]}: {type(error).__name__}: {error}"[:500])
            result = failure(f"the tool failed ({type(error).__name__}); try other arguments or another tool")
        if result.error:
            self._wrong[name] += 1
        return result

    def notes(self) -> dict[str, Any]:
        """What the episode's record says of them."""
        found: dict[str, Any] = {"calls": dict(sorted(self._calls.items()))}
        if self._wrong:
            found["refused"] = dict(sorted(self._wrong.items()))
        if self._natural is not None:
            found["translated"] = {
                "questions": self._natural.mind.questions,
                "written_again": self._natural.rewritten,
            }
        if self.defects:
            found["defects"] = self.defects[:20]
        return found


def live_config(style: str) -> dict[str, Any]:
    """What of the tools shapes an agent's behaviour: names, descriptions, parameters, words to the model."""
    found: dict[str, Any] = {"name": style, "tools": digest_of(described(LIVE_TOOLS.values(), "mcp"))}
    if style == "nl":
        found["forms"] = forms_digest()
    return found


def open_desk(episode: Episode) -> Desk:
    """Where the tools of an episode share what they know; to be left with ``async with``.

    Raises:
        InputError: the episode is about a recording.
    """
    if episode.living is None:
        raise InputError(
            "these tools are about living worlds, and this is a recorded incident",
            field="toolbox",
            mend="use toolbox=shell or toolbox=full",
        )
    return Desk(episode.living, episode.workspace, KUBECTL)


@asynccontextmanager
async def live_tools(
    episode: Episode, style: str, client: ModelClient, settings: Settings
) -> AsyncIterator[LiveTools]:
    """All tools of an episode, open as long as the context lasts.

    Raises:
        InputError: the episode is about a recording.
    """
    async with open_desk(episode) as desk:
        box = LiveToolbox(desk)
        if style == "live":
            yield LiveTools(box)
            return
        async with client.session() as session:
            yield LiveTools(box, Mind(episode, session, settings))
