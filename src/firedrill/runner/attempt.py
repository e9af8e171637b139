"""One attempt at one episode: stage, let the agent work, and say how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firedrill.agents.base import (
    AgentError,
    AgentResult,
    Episode,
    LimitReached,
    Meter,
    PreparingAgent,
    Privilege,
    SandboxAdditions,
)
from firedrill.core.compliance import ComplianceFacts
from firedrill.core.episode import EpisodeKey, EpisodeRecord, Limits, Usage
from firedrill.core.errors import InfrastructureError, InputError
from firedrill.core.grade import Grade
from firedrill.core.living import Facts
from firedrill.core.outcome import Outcome
from firedrill.core.submission import parse_submission
from firedrill.core.topology import Topology
from firedrill.core.truth import Truth
from firedrill.records import EpisodeWriter
from firedrill.records.receipt import bounded, clean_text
from firedrill.runner.settings import Entrant, Settings, effective_limits, episode_seed
from firedrill.runner.staging import Stage
from firedrill.sandbox.base import CommandResult, SandboxSpec, View, Workspace

if TYPE_CHECKING:
    from firedrill.runner.living import LivingEpisode

MAX_SUBMISSION = 4_000_000
"""Characters kept of an answer."""
_MAX_REASON = 2_000
_FRAMES = 6
_CLOSING_SECONDS = 30.0

OpenWorkspace = Callable[[View, SandboxSpec], Workspace]


class NoWorkspace:
    """Stands in for the workspace of an agent that runs no commands."""

    home = "/home/user"

    async def run(self, command: str, *, timeout: float | None = None, stdin: bytes = b"") -> CommandResult:
        """Refuse."""
        raise AgentError("this agent said that it runs no commands")

    async def run_argv(
        self, argv: list[str], *, timeout: float | None = None, env: object = None
    ) -> CommandResult:
        """Refuse."""
        raise AgentError("this agent said that it runs no commands")

    async def read_file(self, path: str, limit: int = MAX_SUBMISSION) -> bytes | None:
        """There are no files."""
        return None

    async def write_file(self, path: str, data: bytes) -> None:
        """Refuse."""
        raise AgentError("this agent said that it needs no files")

    async def close(self) -> None:
        """Nothing is open."""

    def describe(self) -> dict[str, Any]:
        """What goes into the record."""
        return {"kind": "unused"}


@dataclass
class Job:
    """One planned episode, on its way."""

    key: EpisodeKey
    entrant: Entrant
    attempts: int = 0
    troubles: list[str] = field(default_factory=list)
    """Why earlier attempts failed."""


@dataclass(frozen=True)
class Ending:
    """How an attempt ended, before it is graded."""

    outcome: Outcome
    reason: str = ""
    submission: str | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    sandbox: dict[str, Any] = field(default_factory=dict)
    timing: dict[str, float] = field(default_factory=dict)
    facts: Facts | ComplianceFacts | None = None
    """What became of its world, or what its artefacts said; None on recorded incidents."""


async def attempt(
    job: Job, stage: Stage, writer: EpisodeWriter, settings: Settings, open_workspace: OpenWorkspace
) -> Ending:
    """Let the agent of ``job`` work on its scenario once.

    Raises:
        InfrastructureError: Firedrill or the machine failed, not the agent.
        InputError: the agent's configuration cannot work.
    """
    started = time.monotonic()
    limits = effective_limits(settings.limits, stage.source.scenario)
    meter = Meter(limits)
    meter.start()
    agent = job.entrant.agent
    async with AsyncExitStack() as stack:
        spec = settings.sandbox
        if isinstance(agent, PreparingAgent):
            spec = _with(spec, await stack.enter_async_context(agent.prepare(meter, writer.receipt)))
        living: LivingEpisode | None = None
        view = stage.view
        if stage.living is not None:
            from firedrill.runner.living import spec_of

            worlds = settings.worlds
            base = spec_of(stage.source, limits)
            own = replace(
                base,
                without=tuple(sorted({*base.without, *settings.without})),
                speed=worlds.speed,
                asks=worlds.put is not None,
                ledger=worlds.ledger,
            )
            living = await stage.living.episode(own)
            living.put = worlds.put
            stack.push_async_callback(living.close)
            meter.think, meter.token_ms = living.spend, living.costs.token_ms
            meter.moment = living.now
            if job.entrant.needs_workspace:
                view, spec = _furnished(living, stage, view, spec)
        workspace: Workspace = NoWorkspace()
        if job.entrant.needs_workspace:
            workspace = _workspace(stage, view, spec, open_workspace)
            stack.push_async_callback(_close, workspace)
        task = stage.task
        if living is not None:
            task = replace(task, files=tuple(sorted({*view.entries, *view.texts})), living=living.on_call)
        episode = Episode(
            task=task,
            workspace=workspace,
            meter=meter,
            receipt=writer.receipt,
            limits=limits,
            seed=episode_seed(settings.seed, job.key),
            inventory=stage.visible,
            privilege=_privilege(stage) if agent.privileged else None,
            open_evidence=stage.open_evidence,
            living=living,
        )
        meter.start()
        working = time.monotonic()
        work = job.entrant.run(job.key, episode)
        if living is not None:
            work = bounded_by(living, work, meter)
        result = await _solve(work, meter, limits, settings.grace_seconds)
        worked = time.monotonic() - working
        sandbox = workspace.describe()
        ending = _ending(result, meter)
        ending = await _finished(living, stage, workspace, ending, settings)
    now = time.monotonic()
    timing = {
        "total": now - started,
        "agent": worked,
        "model": meter.model_seconds,
        "tools": meter.tool_seconds,
        "stage": stage.seconds,
    }
    return replace(
        ending,
        usage=meter.usage(),
        sandbox=bounded(sandbox),
        timing={name: round(seconds, 6) for name, seconds in timing.items()},
    )


def _furnished(
    living: LivingEpisode, stage: Stage, view: View, spec: SandboxSpec
) -> tuple[View, SandboxSpec]:
    """The view and the sandbox with the way to a world in them."""
    if stage.assessment is not None:
        from firedrill.runner.compliance import furnish as equip

        return equip(living, stage.assessment, view, spec)
    from firedrill.runner.living import furnish

    return furnish(living, view, spec)


def _workspace(stage: Stage, view: View, spec: SandboxSpec, open_workspace: OpenWorkspace) -> Workspace:
    """Where an agent's commands run: beside the evidence, or on the host that is assessed."""
    if stage.assessment is None or stage.living is not None:
        return open_workspace(view, spec)
    from firedrill.runner.compliance import visit

    return visit(stage.source, spec)


