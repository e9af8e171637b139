"""The tools of one assessment, for the loop of a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from firedrill.agents.base import AgentError, AgentResult, Episode, LimitReached
from firedrill.agents.live.mind import Mind, Speechless
from firedrill.agents.live.toolset import KUBECTL
from firedrill.agents.models import ModelClient, Settings, ToolSpec
from firedrill.core.digest import digest_of
from firedrill.core.errors import FiredrillError, InfrastructureError, InputError
from firedrill.core.outcome import Outcome
from firedrill.tools.base import ToolResult
from firedrill.tools.compliance.bench import Bench, Writer
from firedrill.tools.compliance.catalog import COMPLIANCE_TOOLS, ENDING_TOOLS
from firedrill.tools.compliance.generating import TRIES, instruction
from firedrill.tools.compliance.toolbox import ComplianceToolbox
from firedrill.tools.errors import Mistake
from firedrill.tools.live.desk import Desk
from firedrill.tools.toolbox import described, failure

_REASON = 500
INSTRUCTIONS = ("generate-kyverno", "generate-rego", "generate-playbook")


@dataclass(frozen=True)
class Hand:
    """A model that writes artefacts."""

    mind: Mind

    async def ask(self, system: str, text: str, role: str) -> str:
        """What it writes.

        Raises:
            Mistake: it does not take the question.
        """
        try:
            return await self.mind.ask(system, text, role)
        except Speechless as error:
            raise Mistake(f"nothing was written: {error}") from None


class AssessingTools:
    """The tools that fit an assessment.

    Args:
        box: the tools.
        mind: the model that writes, for the record of how often it was asked.
    """

    def __init__(self, box: ComplianceToolbox, mind: Mind | None = None) -> None:
        self.fault: InfrastructureError | None = None
        self.defects: list[str] = []
        self.box = box
        self._mind = mind
        self._calls: Counter[str] = Counter()
        self._wrong: Counter[str] = Counter()

    @property
    def names(self) -> Collection[str]:
        """Every tool that is offered."""
        return self.box.tools

    @property
    def ending(self) -> AgentResult | None:
        """How the work of one member of a crew ended; whoever works alone ends otherwise."""
        bench = self.box.bench
        if bench.report or bench.made or bench.sent_back:
            return AgentResult(Outcome.SUBMITTED, None, bench.report[:_REASON])
        return None

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """The tools with their schemas."""
        listed = described(self.box.tools.values(), "mcp")
        return tuple(ToolSpec(tool["name"], tool["description"], tool["inputSchema"]) for tool in listed)

    async def call(self, name: str, arguments: Mapping[str, Any] | None) -> ToolResult:
        """Answer one call; a wrong one gets an error that says what to write instead.

        Raises:
            InfrastructureError: the machine failed.
            LimitReached: a cap was hit by what the model was asked beside.
        """
        self._calls[name] += 1
        try:
            result = await self.box.call(name, arguments)
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
        if self._mind is not None:
            found["written"] = self._mind.questions
        if self.defects:
            found["defects"] = self.defects[:20]
        return found


def assessing_config() -> dict[str, Any]:
    """What of the tools shapes an agent's behaviour: names, descriptions, parameters, words to the model."""
    return {
        "tools": digest_of(described([*COMPLIANCE_TOOLS.values(), *ENDING_TOOLS.values()], "mcp")),
        "instructions": digest_of({name: instruction(name) for name in INSTRUCTIONS}),
        "tries": TRIES,
    }


@asynccontextmanager
async def open_bench(episode: Episode, writer: Writer | None = None) -> AsyncIterator[Bench]:
    """Where the tools of an assessment share what they know.

    Raises:
        InputError: the episode is about something else.
    """
    asked = episode.task.assessment
    if asked is None:
        raise InputError("these tools are about assessments", field="toolbox", mend="leave them out")
    desk = None if episode.living is None else Desk(episode.living, episode.workspace, KUBECTL)
    try:
        yield Bench(episode.workspace, asked.folder, asked.kind, asked.requirement, desk, writer, asked.files)
    finally:
        if desk is not None:
            await desk.close()


@asynccontextmanager
async def assessing_tools(
    episode: Episode, client: ModelClient, settings: Settings
) -> AsyncIterator[AssessingTools]:
    """All tools of an assessment, open as long as the context lasts.

    Raises:
        InputError: the episode is about something else.
    """
    async with client.session() as session:
        mind = Mind(episode, session, settings)
        async with open_bench(episode, Hand(mind)) as bench:
            yield AssessingTools(ComplianceToolbox(bench), mind)
