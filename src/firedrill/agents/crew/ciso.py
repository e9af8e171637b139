"""The agent ``crew-ciso``: one chooses a team, the team makes artefacts, the last one checks."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from firedrill.agents.assessing import AssessingTools, assessing_config, open_bench
from firedrill.agents.assessing.toolset import Hand
from firedrill.agents.base import AgentResult, Episode
from firedrill.agents.crew import ciso_prompts as texts
from firedrill.agents.crew.loop import Exhausted, RoleLoop
from firedrill.agents.live import Mind
from firedrill.agents.live.mind import Speechless
from firedrill.agents.live.natural import read_object
from firedrill.agents.models import WIRES, Retry, Session, WireSpec
from firedrill.agents.react import OPTIONS as OF_REACT
from firedrill.agents.react import ReactAgent
from firedrill.agents.react import create as create_react
from firedrill.agents.react import options as read
from firedrill.agents.task import assessment_text
from firedrill.core.errors import InputError
from firedrill.core.outcome import Outcome
from firedrill.tools.compliance.bench import Bench
from firedrill.tools.compliance.catalog import COMPLIANCE_TOOLS
from firedrill.tools.compliance.toolbox import ComplianceToolbox

ITERATIONS = 20
"""Messages of each role, each time it works."""
ROUNDS = 2
"""How often the team works, at most."""
CHOICES = 3
"""How often the selector is asked, at most."""
OPTIONS = (*(name for name in OF_REACT if name != "toolbox"), "iterations")
"""What :func:`create` takes."""
_WRITING = frozenset({"GenerateKyverno", "GenerateOPARego", "GeneratePlaybook"})
_TOOLS: Mapping[str, tuple[str, ...]] = {
    "team": (*COMPLIANCE_TOOLS, "HandOver"),
    "reporter": (*(name for name in COMPLIANCE_TOOLS if name not in _WRITING), "Report", "SendBack"),
}


@dataclass
class _Work:
    """What the members of one episode share."""

    episode: Episode
    session: Session
    mind: Mind
    bench: Bench
    goal: str
    notes: dict[str, Any]


@dataclass(frozen=True)
class CisoCrewAgent:
    """Holds no state of an episode: one object serves many at once.

    Attributes:
        model: what all roles ask: the model, its settings and its prices, as for ``react``.
        iterations: messages of each role, each time it works.
    """

    model: ReactAgent = field(repr=False)
    iterations: int = ITERATIONS
    privileged: bool = False
    acts: bool = True
    works_on: str = "assessments"
    looks_back: bool = False
    """Recorded incidents are nothing to assess."""

    @property
    def name(self) -> str:
        """``crew-ciso:provider/model``."""
        return f"crew-ciso:{self.model.endpoint.model}"

    def config(self) -> dict[str, Any]:
        """Everything that shapes its behaviour."""
        kept = ("model", "endpoint", "protocol", "settings", "context_window")
        shared = {key: value for key, value in self.model.config().items() if key in kept}
        return {
            "agent": "crew-ciso",
            **shared,
            "toolbox": assessing_config(),
            "roles": {role: texts.load(role).digest for role in ("selector", *_TOOLS)},
            "iterations": self.iterations,
            "rounds": ROUNDS,
        }

    async def solve(self, episode: Episode) -> AgentResult:
        """Work on one assessment.

        Raises:
            LimitReached: a cap of the meter was hit, or the reporter has used up its messages.
            AgentError: a conversation cannot go on.
            InfrastructureError: the endpoint, the sandbox or the world failed; it is tried again.
            InputError: it is no assessment, or the endpoint takes no request of ours at all.
        """
        asked = episode.task.assessment
        if asked is None:
            raise InputError(
                "crew-ciso is put on assessments, and this is an incident",
                field="--agent",
                mend="put crew-sre or react on it",
            )
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(self.model.client.session())
            mind = Mind(episode, session, self.model.settings_of(episode))
            bench = await stack.enter_async_context(open_bench(episode, Hand(mind)))
            notes: dict[str, Any] = {}
            bench.kind, goal = await self._choose(episode, mind, notes)
            work = _Work(episode, session, mind, bench, goal, notes)
            result = await self._rounds(work)
        return replace(result, notes={**notes, "report": bench.report[:4_000]})

    async def _choose(self, episode: Episode, mind: Mind, notes: dict[str, Any]) -> tuple[str, str]:
        """Which team takes it, and what it is told."""
        asked = episode.task.assessment
        assert asked is not None
        prompts, teams = texts.load("selector"), texts.teams()
        listed = "\n".join(f"- `{name}`: {about}" for name, about in teams.items())
        system = prompts.text("system", teams=listed)
        text = question = assessment_text(episode.task, episode.limits)
        for number in range(1, CHOICES + 1):
            try:
                said = await mind.ask(system, question, "selector")
            except Speechless:
                break
            found = read_object(said) or {}
            if found.get("team") in teams:
                notes["selector"] = {"team": found["team"], "tries": number}
                return str(found["team"]), str(found.get("goal") or asked.requirement)
            question = f"{text}\n\nYou answered:\n\n{said[:2_000]}\n\nThat names none of the teams."
        notes["selector"] = {"team": asked.kind, "fell_back": True}
        return asked.kind, asked.requirement

    async def _rounds(self, work: _Work) -> AgentResult:
        bench = work.bench
        for number in range(1, ROUNDS + 1):
            reason, bench.made, bench.sent_back = bench.sent_back, "", ""
            try:
                await self._role("team", number, work, reason)
            except Exhausted as error:
                work.notes[f"team-{number}"]["gave_up"] = str(error)
            made, bench.made = bench.made, ""
            try:
                result = await self._role("reporter", number, work, made)
            except Exhausted as error:
                raise work.episode.meter.cap(Outcome.TURN_LIMIT, f"the cap of {error}") from None
            if bench.report:
                break
        return result

    async def _role(self, role: str, number: int, work: _Work, word: str) -> AgentResult:
        prompts, bench, endpoint = texts.load(role), work.bench, self.model.endpoint
        last = number == ROUNDS
        names = [name for name in _TOOLS[role] if not (last and name == "SendBack")]
        if bench.desk is not None:
            bench.desk.looks_only = role == "reporter"
        tools = AssessingTools(ComplianceToolbox(bench, names), work.mind if role == "team" else None)
        spec = WireSpec(
            model=endpoint.name,
            system=prompts.text("system"),
            tools=tools.specs,
            settings=self.model.settings_of(work.episode),
            traits=endpoint.traits,
            max_tokens_name=endpoint.max_tokens_name,
        )
        loop = RoleLoop(
            work.session,
            WIRES[endpoint.protocol](spec),
            prompts,
            work.episode,
            self.model.window,
            role=role,
            text=self._told(role, work, word, last=last),
            iterations=self.iterations,
            ends=texts.ending(role, last=last),
            offered=tools,
        )
        try:
            result = await loop.run()
        finally:
            work.notes[f"{role}-{number}"] = {
                "messages": loop.spent,
                "summaries": loop.summaries,
                **tools.notes(),
            }
        if tools.fault is not None:
            raise tools.fault
        return result

    def _told(self, role: str, work: _Work, word: str, *, last: bool) -> str:
        prompts, bench = texts.load(role), work.bench
        known: dict[str, object] = {
            "brief": assessment_text(work.episode.task, work.episode.limits),
            "folder": bench.folder,
            "iterations": self.iterations,
        }
        if role == "team":
            remark = prompts.text("remark", reason=word) if word else ""
            return prompts.text("task", **known, goal=work.goal, remark=remark)
        choice = prompts.texts["last" if last else "choice"]
        return prompts.text("task", **known, made=word or prompts.texts["nothing-made"], choice=choice)


def create(options: Mapping[str, Any], *, retry: Retry | None = None) -> CisoCrewAgent:
    """Build the agent from options, as text or typed.

    Those of ``react`` without ``toolbox``, and ``iterations``: the messages that each role has each time.

    Raises:
        InputError: for an option that is unknown or wrong, or a key that is missing.
    """
    given = read.known(options, OPTIONS)
    iterations = read.whole(given, "iterations", 1) or ITERATIONS
    own = {name: value for name, value in given.items() if name != "iterations"}
    return CisoCrewAgent(create_react({**own, "toolbox": "live"}, retry=retry), iterations)
