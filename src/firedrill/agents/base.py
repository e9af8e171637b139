"""The contract between the runner and an agent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from firedrill.core.episode import Limits, Tokens, Usage
from firedrill.core.outcome import Outcome
from firedrill.core.topology import Topology
from firedrill.core.truth import Truth
from firedrill.sandbox.base import Workspace
from firedrill.tools.evidence import Evidence


class LimitReached(Exception):
    """A cap of the episode was hit; the episode ends with ``outcome``."""

    def __init__(self, outcome: Outcome, text: str) -> None:
        self.outcome = outcome
        super().__init__(text)


class AgentError(Exception):
    """The agent, its program or its model failed in a way that is its own fault."""


@dataclass
class Meter:
    """Counts what an episode spends and stops it at its caps. Not thread-safe; one per episode.

    ``clock`` gives seconds and is only ever compared with itself.
    """

    limits: Limits
    clock: Callable[[], float] = time.monotonic
    turns: int = 0
    tool_calls: int = 0
    model_calls: int = 0
    tokens: Tokens = Tokens()
    cost: float | None = None
    model_seconds: float = 0.0
    tool_seconds: float = 0.0
    started: float = field(default=0.0)
    reached: LimitReached | None = None
    """The first cap that was hit; the episode ends with it, whoever hit it."""
    think: Callable[[int], Awaitable[None]] | None = None
    """Lets so many ms pass on a world's clock; None where thinking takes no virtual time."""
    moment: Callable[[], Awaitable[int]] | None = None
    """The moment by a world's clock, in ms since the Unix epoch; None where there is none."""
    token_ms: float = 0.0
    """What each token that a model writes takes of them."""
    _thought_ms: int = field(default=0, repr=False)
    _capped: asyncio.Event = field(default_factory=asyncio.Event, repr=False, compare=False)

    def start(self) -> None:
        """Start the episode's clock."""
        self.started = self.clock()

    @property
    def seconds_left(self) -> float | None:
        """Wall seconds before the time cap, never below 0; None without a cap."""
        if self.limits.minutes is None:
            return None
        return max(0.0, self.started + self.limits.minutes * 60 - self.clock())

    @property
    def turns_left(self) -> int:
        """Turns before the cap."""
        return max(0, self.limits.turns - self.turns)

    def check(self) -> None:
        """Raise :class:`LimitReached` when the time or cost cap is hit. Call before each spending."""
        left = self.seconds_left
        if left is not None and left <= 0:
            raise self.cap(Outcome.TIME_LIMIT, f"the cap of {self.limits.minutes:g} minutes")
        if self.limits.cost is not None and (self.cost or 0.0) >= self.limits.cost > 0:
            raise self.cap(Outcome.COST_LIMIT, f"the cap of ${self.limits.cost:g}")

    def cap(self, outcome: Outcome, text: str) -> LimitReached:
        """Remember that a cap was hit, and give the exception to raise: always that of the first one."""
        if self.reached is None:
            self.reached = LimitReached(outcome, text)
            self._capped.set()
        return self.reached

    async def capped(self) -> LimitReached:
        """Wait until a cap is hit by anyone who spends from this meter (a proxy, for one)."""
        await self._capped.wait()
        assert self.reached is not None
        return self.reached

    def take_turn(self) -> None:
        """Count one assistant message; raises when the turn, time or cost cap is already used up."""
        self.check()
        if self.turns >= self.limits.turns:
            raise self.cap(Outcome.TURN_LIMIT, f"the cap of {self.limits.turns} turns")
        self.turns += 1

    def spend(self, tokens: Tokens, cost: float | None, seconds: float = 0.0) -> None:
        """Add one model call."""
        self.model_calls += 1
        self.tokens = self.tokens + tokens
        self.model_seconds += seconds
        if cost is not None:
            self.cost = (self.cost or 0.0) + cost

    async def settle(self) -> None:
        """Let the virtual time pass that the tokens take which were written so far.

        Call it after each model call, before anything is done of what the model said.

        Raises:
            InfrastructureError: the world's process broke.
        """
        due = round(self.tokens.output * self.token_ms) - self._thought_ms
        if self.think is not None and due > 0:
            self._thought_ms += due
            await self.think(due)

    def usage(self) -> Usage:
        """The totals so far."""
        return Usage(
            turns=self.turns,
            tool_calls=self.tool_calls,
            model_calls=self.model_calls,
            tokens=self.tokens,
            cost=self.cost,
        )


