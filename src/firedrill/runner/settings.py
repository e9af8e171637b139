"""What a run is made of: who takes part, under which bounds, and who is told how it goes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from firedrill.agents.base import Agent, AgentResult, Episode
from firedrill.agents.registry import AgentRequest
from firedrill.core.digest import canonical_json, digest_of, short
from firedrill.core.episode import EpisodeKey, EpisodeRecord, Limits, slug
from firedrill.core.grade import Grade
from firedrill.core.scenario import Scenario
from firedrill.sandbox.base import SandboxSpec

Solve = Callable[[EpisodeKey, Episode], Awaitable[AgentResult]]


class Progress(Protocol):
    """Who is told how a run goes. Called from the event loop's thread only."""

    def started(self, planned: Mapping[str, int], done: Mapping[str, int]) -> None:
        """The run starts, or is taken up again: episodes planned and ended already, by agent's folder."""

    def finished(self, record: EpisodeRecord, grade: Grade | None) -> None:
        """One episode ended for good."""

    def note(self, text: str) -> None:
        """Something that a person should know."""


class Silent:
    """Tells nobody."""

    def started(self, planned: Mapping[str, int], done: Mapping[str, int]) -> None:
        """Nothing."""

    def finished(self, record: EpisodeRecord, grade: Grade | None) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Entrant:
    """An agent in a run. ``solve`` replaces the agent's own, for answers that exist already."""

    agent: Agent
    request: AgentRequest | None = None
    solve: Solve | None = None

    @property
    def folder(self) -> str:
        """The agent's folder name: a readable slug and 8 hex digits of its configuration's digest."""
        return f"{slug(self.agent.name)}-{short(self.digest)}"

    @property
    def digest(self) -> str:
        """Digest of the agent's configuration."""
        return digest_of(self.agent.config())

    @property
    def needs_workspace(self) -> bool:
        """Whether the agent runs commands; those that say nothing of it do."""
        return bool(getattr(self.agent, "needs_workspace", True))

    @property
    def acts(self) -> bool:
        """Whether the agent can be put on a living world; those that say nothing of it cannot."""
        return bool(getattr(self.agent, "acts", False))

    @property
    def looks_back(self) -> bool:
        """Whether the agent can be put on recorded incidents; those that say nothing of it can."""
        return bool(getattr(self.agent, "looks_back", True))

    @property
    def works_on(self) -> str:
        """``incidents``, ``assessments``, or empty for an agent that can be put on both."""
        return str(getattr(self.agent, "works_on", ""))

    async def run(self, key: EpisodeKey, episode: Episode) -> AgentResult:
        """Let the agent work on an episode."""
        if self.solve is not None:
            return await self.solve(key, episode)
        return await self.agent.solve(episode)


@dataclass(frozen=True)
class Worlds:
    """How living worlds are run, where that is not the usual way."""

    speed: float = 0.0
    """Virtual seconds for each second of the wall's clock; 0: requests and waiting move the clock."""
    ledger: bool = False
    """Whether each write is priced on forks of its own."""
    put: Callable[[str], Awaitable[str]] | None = None
    """How a person is asked, who is the approver then; None for the policy's own."""

    def to_json(self) -> dict[str, Any]:
        """What a run's plan holds of it."""
        found = {"ledger": "full" if self.ledger else "", "approver": "terminal" if self.put else ""}
        return {name: value for name, value in found.items() if value}


@dataclass(frozen=True)
class Settings:
    """How a run is carried out. ``limits`` holds the caps that were asked for; the scenario has the rest."""

    seed: int = 0
    limits: Mapping[str, Any] = field(default_factory=dict)
    sandbox: SandboxSpec = field(default_factory=SandboxSpec)
    without: frozenset[str] = frozenset()
    concurrency: int = 0
    """Episodes at once; 0 means twice the number of processors."""
    grace_seconds: float = 30.0
    """Past the time cap, an agent that has not stopped by itself is stopped after so many seconds."""
    retries: int = 2
    """How often an episode is tried again after an infrastructure error."""
    retry_seconds: float = 1.0
    worlds: Worlds = field(default_factory=Worlds)

    @property
    def workers(self) -> int:
        """Episodes at once."""
        return self.concurrency or 2 * (os.cpu_count() or 1)


def effective_limits(asked: Mapping[str, Any], scenario: Scenario) -> Limits:
    """The caps of an episode: those that were asked for, the scenario's own where nothing was."""
    own = scenario.limits
    return Limits(**{"turns": own.turns, "minutes": own.minutes, "cost": own.cost, **asked})


def episode_seed(seed: int, key: EpisodeKey) -> int:
    """The seed of an episode: the same for every agent, another one for each scenario and repeat."""
    data = canonical_json([seed, key.scenario, key.repeat])
    return int.from_bytes(hashlib.sha256(data).digest()[:4], "big")
