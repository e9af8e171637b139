"""Making the facts of an episode: verification, branches, parts, ledger, interventions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from firedrill.core.living import (
    AlertSpan,
    Branches,
    Dropped,
    Facts,
    Intervention,
    LivingTimes,
    PartFacts,
    RequestLine,
    TrialVerdict,
)
from firedrill.faults.healing import Trials, Verdict, interventional
from firedrill.runner.living.assessing.changing import diffs, touched, written
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
)
from firedrill.runner.living.assessing.spans import alert_spans
from firedrill.runner.living.assessing.yardstick import Yardstick

if TYPE_CHECKING:
    from firedrill.world.world import World

VERIFY_MS = 10 * MINUTE_MS
PATIENCE_MS = 10 * MINUTE_MS
"""For so much longer a repair is looked at that nothing but an alert keeps from passing."""
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
) -> Facts:
    """What became of an episode whose agent ends now.

    The world is run on for ten minutes of verification, to the next full minute, and for up to ten more while
    all is well but for alerts: some look back over a window that has to pass first. The yardstick's branches
    are run as far, where they are not yet.

    Args:
        yard: what the incident's episodes have in common.
        world: as the agent leaves it; it is run on.
        requests: the agent's, in order.
        prediction: the entities that it calls causes, in its order and spelling.
        started_ms: when it began; by default when the incident was noticed.
        diagnosed_ms: when it handed in its diagnosis, where that was not at its end.
        limit_ms: the virtual time that it had; 0 for no cap.
        escalation_expected: the scenario says that handing over to a person is the best act.
    """
    incident, times = yard.incident, yard.incident.times
    ended = world.fork()
    started = times.noticed if started_ms is None else started_ms
    acting = yard.trials.still_active(world)
    wrote, whole_log = touched(world, requests)
    changed = diffs(wrote, incident.noticed, ended)
    until = -(-(ended.now + VERIFY_MS) // MINUTE_MS) * MINUTE_MS
    world.run_until_ms(until)
    found, users, spans = _shown(yard, world, ended, started)
    if _only_alerts(found, users, alerts_part(spans, until)):
        last = until + PATIENCE_MS
        while until < last and alerts_part(spans, until).flaws:
            until += MINUTE_MS
            world.run_until_ms(until)
            spans = alert_spans(world, times.fault, started, yard.usual)
        found, users, spans = _shown(yard, world, ended, started)
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


def _shown(
    yard: Yardstick, world: World, ended: World, started_ms: int
) -> tuple[States, PartFacts, tuple[AlertSpan, ...]]:
    """What a world that was verified until now shows: states of objects, users, and alerts."""
    incident, nobody = yard.incident, yard.nobody.at(world.now)
    sides = Sides(incident.before, yard.broken)
    found = against(states(sides, world, ended), states(sides, nobody, nobody), yard.broken)
    users = service_part(world, yard.baseline, world.now)
    return found, users, alert_spans(world, incident.times.fault, started_ms, yard.usual)


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
