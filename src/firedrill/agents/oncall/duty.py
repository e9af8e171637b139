"""A shift on call: look, diagnose, mend by careful steps, see whether it helped, and say what was done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from firedrill.agents.oncall.asking import Asker
from firedrill.agents.oncall.doing import Done, Hand
from firedrill.agents.oncall.earlier import Past, past
from firedrill.agents.oncall.moves import steps_for
from firedrill.agents.oncall.moves.workloads import restart
from firedrill.agents.oncall.recording import Recording, record
from firedrill.agents.oncall.settings import load_settings
from firedrill.agents.oncall.steps import Action, Scene, Step
from firedrill.agents.oncall.tables import evidence
from firedrill.agents.oncall.watching import Health, Watch
from firedrill.agents.sleuth.engine import Diagnosis, decide, look, suspect
from firedrill.agents.sleuth.engine import load_settings as load_weights
from firedrill.agents.sleuth.graph import Graph
from firedrill.agents.sleuth.model import Ground
from firedrill.agents.sleuth.ranking import Suspect, features
from firedrill.core.entity import CLUSTER
from firedrill.tools.evidence import RecordedEvidence

MINUTE_MS = 60_000
ROUNDS = 4
"""Looks around at most."""
STEPS = 6
"""Steps at most."""
HOPEFUL_MINUTES = 12
"""How long alerts may take to clear after a step that clearly helped."""
DOUBTFUL_MINUTES = 5
"""How long a step may take to show that it helps."""
CALM_MINUTES = 2
RESERVE_MINUTES = 8.0
_LIKELY = 0.01
_ARGUABLE = 0.5
"""Suspects below that probability, and suspicions below that strength, are no reason to do anything."""
_ACTED = (Ground.CHANGE, Ground.EXPERIMENT, Ground.CONTRADICTION, Ground.REFUSAL)
_MACHINE = "cluster/Node/"


async def _silent(title: str, text: str) -> None:
    """Tells nobody."""


@dataclass
class Shift:
    """What happened in one episode.

    Attributes:
        diagnoses: of each look.
        tried: steps in their order.
        cleared: whether nothing fires at the end.
        reason: why something still fires.
        helpless: causes that no safe step mends.
    """

    asker: Asker
    say: Callable[[str, str], Awaitable[None]] = _silent
    diagnoses: list[Diagnosis] = field(default_factory=list)
    tried: list[Done] = field(default_factory=list)
    cleared: bool = False
    reason: str = ""
    helpless: list[str] = field(default_factory=list)

    @property
    def first(self) -> Diagnosis | None:
        """Of the first look."""
        return self.diagnoses[0] if self.diagnoses else None

    async def work(self) -> None:
        """Everything, until nothing fires or nothing safe is left."""
        site = self.asker.site
        end = await site.now() + int((site.minutes - RESERVE_MINUTES) * MINUTE_MS)
        handled: set[str] = set()
        for number in range(ROUNDS):
            scene = await self._look(number, frozenset(handled))
            watch = Watch(self.asker, scene.onset)
            if number and not await watch.firing() and await self._calm(watch):
                self.cleared = True
                break
            steps = self._plan(scene, handled, first=number == 0)
            if not steps:
                # what was done may need its time
                self.cleared = self._did() and await self._clears(watch, HOPEFUL_MINUTES, end)
                self.reason = "" if self.cleared else self._why_not()
                break
            before = await watch.look()
            for step in steps:
                handled.add(step.cause)
                await self._step(scene, step)
            if self._did() and await self._settles(watch, steps, before, end):
                self.cleared = True
                break
            if await site.now() >= end or len(self.tried) >= STEPS:
                break
        if not self.cleared and not self.reason:
            self.reason = "the alerts still fire, and what seemed safe has been tried"

    async def _look(self, number: int, handled: frozenset[str]) -> Scene:
        settings = load_settings()
        found = await record(self.asker, settings)
        before = past(found, settings.past_s)
        self.diagnoses.append(await asyncio.to_thread(_investigated, found, before, handled))
        onset = self.diagnoses[0].case.onset
        await self.say(
            "Look", f"look {number + 1}: {len(found.all())} objects, {self.asker.count} requests so far"
        )
        return Scene(
            found, before, onset.replace(tzinfo=UTC).timestamp() if onset else found.onset or found.now
        )

    def _plan(self, scene: Scene, handled: set[str], *, first: bool) -> list[Step]:
        """A step for each cause that is named; where none of these has any, for the likeliest that has."""
        causes = [cause for cause in self.diagnoses[-1].causes if self._top(cause) not in handled]
        out: list[Step] = []
        for cause in causes:
            found = steps_for(scene, self._top(cause), cause.reasons[0].hypothesis.summary)
            if found and self._near(cause):
                out.append(found[0])
            else:
                self.helpless.append(cause.entity)
        if out:
            return out[: STEPS - len(self.tried)]
        if first and causes and causes[0].entity.startswith(_MACHINE):
            return []
        for other in self.diagnoses[-1].suspects:
            if other.probability < _LIKELY or self._top(other) in handled or not self._arguable(other):
                continue
            found = steps_for(scene, self._top(other), other.reasons[0].hypothesis.summary)
            if found:
                return found[:1]
        return []

    def _arguable(self, suspect: Suspect) -> bool:
        """Whether something was done to it then, in the application's own place or for all of the cluster."""
        return self._near(suspect) and any(
            item.hypothesis.ground in _ACTED and item.hypothesis.strength >= _ARGUABLE
            for item in suspect.reasons
        )

    def _near(self, suspect: Suspect) -> bool:
        """Whether it is in the application's own place, for all of the cluster, or hurts the application."""
        own = self.asker.site.namespace
        space = suspect.entity.partition("/")[0]
        hurt = {entity for item in suspect.reasons for entity in item.hypothesis.explains}
        if any(entity.startswith(f"{own}/") for entity in hurt):
            return True
        return space in (own, CLUSTER) or space.startswith(("kube-", "istio"))

    def _top(self, suspect: Suspect) -> str:
        return self.diagnoses[-1].case.top(suspect.entity)

    def _why_not(self) -> str:
        if self.helpless:
            return f"nothing that is safe to do through the API mends {', '.join(self.helpless)}"
        return "nothing in the evidence says what could be mended"

    async def _step(self, scene: Scene, step: Step) -> None:
        hand = Hand(self.asker)
        done = await hand.do(step)
        self.tried.append(done)
        await self.say("Step", f"{step.what}\nbecause {step.why}\n{done.refused or 'done'}")
        if done.refused:
            return
        moment = datetime.fromtimestamp(await self.asker.site.now() / 1000, UTC)
        for workload in step.workloads:
            again: Action | None = restart(scene, workload, moment.strftime("%Y-%m-%dT%H:%M:%SZ"))
            if again is not None:
                await hand.do(Step(workload, f"{workload}: start its pods anew", step.what, (again,)))

    def _did(self) -> bool:
        """Whether anything was done that stands."""
        return any(not done.refused and not done.undone for done in self.tried)

    async def _settles(self, watch: Watch, steps: list[Step], before: Health, end: int) -> bool:
        """Wait until nothing fires; whether it came to that. Without any sign of help, not for long."""
        if await self._clears(watch, DOUBTFUL_MINUTES, end):
            return True
        if not (await watch.look()).better_than(before):
            await self._take_back(steps)
            return False
        return await self._clears(watch, HOPEFUL_MINUTES - DOUBTFUL_MINUTES, end)

    async def _clears(self, watch: Watch, minutes: int, end: int) -> bool:
        """Whether nothing fires any more within some minutes."""
        site = self.asker.site
        for _ in range(minutes):
            if await site.now() >= end:
                return False
            await site.wait(MINUTE_MS)
            if not await watch.firing() and await self._calm(watch):
                return True
        return False

    async def _calm(self, watch: Watch) -> bool:
        """Whether it stays so for a little while."""
        await self.asker.site.wait(CALM_MINUTES * MINUTE_MS)
        return not await watch.firing()

    async def _take_back(self, steps: list[Step]) -> None:
        """What did not help is as it was before, but for experiments, which are never missed."""
        hand = Hand(self.asker)
        for done in reversed(self.tried):
            if done.step not in steps or done.refused or done.undone or await hand.recovered(done):
                continue
            done.useless = True
            if _experiment(done.step):
                continue
            await hand.undo(done)
            await self.say("Taken back", done.step.what)


def _experiment(step: Step) -> bool:
    return any("chaos" in action.resource for action in step.actions)


def _investigated(found: Recording, before: Past, handled: frozenset[str]) -> Diagnosis:
    """What a recording tells, without suspicions against what was taken care of already."""
    with evidence(found, before) as tables:
        case = look(RecordedEvidence(tables))
        suspicions = [one for one in suspect(case) if case.top(one.entity) not in handled]
        return decide(case, suspicions, features(case, Graph(case), suspicions), load_weights())
