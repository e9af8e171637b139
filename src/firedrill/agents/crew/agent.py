"""The agent ``crew-sre``: one who only looks and finds out, then one who mends, as ITBench's own agent."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from firedrill.agents.base import AgentResult, Episode
from firedrill.agents.crew import prompts as texts
from firedrill.agents.crew.loop import Exhausted, RoleLoop
from firedrill.agents.live import LiveTools, Mind, live_config
from firedrill.agents.live.natural import TRIES
from firedrill.agents.live.toolset import STYLES, open_desk
from firedrill.agents.models import WIRES, Retry, Session, WireSpec
from firedrill.agents.react import OPTIONS as OF_REACT
from firedrill.agents.react import ReactAgent
from firedrill.agents.react import create as create_react
from firedrill.agents.react import options as read
from firedrill.agents.toolbox import read_toolbox
from firedrill.core.errors import InputError
from firedrill.core.outcome import Outcome
from firedrill.tools.live.desk import Desk
from firedrill.tools.live.toolbox import LiveToolbox

ITERATIONS = 20
"""Messages of each role, as in the paper."""
OPTIONS = (*OF_REACT, "iterations")
"""What :func:`create` takes."""
_LOOKING = ("alerts", "kubectl", "topology", "logs", "traces", "metrics")
_ENDS = {"diagnosis": "`diagnosis`", "mitigation": "`mitigation_report` or `escalate`"}
_TOOLS = {
    "diagnosis": (*_LOOKING, "wait", "diagnosis"),
    "mitigation": (*_LOOKING, "wait", "diagnosis", "mitigation_plan", "mitigation_report", "escalate"),
}


@dataclass(frozen=True)
class CrewAgent:
    """Holds no state of an episode: one object serves many at once.

    Attributes:
        model: what both roles ask: the model, its settings and its prices, as for ``react``.
        style: how the tools are called: ``nl`` as in the paper, or ``live``.
        iterations: messages of each role.
    """

    model: ReactAgent = field(repr=False)
    style: str = "nl"
    iterations: int = ITERATIONS
    privileged: bool = False
    acts: bool = True
    works_on: str = "incidents"
    looks_back: bool = False
    """Recorded incidents cannot be asked and changed."""

    @property
    def name(self) -> str:
        """``crew-sre:provider/model``, and whether its tools are plain function calls."""
        return f"crew-sre:{self.model.endpoint.model}" + ("+live" if self.style == "live" else "")

    def config(self) -> dict[str, Any]:
        """Everything that shapes its behaviour."""
        kept = ("model", "endpoint", "protocol", "settings", "context_window")
        shared = {key: value for key, value in self.model.config().items() if key in kept}
        roles = {
            role: {"tools": list(names), "prompts": texts.load(role).digest} for role, names in _TOOLS.items()
        }
        return {
            "agent": "crew-sre",
            **shared,
            "toolbox": live_config(self.style),
            "roles": roles,
            "iterations": self.iterations,
            "tries": TRIES,
        }

    async def solve(self, episode: Episode) -> AgentResult:
        """Work on one episode: find out, then mend.

        Raises:
            LimitReached: a cap of the meter was hit, or the one who mends has used up its messages.
            AgentError: a conversation cannot go on.
            InfrastructureError: the endpoint, the sandbox or the world failed; it is tried again.
            InputError: it is about a recording, or the endpoint takes no request of ours at all.
        """
        if episode.task.assessment is not None:
            raise InputError(
                "crew-sre ends incidents, and this is an assessment",
                field="--agent",
                mend="put crew-ciso on it",
            )
        if episode.task.living is None:
            raise InputError(
                "crew-sre is put on living worlds, and this is a recorded incident",
                field="--agent",
                mend="put react on it",
            )
        async with AsyncExitStack() as stack:
            desk = await stack.enter_async_context(open_desk(episode))
            session = await stack.enter_async_context(self.model.client.session())
            notes: dict[str, Any] = {}
            try:
                await self._role("diagnosis", episode, desk, session, notes)
            except Exhausted as error:
                notes["diagnosis"]["gave_up"] = str(error)
            try:
                result = await self._role("mitigation", episode, desk, session, notes)
            except Exhausted as error:
                raise episode.meter.cap(Outcome.TURN_LIMIT, f"the cap of {error}") from None
        return replace(result, notes={**notes, "plan": desk.plan})

    async def _role(
        self, role: str, episode: Episode, desk: Desk, session: Session, notes: dict[str, Any]
    ) -> AgentResult:
        prompts = texts.load(role)
        settings = self.model.settings_of(episode)
        desk.looks_only = role == "diagnosis"
        mind = Mind(episode, session, settings) if self.style == "nl" else None
        box = LiveToolbox(desk, _TOOLS[role])
        tools = LiveTools(box, mind, until="diagnosis" if role == "diagnosis" else "end")
        endpoint = self.model.endpoint
        spec = WireSpec(
            model=endpoint.name,
            system=prompts.text("system"),
            tools=tools.specs,
            settings=settings,
            traits=endpoint.traits,
            max_tokens_name=endpoint.max_tokens_name,
        )
        loop = RoleLoop(
            session,
            WIRES[endpoint.protocol](spec),
            prompts,
            episode,
            self.model.window,
            role=role,
            text=await self._told(role, episode, desk),
            iterations=self.iterations,
            ends=_ENDS[role],
            offered=tools,
        )
        try:
            result = await loop.run()
        finally:
            notes[role] = {"messages": loop.spent, "summaries": loop.summaries, **tools.notes()}
        if tools.fault is not None:
            raise tools.fault
        return result

    async def _told(self, role: str, episode: Episode, desk: Desk) -> str:
        prompts, living = texts.load(role), episode.task.living
        assert living is not None
        clock = await desk.clock()
        return prompts.text(
            "task",
            situation=texts.situation(prompts, living, f"{clock.now:%Y-%m-%dT%H:%M:%SZ}"),
            diagnosis=texts.found(prompts, desk.diagnosis),
            iterations=self.iterations,
            authority=living.authority,
            title=living.authority_title,
        )


def create(options: Mapping[str, Any], *, retry: Retry | None = None) -> CrewAgent:
    """Build the agent from options, as text or typed.

    Those of ``react``, with ``toolbox`` ``nl`` (the default) or ``live``, and ``iterations``: the messages
    that each of the two has.

    Raises:
        InputError: for an option that is unknown or wrong, or a key that is missing.
    """
    given = read.known(options, OPTIONS)
    style = read_toolbox(given, ("nl", "live"))
    iterations = read.whole(given, "iterations", 1) or ITERATIONS
    own = {name: value for name, value in given.items() if name not in ("toolbox", "iterations")}
    assert style in STYLES
    return CrewAgent(create_react(own, retry=retry), style, iterations)
