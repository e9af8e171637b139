"""What all episodes of one incident are measured against: nobody, and the reference repair at once.

Computed once, before episodes are forked from the process that holds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_args

from firedrill.core.errors import InfrastructureError
from firedrill.faults.base import Step, Verb
from firedrill.faults.healing import trials_of
from firedrill.faults.repairing import apply
from firedrill.runner.living.assessing.broken import Broken
from firedrill.runner.living.assessing.relations import related
from firedrill.world.app import service
from firedrill.world.kube.api import ApiError
from firedrill.world.telemetry.producers import keep_only

if TYPE_CHECKING:
    from firedrill.faults.healing import Limits, Trials
    from firedrill.suites.living import Incident
    from firedrill.world.telemetry.rules import Alert
    from firedrill.world.world import World

MINUTE_MS = 60_000
PREPARED_MS = 21 * MINUTE_MS
"""How far branches are run beforehand, from the agent's begin; the verification of most episodes is over by
then, with the patience for alerts of those in which nobody acted."""
_KEPT_MS = 3 * MINUTE_MS
"""How far apart the moments of the branch with nobody are that are kept; objects are compared at any."""
EVERY_MS = 5 * MINUTE_MS
"""How far apart the moments are at which a world is looked at that is run on until its verdict stands."""
_AGAIN_MS, _PATIENCE_MS = 5_000, 120_000
_FIELDS = ("text", "verb", "resource", "namespace", "name", "body", "patch_type", "subresource")


class Line:
    """One way in which things went on after an agent's begin.

    Args:
        world: of some moment; it is not run on itself.
    """

    def __init__(self, world: World) -> None:
        self._kept = {world.now: world}

    @property
    def first(self) -> World:
        """The world that it begins with."""
        return self._kept[min(self._kept)]

    def at(self, moment: int) -> World:
        """The world at that moment, which is kept. Moments may come in any order.

        Raises:
            ValueError: it is before the first one.
        """
        found = self._kept.get(moment)
        if found is None:
            earlier = [now for now in self._kept if now < moment]
            if not earlier:
                raise ValueError("it began later")
            found = self._kept[moment] = self._kept[max(earlier)].fork()
            found.run_until_ms(moment)
        return found

    def beyond(self, moment: int) -> World:
        """A world that has lived through that moment: the first that is kept, or else that of the moment."""
        later = [now for now in self._kept if now >= moment]
        return self._kept[min(later)] if later else self.at(moment)


class Yardstick:
    """What the episodes of an incident have in common.

    Args:
        incident: that was simulated.
        steps: of the reference repair; empty where no call of the API mends it.
        cures: sets of entities that are known to cure; many a diagnosis will name the first.
        limits: of trials.

    Attributes:
        incident: as given.
        baseline: what users usually get.
        trials: of healing, on forks from the agent's begin.
        broken: what the faults did to objects.
        nobody, reference: how things go on where nobody acts, and where the reference repair is made at once.
    """

    def __init__(
        self,
        incident: Incident,
        steps: Sequence[Step] = (),
        *,
        cures: Iterable[Sequence[str]] = (),
        limits: Limits | None = None,
    ) -> None:
        self.incident = incident
        self.steps = tuple(steps)
        self.baseline: service.Baseline = incident.baseline
        self.broken = Broken(incident.injections)
        self._cures = tuple(tuple(cure) for cure in cures)
        self.trials: Trials = trials_of(incident, limits)

    def prepare(self) -> None:
        """Compute all that most episodes will ask for, so that processes forked from this one share it."""
        begin = self.incident.times.noticed // MINUTE_MS * MINUTE_MS
        for passed in range(_KEPT_MS, PREPARED_MS + 1, _KEPT_MS):
            self.nobody.at(begin + passed)
        if self.reference is not None:
            self.reference.at(begin + PREPARED_MS)
        self.incident.usual_until(begin + PREPARED_MS)
        for cure in self._cures[:1]:
            self.trials.cures(cure)
            for entity in cure:
                self.trials.cures([item for item in cure if item != entity])
        self.trials.cures(())
        assert self.related

    @cached_property
    def nobody(self) -> Line:
        """How things go on where nobody acts."""
        world = self.incident.noticed.fork()
        keep_only(world, ())
        return Line(world)

    @cached_property
    def reference(self) -> Line | None:
        """How things go on after the reference repair; None where there is none."""
        if not self.steps:
            return None
        world = self.incident.noticed.fork()
        keep_only(world, ())
        for step in self.steps:
            _take(world, step)
        return Line(world)

    @cached_property
    def related(self) -> frozenset[str]:
        """The entities whose change is no collateral: causes, and what has to do with them."""
        return related(self.incident.before, self.incident.noticed, self.broken)

    def to_blame(self, entity: str) -> bool:
        """Whether a fault changed that very object, or healing it is part of a known cure."""
        return self.broken.touched(entity) or any(entity in cure for cure in self._cures)

    def usual(self, alert: Alert, moment: int) -> bool:
        """Whether an alert fires in a world in which nothing is broken, too, between the fault and then."""
        return self.incident.fires_anyway(alert, moment)


def steps_of(steps: Iterable[Mapping[str, Any]]) -> tuple[Step, ...]:
    """The steps of a scenario's file.

    Raises:
        InfrastructureError: one is none; files of scenarios are checked when they are read.
    """
    found = []
    for step in steps:
        if step.get("verb") not in get_args(Verb):
            raise InfrastructureError(f"a reference step has the verb {step.get('verb')!r}")
        found.append(Step(**{"text": "", "namespace": "", **{k: step[k] for k in _FIELDS if k in step}}))
    return tuple(found)


def _take(world: World, step: Step) -> None:
    """Take a step, as soon as the API lets it through."""
    end = world.now + _PATIENCE_MS
    while True:
        try:
            return apply(world, step)
        except ApiError as refusal:
            if world.now >= end:
                text = f"the reference repair is refused: {step.command()}: {refusal.message}"
                raise InfrastructureError(text) from refusal
            world.run_for(_AGAIN_MS)


__all__ = ["PREPARED_MS", "Line", "Yardstick", "steps_of"]
