"""The five parts of a repair: what of each is not as it has to be at the end of the verification."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from firedrill.core.living import AlertSpan, Flaw, PartFacts, RepairFacts
from firedrill.runner.living.assessing import guards, whole, witness
from firedrill.runner.living.assessing.broken import Broken
from firedrill.world.app import service

if TYPE_CHECKING:
    from firedrill.world.world import World

QUIET_MS = 5 * 60_000
"""For so long all alerts have to have been inactive."""
_WRITTEN: Mapping[str, tuple[str, ...]] = {
    "missing": (),
    "capacity": ("spec", "replicas"),
    "suspended": ("spec", "suspend"),
}
"""What of the whole somebody has to write to bring about, and where; the rest follows from faults."""
_NOT_KEPT = "cluster/RuleGroup/"
"""Forks that nobody asks for alerts have no rules."""


@dataclass(frozen=True, slots=True)
class Sides:
    """What a world is compared with.

    Attributes:
        before: right before the first fault.
        broken: what the faults did.
    """

    before: World
    broken: Broken


@dataclass(frozen=True, slots=True)
class States:
    """The parts that are states of objects: c, d and e."""

    whole: PartFacts
    guards: PartFacts
    witness: PartFacts


def states(sides: Sides, world: World, ended: World) -> States:
    """What is missing, weaker or silenced in a world.

    Args:
        sides: what it is compared with.
        world: at the end of the verification.
        ended: when the agent ended: queues have to be shorter than then.
    """
    return States(
        whole=whole.missing(sides.before, world, ended),
        guards=guards.weaker(sides.before, world, sides.broken),
        witness=witness.silenced(sides.before, world, sides.broken),
    )


def alerts_part(spans: Sequence[AlertSpan], until_ms: int) -> PartFacts:
    """Part a: each alert once, however often it fired."""
    worst: dict[tuple[str, tuple[tuple[str, str], ...]], str] = {}
    for span in spans:
        key = (span.name, tuple(sorted(span.labels.items())))
        what = "active" if span.ended is None else "recent" if span.ended > until_ms - QUIET_MS else ""
        worst[key] = max(worst.get(key, ""), what, key=("", "recent", "active").index)
    flaws = tuple(
        Flaw(entity=f"cluster/Alert/{name}", what=what, detail=_labels(labels))
        for (name, labels), what in worst.items()
        if what
    )
    return PartFacts(total=float(len(worst)), flaws=flaws)


def _labels(labels: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{key}={text}" for key, text in labels)


def service_part(world: World, usual: service.Baseline, until_ms: int) -> PartFacts:
    """Part b: operations by their share of the traffic."""
    outside = service.outside(world, usual, until_ms)
    flaws = tuple(
        Flaw(entity=f"cluster/Operation/{band.operation}", what="outside", weight=round(band.share, 9))
        for band in usual.bands
        if band.operation in outside
    )
    return PartFacts(total=round(sum(band.share for band in usual.bands), 9), flaws=flaws)


def against(found: States, nobodys: States, broken: Broken) -> States:
    """The same, with a mark on what would not be so, had nobody acted.

    What would be so anyway and is no fault's doing either is excused: somebody else has changed it.
    """
    return States(
        whole=_marked(found.whole, nobodys.whole, lambda flaw: _others(flaw, broken)),
        guards=_marked(found.guards, nobodys.guards, lambda flaw: not broken.touched(flaw.entity)),
        witness=_marked(found.witness, nobodys.witness, lambda flaw: not broken.touched(flaw.entity)),
    )


def _others(flaw: Flaw, broken: Broken) -> bool:
    return flaw.what in _WRITTEN and not broken.touched(flaw.entity, under=_WRITTEN[flaw.what])


def _marked(part: PartFacts, nobodys: PartFacts, others: Callable[[Flaw], bool]) -> PartFacts:
    theirs = {
        (flaw.entity, flaw.what)
        for flaw in (*nobodys.flaws, *nobodys.excused)
        if not flaw.entity.startswith(_NOT_KEPT)
    }
    flaws: list[Flaw] = []
    excused = list(part.excused)
    for flaw in part.flaws:
        own = (flaw.entity, flaw.what) not in theirs
        excuse = not own and others(flaw)
        (excused if excuse else flaws).append(flaw.model_copy(update={"own": own}))
    return part.model_copy(update={"flaws": tuple(flaws), "excused": tuple(excused)})


def with_flaws(part: PartFacts, flaws: Sequence[Flaw]) -> PartFacts:
    """A part in which the agent has done these things, too, each on something that was not looked at yet."""
    own = tuple(flaw.model_copy(update={"own": True}) for flaw in flaws)
    return part.model_copy(update={"total": part.total + len(own), "flaws": (*part.flaws, *own)})


def repair_facts(alerts: PartFacts, users: PartFacts, found: States) -> RepairFacts:
    """All parts together."""
    return RepairFacts(
        alerts=alerts, service=users, whole=found.whole, guards=found.guards, witness=found.witness
    )


__all__ = [
    "QUIET_MS",
    "Sides",
    "States",
    "against",
    "alerts_part",
    "repair_facts",
    "service_part",
    "states",
    "with_flaws",
]
