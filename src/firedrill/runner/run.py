"""Runs: agents x scenarios x repeats, started, taken up again, and sealed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from firedrill.agents.base import Agent
from firedrill.agents.registry import AgentRequest
from firedrill.core.episode import Limits
from firedrill.core.errors import InfrastructureError, InputError
from firedrill.core.outcome import Outcome
from firedrill.core.truth import Truth
from firedrill.records import Manifest, RunFolder, RunWriter, episode_name, refuse_used
from firedrill.runner import planning
from firedrill.runner.attempt import Job, OpenWorkspace
from firedrill.runner.campaign import Campaign
from firedrill.runner.settings import Entrant, Progress, Settings, Silent, Worlds
from firedrill.runner.staging import Prepare, Staged, Staging, read_truths
from firedrill.sandbox.base import SandboxSpec, View
from firedrill.suites.model import Suite, SuiteScenario

_TRIAL_SECONDS = 20.0


@dataclass(frozen=True)
class RunResult:
    """A run's folder after :func:`run` or :func:`resume`. ``interrupted``: it was stopped before its end."""

    path: Path
    manifest: Manifest
    interrupted: bool = False


@dataclass(frozen=True)
class Workshop:
    """How scenarios are prepared and sandboxes opened: replaced in tests."""

    prepare: Callable[[Suite, frozenset[str]], Prepare] = Staged
    open_workspace: OpenWorkspace | None = None

    async def opener(self, entrants: Collection[Entrant], spec: SandboxSpec) -> OpenWorkspace:
        """What opens a workspace, tried out when some agent runs commands.

        Raises:
            InputError: there is no such kind of sandbox.
            InfrastructureError: some agent runs commands, and this machine has no such sandbox.
        """
        if self.open_workspace is not None:
            return self.open_workspace
        from firedrill.sandbox.opening import KINDS, open_workspace

        if spec.kind not in KINDS:
            raise InputError(
                f"no kind of sandbox {spec.kind!r}", field="--sandbox", mend=f"use {' or '.join(KINDS)}"
            )
        if any(entrant.needs_workspace for entrant in entrants):
            workspace = open_workspace(View(), SandboxSpec(kind=spec.kind))
            try:
                result = await workspace.run("true", timeout=_TRIAL_SECONDS)
            finally:
                await workspace.close()
            if result.exit_code != 0:
                raise InfrastructureError(f"the sandbox does not work here: {result.stderr.strip()}")
        return open_workspace


async def run(
    suite: Suite,
    agents: Sequence[Agent | AgentRequest | Entrant],
    *,
    repeats: int = 1,
    concurrency: int = 0,
    limits: Limits | None = None,
    sandbox: SandboxSpec | None = None,
    seed: int = 0,
    out: Path | None = None,
    scenarios: Sequence[str] = (),
    limit: int | None = None,
    without: Collection[str] = (),
    source: str | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
    stop: asyncio.Event | None = None,
    workshop: Workshop | None = None,
) -> RunResult:
    """Run ``agents`` on ``suite`` and record everything in a new folder.

    Of ``limits`` the members that were set count; the scenario's own caps hold for the rest. ``scenarios``
    selects by id, ``limit`` takes the first so many. ``source`` is what opens the suite again when the run
    is resumed, by default its folder; agents can be made again when they come as requests. Setting
    ``stop`` ends the run early: what is under way is left out, and the folder can be resumed.

    Raises:
        InputError: unknown scenario, two agents of one configuration, a broken truth, a used folder.
        InfrastructureError: no sandbox where an agent needs one.
    """
    entrants = [planning.entrant(agent) for agent in agents]
    chosen = planning.select(suite, scenarios, limit)
    planning.refuse_strangers(chosen, entrants, without)
    settings = replace(
        settings or Settings(),
        seed=seed,
        limits={} if limits is None else limits.model_dump(exclude_unset=True),
        sandbox=sandbox or SandboxSpec(),
        without=frozenset(without),
        concurrency=concurrency,
    )
    where = source or str(suite.root.absolute())
    manifest = planning.new_manifest(suite, chosen, entrants, settings, repeats=repeats, source=where)
    planning.refuse_inside(out or planning.RUNS, chosen)
    if out is not None:
        refuse_used(out)
    session = _Session(suite, chosen, entrants, settings, progress or Silent(), workshop or Workshop())
    await session.check()
    writer = RunWriter.create(planning.new_folder(out, suite.name), manifest)
    return await session.carry_out(writer, stop or asyncio.Event())