class ReceiptSink(Protocol):
    """Where everything that an agent saw and did is appended, hash-chained."""

    def append(self, kind: str, /, **payload: Any) -> None:
        """Append one line. ``payload`` is JSON and holds no wall-clock figure.

        Kinds: ``task`` (text), ``message`` (role, content, tool_calls: what a model said),
        ``tool_call`` (id, name, arguments), ``tool_result`` (id, stdout, stderr, exit_code,
        timed_out, truncated or content), ``notice`` (text: what the harness told the agent),
        ``summary`` (text), ``retry`` (reason), ``submission`` (text), ``end`` (outcome, reason).
        """


@dataclass(frozen=True)
class Privilege:
    """What only the agents that prove a benchmark (oracle) may see."""

    truth: Truth
    inventory: tuple[str, ...]
    """Ids of every object present in the incident, ``namespace/Kind/name``, sorted."""
    topology: Topology
    steps: tuple[Mapping[str, Any], ...] = ()
    """What mends the incident, as the scenario's ``reference.steps`` say it; on a living world only."""
    hand_over: bool = False
    """Handing over to a person is the best act: nothing that the agent may do mends it."""
    artefacts: Mapping[str, str] = field(default_factory=dict)
    """Right artefacts of an assessment by file name."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What things take on a world's clock, in ms of virtual time."""

    read_ms: int
    write_ms: int
    token_ms: float = 0.0
    """Each token that a model writes."""


class Living(Protocol):
    """The world of an episode, for agents that run in our process: they reach it as everybody else does."""

    @property
    def sockets(self) -> Mapping[str, Path]:
        """Unix sockets of ``kubernetes`` (TLS), ``prometheus``, ``alertmanager``, ``loki``, ``jaeger``."""

    @property
    def token(self) -> str:
        """The bearer token of the agent's identity at the Kubernetes API."""

    @property
    def ca(self) -> bytes:
        """The certificate of the Kubernetes API, as PEM."""

    @property
    def alerts(self) -> tuple[Mapping[str, Any], ...]:
        """What the agent is called for: ``name``, ``labels``, ``fired`` and ``description`` of each."""

    @property
    def namespace(self) -> str:
        """Where the application runs that users are on."""

    @property
    def authority(self) -> str:
        """The name of the policy that decides on each request."""

    @property
    def minutes(self) -> float:
        """Of virtual time that the agent has in all."""

    @property
    def costs(self) -> Costs:
        """What requests and thoughts take of them."""

    async def wait(self, ms: int) -> int:
        """Let virtual time pass; gives the world's moment then, in ms since the Unix epoch."""

    async def spend(self, ms: int) -> None:
        """Let the virtual time pass that thinking takes."""

    async def now(self) -> int:
        """The world's moment, in ms since the Unix epoch; takes no time."""


@dataclass(frozen=True)
class OnCall:
    """What an agent is told that is called for a living world."""

    alerts: tuple[Mapping[str, Any], ...]
    """``name``, ``labels``, ``fired`` and ``description`` of each that fires."""
    namespace: str
    addresses: Mapping[str, str]
    """URLs of ``kubernetes``, ``prometheus``, ``alertmanager``, ``loki``, ``jaeger``, in the sandbox."""
    kubeconfig: str
    """Its path in the sandbox."""
    authority: str
    """The name of the policy that decides on each request."""
    authority_title: str
    """What it allows, in words."""
    minutes: float
    """Of virtual time."""
    read_s: float
    write_s: float
    token_s: float = 0.0
    """Virtual seconds that a read, a write and each token that a model writes take."""