async def _finished(
    living: LivingEpisode | None, stage: Stage, workspace: Workspace, ending: Ending, settings: Settings
) -> Ending:
    """How an episode ended, with the facts about its world where it has one."""
    if stage.assessment is not None:
        from firedrill.runner.compliance import handed_in, handed_in_on_host

        if living is None:
            return await handed_in_on_host(stage.source, workspace, stage.assessment, ending, settings.seed)
        return await handed_in(living, workspace, stage.assessment, ending, settings.seed)
    if living is None:
        return ending
    return replace(ending, facts=await living.finish(named(ending.submission, ending.outcome)))


def _privilege(stage: Stage) -> Privilege:
    known = Privilege(stage.truth, stage.inventory, stage.topology, artefacts=stage.artefacts)
    living = stage.living
    return known if living is None else replace(known, steps=living.steps, hand_over=living.hand_over)


async def bounded_by(living: LivingEpisode, work: Awaitable[AgentResult], meter: Meter) -> AgentResult:
    """Let an agent work until its world's time is up.

    Raises:
        LimitReached: it is.
        InfrastructureError: the world's process broke.
    """
    task = asyncio.ensure_future(work)
    over, broken = asyncio.create_task(living.over.wait()), asyncio.create_task(living.failed())
    try:
        await asyncio.wait({task, over, broken}, return_when=asyncio.FIRST_COMPLETED)
        if broken.done():
            raise broken.result()
        # the world decides, not who was heard first: an answer that comes at the end comes too late
        if over.done() or await living.is_over():
            raise meter.cap(Outcome.TIME_LIMIT, "the cap on virtual time")
        return task.result()
    finally:
        for item in (task, over, broken):
            item.cancel()
        await asyncio.gather(task, over, broken, return_exceptions=True)


def named(submission: str | None, outcome: Outcome) -> list[str]:
    """The causes that an answer names, in its order; none where it is not graded."""
    if submission is None or not outcome.answers:
        return []
    return [entity.name for entity in parse_submission(submission).causes]


