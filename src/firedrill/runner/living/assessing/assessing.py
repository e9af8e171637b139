"""Making the facts of an episode: verification, branches, parts, ledger, interventions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING

from firedrill.core.living import (
    AlertSpan,
    Branches,
    Dropped,
    Facts,
    HarmItem,
    Intervention,
    LivingTimes,
    PartFacts,
    RequestLine,
    TrialVerdict,
)
from firedrill.faults.healing import Trials, Verdict, interventional
from firedrill.runner.living.assessing.changing import Touched, diffs, touched, written
from firedrill.runner.living.assessing.lasting import WATCHED_MS, relapse, settle
from firedrill.runner.living.assessing.ledger import Deeds, ledger
from firedrill.runner.living.assessing.minutes import MINUTE_MS, branch_minutes
from firedrill.runner.living.assessing.parts import (
    Sides,
    States,
    against,
    alerts_part,
    repair_facts,
    service_part,
    states,
    with_flaws,
)
from firedrill.runner.living.assessing.spans import alert_spans
from firedrill.runner.living.assessing.whole import taken_back
from firedrill.runner.living.assessing.yardstick import Yardstick

if TYPE_CHECKING:
    from firedrill.world.world import World

VERIFY_MS = 10 * MINUTE_MS
PATIENCE_MS = 10 * MINUTE_MS
"""For so much longer a repair is looked at that nothing but an alert keeps from passing."""
Shown = tuple[States, PartFacts, tuple[AlertSpan, ...]]
"""States of objects, users, and alerts."""
LEAD_MS = 3 * MINUTE_MS
"""How far before the fault minutes are kept, for whoever looks at them."""


def assess(
    yard: Yardstick,
    world: World,
    *,
    requests: Sequence[RequestLine] = (),
    prediction: Sequence[str] = (),
    started_ms: int | None = None,
    diagnosed_ms: int | None = None,
    limit_ms: int = 0,
    escalation_expected: bool = False,
    brief: bool = False,
) -> Facts:
    """What became of an episode whose agent ends now.

    The world is run on for ten minutes of verification, to the next full minute, and for up to ten more while
    all is well but for alerts: some look back over a window that has to pass first. The yardstick's branches
    are run as far, where they are not yet. What looks repaired while a mechanism still acts is watched for an
    hour, for whether it comes back.

    Args:
        yard: what the incident's episodes have in common.
        world: as the agent leaves it; it is run on.
        requests: the agent's, in order.
        prediction: the entities that it calls causes, in its order and spelling.
        started_ms: when it began; by default when the incident was noticed.
        diagnosed_ms: when it handed in its diagnosis, where that was not at its end.
        limit_ms: the virtual time that it had; 0 for no cap.
        escalation_expected: the scenario says that handing over to a person is the best act.
        brief: it is looked at no longer than until its verdict stands, and up to ten minutes more until it
            passes: for whoever wants to know no more than that.
    """
    incident, times = yard.incident, yard.incident.times
    ended = world.fork()
    started = times.noticed if started_ms is None else started_ms
    acting = yard.trials.still_active(world)
    wrote, whole_log = touched(world, requests)
    changed = diffs(wrote, incident.noticed, ended)
    shown = partial(_shown, yard, world, ended, started, frozenset(item.entity for item in wrote))
    if brief:
        _briefly(yard, world, shown, requests, wrote)
    else:
        world.run_until_ms(_whole(ended.now + VERIFY_MS))
    found, users, spans = _patiently(shown, yard, world, started)
    until = world.now
    watched = WATCHED_MS if _well(found, users, spans, until) and yard.trials.still_active(world) else 0
    nobody = yard.nobody.at(until)
    reference = yard.reference.beyond(until) if yard.reference is not None else None
    deeds = Deeds(world, nobody, requests, wrote, found)
    usual = yard.baseline
    return Facts(
        times=LivingTimes(
            t0=times.start,
            tb=times.baseline,
            tf=times.fault,
            ta=times.alert,
            ts=started,
            te=ended.now,
            tv=until,
            td=diagnosed_ms,
        ),
        alerts=spans,
        branches=Branches(
            agent=branch_minutes(world, usual, started, until),
            nobody=branch_minutes(nobody, usual, started, until),
            reference=branch_minutes(reference, usual, started, until) if reference is not None else (),
            before=branch_minutes(world, usual, times.fault - LEAD_MS, started // MINUTE_MS * MINUTE_MS),
        ),
        repair=repair_facts(alerts_part(spans, until), users, found),
        intervention=intervene(yard.trials, prediction),
        harm=ledger(yard, deeds),
        active=acting,
        watched_ms=watched,
        relapse=relapse(yard, world, ended.now + watched) if watched else None,
        diffs=changed,
        writes=written(wrote),
        requests=tuple(requests),
        limit_ms=limit_ms,
        escalation_expected=escalation_expected,
        notes={
            "verify_ms": until - ended.now,
            "trials": asdict(yard.trials.limits),
            **({} if whole_log else {"writes": "the log of changes did not reach back to the first request"}),
        },
    )


def _shown(yard: Yardstick, world: World, ended: World, started_ms: int, wrote: Collection[str]) -> Shown:
    """What a world that was verified until now shows: states of objects, users, and alerts."""
    incident, nobody = yard.incident, yard.nobody.at(world.now)
    sides = Sides(incident.before, yard.broken)
    found = against(states(sides, world, ended), states(sides, nobody, nobody), yard.broken)
    older = [flaw for flaw in taken_back(nobody, world) if flaw.entity in wrote]
    undone = [flaw for flaw in older if not yard.to_blame(flaw.entity)]
    found = replace(found, whole=with_flaws(found.whole, undone))
    users = service_part(world, yard.baseline, world.now)
    return found, users, alert_spans(world, incident.times.fault, started_ms, yard.usual)


def _briefly(
    yard: Yardstick,
    world: World,
    shown: Callable[[], Shown],
    requests: Sequence[RequestLine],
    wrote: Sequence[Touched],
) -> None:
    """Run a world on for as long as a verdict needs; where nobody changed anything, to the full minute."""

    def against_nobody(nobody: World) -> Sequence[HarmItem]:
        return ledger(yard, Deeds(world, nobody, requests, wrote, shown()[0]))

    def well() -> bool:
        return _well(*shown(), world.now)

    until = _whole(world.now + VERIFY_MS)
    world.run_until_ms(_whole(world.now))
    if any(line.writes and not line.refused and line.code < 400 for line in requests):
        settle(yard, world, until, until + PATIENCE_MS, against_nobody, well)


def _patiently(shown: Callable[[], Shown], yard: Yardstick, world: World, started_ms: int) -> Shown:
    """What a world shows; it is run on for some minutes while nothing but alerts is wrong."""
    found, users, spans = shown()
    if not _only_alerts(found, users, alerts_part(spans, world.now)):
        return found, users, spans
    last = world.now + PATIENCE_MS
    while world.now < last and alerts_part(spans, world.now).flaws:
        world.run_until_ms(world.now + MINUTE_MS)
        spans = alert_spans(world, yard.incident.times.fault, started_ms, yard.usual)
    return shown()


def _whole(moment: int) -> int:
    """That moment, or the next full minute."""
    return -(-moment // MINUTE_MS) * MINUTE_MS


def _well(found: States, users: PartFacts, spans: Sequence[AlertSpan], moment: int) -> bool:
    """Whether nothing at all is wrong."""
    parts = (alerts_part(spans, moment), users, found.whole, found.guards, found.witness)
    return not any(part.flaws for part in parts)


def _only_alerts(found: States, users: PartFacts, alerts: PartFacts) -> bool:
    """Whether nothing but alerts keeps a repair from passing."""
    rest = (users, found.whole, found.guards, found.witness)
    return bool(alerts.flaws) and not any(part.flaws for part in rest)


def intervene(trials: Trials, prediction: Sequence[str]) -> Intervention:
    """What healing the entities of a diagnosis shows, with a verdict on each that was left out."""
    score = interventional(trials, prediction)
    dropped = []
    kept = list(score.predicted[: trials.limits.most])
    for entity in tuple(kept) if score.sufficient else ():
        rest = [item for item in kept if item != entity]
        verdict = trials.cures(rest)
        dropped.append(Dropped(entity=entity, needed=not verdict.cured, verdict=_verdict(verdict)))
        kept = rest if verdict.cured else kept
    return Intervention(
        predicted=score.predicted,
        sufficient=score.sufficient,
        minimal=score.minimal,
        score=score.score,
        strict=score.strict,
        verdict=_verdict(score.verdict),
        dropped=tuple(dropped),
    )


def _verdict(found: Verdict) -> TrialVerdict:
    return TrialVerdict(
        entities=found.entities,
        cured=found.cured,
        reason=found.reason,
        at_ms=found.at_ms,
        well_ms=found.well_ms,
        active=found.active,
        outside=found.outside,
        alerts=found.alerts,
    )


__all__ = ["PATIENCE_MS", "VERIFY_MS", "assess", "intervene"]