@dataclass(frozen=True)
class Assessment:
    """What an agent is to assess."""

    kind: str
    """The class of the scenario: which artefacts of which engines are asked for."""
    requirement: str
    """What is compliant, in words, and what is to be changed about it."""
    files: tuple[str, ...]
    """What is to be handed in."""
    folder: str = "/home/user/work"
    """Where files are handed in."""
    updates: bool = False
    """Policies are there already, and are to be edited."""


@dataclass(frozen=True)
class Task:
    """What the agent is told. It names no scenario, suite or fault."""

    domain: str = "sre"
    home: str = "/home/user"
    answer: str = "/home/user/agent_output.json"
    files: tuple[str, ...] = ()
    """What stands in the home folder, sorted."""
    living: OnCall | None = None
    """What the agent is called for; None on recorded incidents."""
    assessment: Assessment | None = None
    """What it is to assess; None where something broke instead."""


@dataclass
class Episode:
    """Everything that an agent gets for one episode."""

    task: Task
    workspace: Workspace
    meter: Meter
    receipt: ReceiptSink
    limits: Limits
    seed: int
    inventory: tuple[str, ...] = ()
    """Ids of every object present in the incident, sorted: public evidence, for agents that run in
    our process and would otherwise have to parse it."""
    privilege: Privilege | None = None
    """Only for agents whose ``privileged`` is True."""
    open_evidence: Callable[[], AbstractContextManager[Evidence]] | None = None
    """Opens the evidence that the agent may see, for agents that run in our process."""
    living: Living | None = None
    """The world that the agent acts on; None on recorded incidents."""


@dataclass(frozen=True)
class AgentResult:
    """How an agent ended by itself. ``submission`` is the raw text of its answer.

    ``outcome`` is ``submitted``, ``no_submission``, ``agent_error`` or ``escalated``; caps are raised
    as :class:`LimitReached`.
    """

    outcome: Outcome
    submission: str | None = None
    reason: str = ""
    notes: Mapping[str, Any] = field(default_factory=dict)


class Agent(Protocol):
    """Anything that solves scenarios."""

    @property
    def name(self) -> str:
        """Readable, e.g. ``react:openai/gpt-x``."""

    @property
    def privileged(self) -> bool:
        """Whether it may see the truth: only agents that prove a benchmark."""

    def config(self) -> dict[str, Any]:
        """Everything that makes this agent behave as it does, as JSON, without secrets."""

    async def solve(self, episode: Episode) -> AgentResult:
        """Work on one episode. The same object serves many episodes at once: keep no state in it.

        Raises:
            LimitReached: a cap of the meter was hit.
            AgentError: the agent failed by its own fault.
            InfrastructureError: Firedrill or the machine failed; the episode is tried again.
        """


@dataclass(frozen=True)
class SandboxAdditions:
    """What an agent needs in its episode's sandbox beside the evidence; merged into the ``SandboxSpec``.

    ``mounts`` maps an absolute path inside to a host path, read-only; ``forwards`` a TCP port on
    127.0.0.1 inside to a Unix socket of the host. ``env`` holds no secret: the agent can read it.
    """

    mounts: Mapping[str, Path] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    forwards: Mapping[int, Path] = field(default_factory=dict)


@runtime_checkable
class PreparingAgent(Protocol):
    """An agent that needs something beside its sandbox for as long as its episode lasts.

    The runner asks ``isinstance(agent, PreparingAgent)``, enters the context before it opens the
    workspace and leaves it after it has closed it. ``meter`` and ``receipt`` are those of the
    :class:`Episode` that :meth:`Agent.solve` then gets.
    """

    def prepare(self, meter: Meter, receipt: ReceiptSink) -> AbstractAsyncContextManager[SandboxAdditions]:
        """Start what the episode needs, and stop it at the end.

        Raises:
            InputError: the configuration of the agent cannot work (a missing key or file).
            InfrastructureError: something could not be started.
        """
