"""What all episodes of one scenario share: its truth, topology, inventory and the agent's view."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from firedrill.agents.base import Assessment, Task
from firedrill.core.errors import InfrastructureError
from firedrill.core.topology import Topology
from firedrill.core.truth import Truth, parse_truth_text
from firedrill.records import SCENARIO_FILES, json_bytes
from firedrill.sandbox.base import View
from firedrill.suites.model import Suite, SuiteScenario
from firedrill.tools.evidence import Evidence

if TYPE_CHECKING:
    from firedrill.runner.living import LivingStage

ARCHITECTURE = "architecture.json"
_AT_ONCE = 2

OpenEvidence = Callable[[], AbstractContextManager[Evidence]]


@dataclass(frozen=True)
class Stage:
    """One scenario, ready for its episodes."""

    source: SuiteScenario
    truth: Truth
    topology: Topology
    inventory: tuple[str, ...]
    """Of everything recorded, for grading."""
    view: View
    visible: tuple[str, ...] = ()
    """The part of the inventory that what the agent may see shows."""
    seconds: float = 0.0
    open_evidence: OpenEvidence | None = None
    """Opens what an agent may see of the incident; each call opens it anew. Blocking."""
    living: LivingStage | None = None
    """Its world, from the moment on at which somebody is called; None for recorded incidents."""
    assessment: Assessment | None = None
    """What is to be assessed in it."""
    artefacts: Mapping[str, str] = field(default_factory=dict)
    """Right artefacts of the assessment by file name."""

    @property
    def alive(self) -> bool:
        """Whether further episodes can be had of it."""
        return self.living is None or self.living.alive

    def close(self) -> None:
        """Let go of what it holds beside memory. Safe to call twice."""
        if self.living is not None:
            self.living.close()

    @property
    def task(self) -> Task:
        """What the agent is told."""
        return Task(
            domain=self.source.scenario.metadata.domain,
            files=tuple(sorted({*self.view.entries, *self.view.texts})),
            assessment=self.assessment,
        )

    def files(self) -> Mapping[str, bytes]:
        """What the run keeps of the scenario, so that its grades can be computed without the suite."""
        source = self.source
        document = {
            "id": source.id,
            "scenario": source.scenario.model_dump(mode="json", by_alias=True),
            "split": source.split,
            "row": dict(source.row),
            "digest": source.digest,
            "truth_digest": source.truth_digest,
        }
        contents = (
            json_bytes(document, pretty=True),
            source.truth_text.encode("utf-8", "backslashreplace"),
            json_bytes(self.topology.to_json()),
            json_bytes(list(self.inventory)),
        )
        return dict(zip(SCENARIO_FILES, contents, strict=True))


Prepare = Callable[[SuiteScenario, Truth], Stage]


@dataclass
class Staging:
    """Prepares each scenario once, in a thread, for its first episode, and forgets it after the last."""

    scenarios: Mapping[str, SuiteScenario]
    truths: Mapping[str, Truth]
    uses: Counter[str]
    """Episodes to come by scenario."""
    prepare: Prepare
    keep: Callable[[Stage], None]
    """Writes down what a run keeps of the scenario; called in the thread that prepared it."""
    _stages: dict[str, asyncio.Task[Stage]] = field(default_factory=dict)
    _gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    async def get(self, scenario: str, ahead: str | None = None) -> Stage:
        """The scenario's stage.

        Args:
            scenario: whose.
            ahead: the scenario that comes next: it is prepared meanwhile, where there is room.

        Raises:
            InputError: the incident cannot be read.
            InfrastructureError: the machine failed; the next call tries again.
        """
        task = self._stages.get(scenario)
        if task is not None and _broken(task):
            self._forget(scenario)
            task = None
        if task is None:
            task = self._stages[scenario] = asyncio.create_task(self._make(scenario))
        if ahead is not None and ahead not in self._stages:
            self._stages[ahead] = asyncio.create_task(self._make(ahead))
        try:
            # one episode's end must not take the stage away from the others that wait for it
            return await asyncio.shield(task)
        except InfrastructureError:
            self._stages.pop(scenario, None)
            raise

    async def _make(self, scenario: str) -> Stage:
        async with self._gate:
            try:
                return await asyncio.to_thread(self._prepare_and_keep, scenario)
            except OSError as error:
                raise InfrastructureError(f"staging {scenario}: {error}") from error

    def _prepare_and_keep(self, scenario: str) -> Stage:
        stage = self.prepare(self.scenarios[scenario], self.truths[scenario])
        try:
            self.keep(stage)
        except BaseException:
            stage.close()
            raise
        return stage

    def release(self, scenario: str) -> None:
        """One episode of the scenario has ended for good."""
        self.uses[scenario] -= 1
        if self.uses[scenario] <= 0:
            self._forget(scenario)

    def _forget(self, scenario: str) -> None:
        task = self._stages.pop(scenario, None)
        if task is not None and (stage := _made(task)) is not None:
            stage.close()

    async def close(self) -> None:
        """Wait for what is being prepared: a thread cannot be stopped, though a simulation can."""
        if isinstance(self.prepare, Staged):
            await asyncio.to_thread(self.prepare.stop)
        await asyncio.gather(*self._stages.values(), return_exceptions=True)
        for scenario in list(self._stages):
            self._forget(scenario)


def _made(task: asyncio.Task[Stage]) -> Stage | None:
    whole = task.done() and not task.cancelled() and task.exception() is None
    return task.result() if whole else None


def _broken(task: asyncio.Task[Stage]) -> bool:
    stage = _made(task)
    return stage is not None and not stage.alive


def read_truths(scenarios: Iterable[SuiteScenario]) -> dict[str, Truth]:
    """The truth of each scenario, so that a broken one is known before anything starts.

    Raises:
        InputError: at the first truth that cannot be used.
    """
    return {item.id: parse_truth_text(item.truth_text, item.truth_source)[0] for item in scenarios}


def assesses(item: SuiteScenario) -> bool:
    """Whether a scenario is one of compliance."""
    return "compliance" in item.scenario.truth


class Staged:
    """How scenarios are prepared: recorded incidents are imported, living ones simulated.

    A living one is simulated in a process of its own, which its episodes are forked from.
    """

    def __init__(self, suite: Suite, without: frozenset[str]) -> None:
        self._without = without
        self._recorded = snapshot_stage(suite, without)
        self._opening: set[LivingStage] = set()
        self._stopped = False

    def __call__(self, source: SuiteScenario, truth: Truth) -> Stage:
        """Prepare a scenario. Blocks."""
        if source.scenario.environment.backend == "host":
            return host_stage(source, truth)
        if source.scenario.environment.backend != "world":
            return self._recorded(source, truth)
        from firedrill.runner.living import LivingStage

        started = time.monotonic()
        assessment: Assessment | None = None
        artefacts: Mapping[str, str] = {}
        if assesses(source):
            from firedrill.runner.compliance import ComplianceStage, briefed

            assessment, artefacts = briefed(source.scenario)
            living: LivingStage = ComplianceStage.spawn(source)
        else:
            living = LivingStage.spawn(source)
        self._opening.add(living)
        if self._stopped:
            living.close()
        try:
            living.simulate(self._without)
        finally:
            self._opening.discard(living)
        seconds = time.monotonic() - started
        known = living.inventory
        return Stage(
            source,
            truth,
            living.topology,
            known,
            View(),
            known,
            seconds,
            living=living,
            assessment=assessment,
            artefacts=artefacts,
        )

    def stop(self) -> None:
        """Break off what is being simulated."""
        self._stopped = True
        for living in list(self._opening):
            living.close()


def host_stage(source: SuiteScenario, truth: Truth) -> Stage:
    """How an assessment of a host is prepared: there is nothing to be simulated."""
    from firedrill.runner.compliance import briefed

    assessment, artefacts = briefed(source.scenario)
    view = View(digest=source.digest)
    return Stage(source, truth, Topology(), (), view, assessment=assessment, artefacts=artefacts)


def snapshot_stage(suite: Suite, without: frozenset[str]) -> Prepare:
    """How a recorded incident is prepared: telemetry is imported once, into the cache."""

    def prepare(source: SuiteScenario, truth: Truth) -> Stage:
        from firedrill import snapshot

        started = time.monotonic()
        with snapshot.open_incident(source.folder) as incident:
            topology, inventory = incident.topology(), incident.inventory()
            # what was withheld must not show through in what was drawn from it
            with incident.hiding(without) if without else nullcontext(incident) as seen:
                shown, visible = seen.topology(), seen.inventory()
        architecture = _architecture(suite.root, source.folder)
        staged = snapshot.stage_view(
            source.folder, topology=shown, architecture=architecture, without=without
        )
        return Stage(
            source,
            truth,
            topology,
            inventory,
            View(entries=staged.entries, texts=staged.texts, digest=staged.digest),
            visible,
            time.monotonic() - started,
            _opener(source.folder, without),
        )

    return prepare


def _opener(folder: Path, without: frozenset[str]) -> OpenEvidence:
    def open_evidence() -> AbstractContextManager[Evidence]:
        from firedrill import snapshot
        from firedrill.tools import RecordedEvidence

        return RecordedEvidence(snapshot.open_incident(folder), without)

    return open_evidence


def _architecture(root: Path, folder: Path) -> Path | None:
    for place in (folder.parent, root):
        if (place / ARCHITECTURE).is_file():
            return place / ARCHITECTURE
    return None