async def _solve(
    work: Awaitable[AgentResult], meter: Meter, limits: Limits, grace: float
) -> AgentResult | LimitReached:
    guard = None if limits.minutes is None else limits.minutes * 60 + grace
    try:
        async with asyncio.timeout(guard) as timer:
            return await work
    except LimitReached as reached:
        return meter.reached or reached
    except AgentError as error:
        return AgentResult(Outcome.AGENT_ERROR, reason=str(error))
    except (InfrastructureError, InputError):
        raise
    except (OSError, MemoryError) as error:
        if isinstance(error, TimeoutError):
            if timer.expired():
                text = f"the cap of {limits.minutes:g} minutes; it had to be stopped"
                return meter.cap(Outcome.TIME_LIMIT, text)
            return AgentResult(Outcome.AGENT_ERROR, reason=f"something timed out: {error}")
        raise InfrastructureError(f"{type(error).__name__}: {error}") from error
    except Exception as error:  # noqa: BLE001 - an agent is somebody else's code: any error of it is its own
        frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
        where = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
        reason = f"{type(error).__name__}: {error}"
        return AgentResult(Outcome.AGENT_ERROR, reason=reason, notes={"traceback": where})


def _ending(result: AgentResult | LimitReached, meter: Meter) -> Ending:
    if isinstance(result, LimitReached):
        return Ending(result.outcome, clean_text(str(result), _MAX_REASON))
    outcome, reason, text = result.outcome, result.reason, result.submission
    notes = dict(bounded(result.notes))
    if meter.reached is not None:
        outcome, reason = meter.reached.outcome, str(meter.reached)
    elif outcome is Outcome.SUBMITTED and text is None:
        outcome, reason = Outcome.NO_SUBMISSION, reason or "it ended without an answer"
    if text is not None and len(text) > MAX_SUBMISSION:
        notes["submission_cut_at"] = MAX_SUBMISSION
    if text is not None:
        text = clean_text(text[:MAX_SUBMISSION], MAX_SUBMISSION)
    return Ending(outcome, clean_text(reason, _MAX_REASON), text, notes)


def _with(spec: SandboxSpec, additions: SandboxAdditions) -> SandboxSpec:
    return replace(
        spec,
        mounts={**spec.mounts, **additions.mounts},
        env={**spec.env, **additions.env},
        forwards={**spec.forwards, **additions.forwards},
    )


async def _close(workspace: Workspace) -> None:
    # a sandbox that hangs while it closes must not hold the run, nor undo an episode that has ended:
    # it dies with this program
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CLOSING_SECONDS):
            await workspace.close()


@dataclass(frozen=True)
class Result:
    """An episode that has ended for good."""

    record: EpisodeRecord
    submission: str | None
    grade: Grade | None


def conclude(job: Job, stage: Stage | None, ending: Ending, writer: EpisodeWriter, seed: int) -> Result:
    """Write the last lines of the receipt and grade the answer. Blocking: run it in a thread.

    ``stage`` is None only when the scenario could not be staged: an infrastructure error.
    """
    receipt = writer.receipt
    if ending.submission is not None and "submission" not in receipt.kinds:
        receipt.append("submission", text=ending.submission)
    if ending.facts is not None:
        for line in ending.facts.requests:
            receipt.append("request", **line.model_dump(mode="json"))
        writer.interventions(ending.facts)
    receipt.append("end", outcome=ending.outcome.value, reason=ending.reason)
    grade = None
    if ending.outcome.counts and stage is not None:
        grade = grade_answer(
            ending.submission, stage.truth, stage.topology, stage.inventory, ending.outcome, ending.facts
        )
    record = EpisodeRecord(
        scenario=job.key.scenario,
        agent=job.key.agent,
        repeat=job.key.repeat,
        outcome=ending.outcome,
        reason=ending.reason,
        usage=ending.usage,
        attempts=job.attempts,
        seed=episode_seed(seed, job.key),
        sandbox=ending.sandbox,
        agent_notes=ending.notes,
        view_digest="" if stage is None else stage.view.digest,
        timing=ending.timing,
    )
    return Result(record, ending.submission, grade)


def grade_answer(
    text: str | None,
    truth: Truth,
    topology: Topology,
    inventory: Sequence[str],
    outcome: Outcome,
    facts: Facts | ComplianceFacts | None = None,
) -> Grade:
    """The grade of a raw answer, and of acts: the one place where a run's grades come from."""
    from firedrill.grading import grade

    if isinstance(facts, ComplianceFacts):
        from firedrill.grading.compliance import grade_compliance

        return grade_compliance(facts, truth, outcome)
    submission = None if text is None else parse_submission(text)
    if facts is not None:
        from firedrill.grading.living import grade_living

        return grade_living(submission, truth, facts, topology=topology, inventory=inventory, outcome=outcome)
    return grade(submission, truth, topology=topology, inventory=inventory, outcome=outcome)