async def resume(
    path: Path,
    *,
    concurrency: int = 0,
    suite: Suite | None = None,
    agents: Sequence[Agent | Entrant] | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
    stop: asyncio.Event | None = None,
    workshop: Workshop | None = None,
) -> RunResult:
    """Finish a run: carry out the episodes that have not ended, and again those that failed through us.

    ``suite`` and ``agents`` are opened and made from what ``run.json`` says unless they are given.

    Raises:
        InputError: the suite, a truth, an agent, the scorer or Firedrill itself is not what the run was
            started with, or an episode was edited since.
    """
    folder = RunFolder(path)
    manifest = folder.manifest
    if manifest.sealed and manifest.complete:
        return RunResult(path, manifest)
    where = str(path / "run.json")
    if suite is None:
        from firedrill.suites import open_suite

        suite = open_suite(manifest.suite.source)
    entrants = planning.remade(folder) if agents is None else [planning.entrant(agent) for agent in agents]
    chosen = planning.same_scenarios(suite, manifest, where)
    planning.refuse_inside(path, chosen)
    planning.same_agents(entrants, manifest, where)
    note = planning.same_versions(manifest, entrants, chosen, where)
    plan = manifest.plan
    if plan.worlds.get("approver"):
        raise InputError(
            "was approved at a terminal, and nobody can be asked now", source=where, mend="start a new run"
        )
    settings = replace(
        settings or Settings(),
        worlds=Worlds(ledger=plan.worlds.get("ledger") == "full"),
        seed=plan.seed,
        limits=plan.limits,
        sandbox=planning.sandbox_spec(plan.sandbox, where),
        without=frozenset(plan.without),
        concurrency=concurrency,
    )
    progress = progress or Silent()
    if note:
        progress.note(note)
    session = _Session(suite, chosen, entrants, settings, progress, workshop or Workshop())
    await session.check()
    return await session.carry_out(RunWriter.reopen(path), stop or asyncio.Event())


@dataclass
class _Session:
    """One program's work on a run, from opening its folder to sealing it."""

    suite: Suite
    chosen: Sequence[SuiteScenario]
    entrants: Sequence[Entrant]
    settings: Settings
    progress: Progress
    workshop: Workshop
    truths: Mapping[str, Truth] | None = None
    open_workspace: OpenWorkspace | None = None

    async def check(self) -> None:
        """Find out what would stop the run, before anything is written."""
        planning.refuse_unready(self.chosen, self.entrants, self.settings.sandbox)
        self.truths = read_truths(self.chosen)
        self.open_workspace = await self.workshop.opener(self.entrants, self.settings.sandbox)

    async def carry_out(self, writer: RunWriter, stop: asyncio.Event) -> RunResult:
        """Carry out what has not ended, and seal the folder, whole or not."""
        assert self.truths is not None
        assert self.open_workspace is not None
        started, clock = datetime.now(UTC), time.monotonic()
        jobs = self._jobs(writer)
        planned = Counter(key.agent for key in writer.manifest.plan.episodes())
        staging = Staging(
            scenarios={item.id: item for item in self.chosen},
            truths=self.truths,
            uses=Counter(job.key.scenario for job in jobs),
            prepare=self.workshop.prepare(self.suite, self.settings.without),
            keep=lambda stage: writer.write_scenario(stage.source.id, stage.files()),
        )
        campaign = Campaign(writer, staging, self.settings, self.open_workspace, self.progress)
        self.progress.started(planned, planned - Counter(job.key.agent for job in jobs))
        timing: dict[str, Any] = {
            "sessions": [*writer.manifest.timing.get("sessions", [])],
            "concurrency": self.settings.workers,
        }

        def seal() -> Manifest:
            session = {
                "started": started.isoformat(timespec="seconds"),
                "seconds": round(time.monotonic() - clock, 3),
            }
            return writer.seal({**timing, "sessions": [*timing["sessions"], session]})

        try:
            ended = await campaign.carry_out(jobs, stop)
        except BaseException:
            # what has ended is kept; when not even that can be written, the first error is the one to tell
            with contextlib.suppress(OSError):
                seal()
            writer.close()
            self.progress.note(f"what has ended is kept; `firedrill resume {writer.path}` goes on")
            raise
        return RunResult(writer.path, seal(), interrupted=not ended)

    def _jobs(self, writer: RunWriter) -> list[Job]:
        by_folder = {item.folder: item for item in self.entrants}
        failed = Outcome.INFRASTRUCTURE_ERROR.value
        jobs = []
        for key in writer.manifest.plan.episodes():
            entry = writer.done().get(episode_name(key))
            if entry is None or entry.outcome == failed:
                jobs.append(Job(key, by_folder[key.agent]))
        return jobs
