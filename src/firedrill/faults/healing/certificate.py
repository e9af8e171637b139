"""Whether an incident is fit to be a problem.

It was well, it broke, it lasts, its causes cure it and nothing else does, and they can be seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any, Protocol

from firedrill.faults import fitting
from firedrill.faults.base import NO_OBJECTS, Injection
from firedrill.faults.healing.places import lifted, of_object, place_of
from firedrill.faults.healing.plans import bearers, changed_objects
from firedrill.faults.healing.scoring import minimal_causes
from firedrill.faults.healing.seeing import Seen, Sides, visible
from firedrill.faults.healing.trials import Fired, Limits, Trials, Verdict
from firedrill.world.app import service

if TYPE_CHECKING:
    from firedrill.world import World

MODALITIES = ("alerts", "events", "objects", "logs", "traces", "metrics", "topology")
_SHAKY = 1.0
"""SLO-minutes that may be lost in a baseline."""


class Moments(Protocol):
    """In ms since the Unix epoch; `alert` is None where none fired in time."""

    @property
    def baseline(self) -> int:
        """Begin of the baseline."""
        ...

    @property
    def fault(self) -> int:
        """The first injection."""
        ...

    @property
    def alert(self) -> int | None:
        """The first alert."""
        ...


class Happened(Protocol):
    """An incident that was simulated."""

    @property
    def world(self) -> World:
        """At the end of the incident."""
        ...

    @property
    def before(self) -> World:
        """Right before the first injection."""
        ...

    @property
    def noticed(self) -> World:
        """When somebody begins to look at it."""
        ...

    @property
    def twin(self) -> World:
        """At the end of the incident, had nothing been broken."""
        ...

    @property
    def injections(self) -> Sequence[Injection]:
        """What was done."""
        ...

    @property
    def times(self) -> Moments:
        """When."""
        ...

    @property
    def alerts(self) -> Sequence[Fired]:
        """What the faults brought about."""
        ...

    @property
    def baseline(self) -> service.Baseline:
        """What users usually get."""
        ...


@dataclass(frozen=True, slots=True)
class Tried:
    """One trial, as it is kept: see `Verdict`. Minutes of virtual time after the healing."""

    entities: tuple[str, ...]
    cured: bool
    reason: str
    minutes: float
    well: float | None
    active: tuple[str, ...]
    outside: tuple[str, ...]
    alerts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Certificate:
    """What was found out about an incident.

    Attributes:
        granted: it is fit to be a problem.
        refused: why it is not; empty where it is.
        lasting: what was still the matter at the end of the incident: operations of users, and alerts.
        causes: all minimal cures, the smallest first.
        tried: every trial.
        others: entities that were tried alone besides the causes; those that heal nothing count.
        seen: at each cause one record that gives it away.
        limits: of the trials, in minutes.
    """

    granted: bool
    refused: str
    lasting: tuple[str, ...] = ()
    causes: tuple[tuple[str, ...], ...] = ()
    tried: tuple[Tried, ...] = ()
    others: tuple[str, ...] = ()
    seen: tuple[Seen, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def certificate(
    happened: Happened,
    *,
    listed: Iterable[Sequence[str]] | None = None,
    modalities: Sequence[str] = MODALITIES,
    limits: Limits | None = None,
) -> Certificate:
    """Find out whether an incident is fit to be a problem.

    1. It was healthy in the baseline; an alert fired; what is the matter lasts until the end.
    2. Each minimal cure cures, and no part of one does.
    3. Nothing else cures alone: no workload of the application, nothing else that was changed meanwhile.
    4. At each member of some minimal cure, something differs from the healthy twin beyond noise.

    Args:
        happened: the incident.
        listed: the minimal cures that somebody claims; by default all that are found.
        modalities: what an agent may see.
        limits: of the trials.
    """
    return _Examination(happened, listed, modalities, limits or Limits()).result()


def trials_of(happened: Happened, limits: Limits | None = None) -> Trials:
    """Trials on an incident, on the world as it was when somebody began to look at it."""
    begun = happened.noticed.now
    first = [alert for alert in happened.alerts if getattr(alert, "fired", 0) <= begun]
    return Trials(
        happened.noticed,
        before=happened.before,
        injections=happened.injections,
        baseline=happened.baseline,
        alerts=first or happened.alerts,
        limits=limits,
    )


def candidates(happened: Happened) -> tuple[str, ...]:
    """The entities that the injections touched: their causes first, then what else they changed or hold."""
    found = [cause for injection in happened.injections for cause in injection.causes]
    for injection in happened.injections:
        for step in injection.undo:
            if step.resource in NO_OBJECTS:
                found += bearers(injection, step)
    touched = {(c.resource, c.namespace, c.name) for item in happened.injections for c in item.changes}
    for place, _, now in changed_objects(happened.noticed, happened.before):
        if place[:3] in touched:
            found.append(str(place))
            store = happened.noticed.cluster.store
            owned = store.owned_by(now["metadata"]["uid"]) if now is not None else ()
            parts = [store.get(*ref) for ref in owned if ref[0] not in {"pods", "replicasets.apps"}]
            found += [str(of_object(happened.noticed, obj)) for obj in parts if obj is not None]
    return tuple(dict.fromkeys(found))


class _Refused(Exception):
    """It is not fit, for this reason."""


class _Examination:
    """One examination: what was found is kept, whatever it ends with."""

    def __init__(
        self,
        happened: Happened,
        listed: Iterable[Sequence[str]] | None,
        modalities: Sequence[str],
        limits: Limits,
    ) -> None:
        self._it = happened
        self._listed = None if listed is None else tuple(tuple(item) for item in listed)
        self._modalities = modalities
        self._limits = limits
        self._lasting: tuple[str, ...] = ()
        self._causes: tuple[tuple[str, ...], ...] = ()
        self._others: tuple[str, ...] = ()
        self._seen: tuple[Seen, ...] = ()
        self._trials = trials_of(happened, limits)

    def result(self) -> Certificate:
        refused = ""
        try:
            self._lasts()
            self._cured_by_causes()
            self._by_nothing_else()
            self._visible()
        except _Refused as reason:
            refused = str(reason)
        limits = self._limits
        minutes = {name: getattr(limits, name) / 60_000 for name in ("well", "relapse", "ending")}
        return Certificate(
            not refused,
            refused,
            self._lasting,
            self._causes,
            tuple(_tried(verdict) for verdict in self._trials.verdicts()),
            self._others,
            self._seen,
            minutes,
        )

    def _lasts(self) -> None:
        it = self._it
        if it.times.alert is None:
            raise _Refused("no alert fired in time")
        lost = service.slo_minutes_lost(it.before, it.baseline, it.times.baseline, it.times.fault)
        if lost > _SHAKY or not service.healthy(it.before, it.baseline, it.times.fault):
            raise _Refused("users were not served well before anything broke")
        ends = self._trials
        if not ends.wanted:
            raise _Refused("every alert fired before anything broke")
        outside = service.outside(it.world, it.baseline, it.world.now)
        self._lasting = (*outside, *ends.firing(it.world, of=it.alerts))
        if not self._lasting:
            raise _Refused("it passes by itself before the incident ends")
        if not ends.still_active(it.noticed):
            raise _Refused("no mechanism is active any more when somebody looks at it")

    def _cures(self, entities: Sequence[str]) -> Verdict:
        return self._trials.cures(entities)

    def _cured_by_causes(self) -> None:
        if self._cures(()).cured:
            raise _Refused("it passes when nothing is done")
        touched = candidates(self._it)
        self._causes = minimal_causes(self._trials, touched)
        if not self._causes:
            verdict = self._cures(touched)
            raise _Refused(f"nothing that the faults touched cures it: {verdict.reason}")
        for group in self._listed or ():
            self._minimal(group)

    def _minimal(self, group: Sequence[str]) -> None:
        if not self._cures(group).cured:
            raise _Refused(f"{' and '.join(group)} does not cure it: {self._cures(group).reason}")
        for size in range(1, len(group)):
            for part in combinations(group, size):
                if self._cures(part).cured:
                    raise _Refused(f"{' and '.join(part)} cures it without the rest of a listed cure")

    def _by_nothing_else(self) -> None:
        known = {place_of(self._trials.world, self._trials.before, text) for text in candidates(self._it)}
        world = self._it.noticed
        places = [of_object(world, obj) for obj in fitting.workloads(world, copies=False)]
        places += [place for place, _, _ in changed_objects(world, self._it.before)]
        places = [lifted(world, self._it.before, place) for place in places]
        others = [str(place) for place in dict.fromkeys(places) if place not in known]
        self._others = tuple(others)
        for other in others:
            if self._trials.plan([other]) and self._cures([other]).cured:
                raise _Refused(f"{other}, which no fault touched, cures it too")

    def _visible(self) -> None:
        it = self._it
        sides = Sides(it.world, it.twin, it.before, it.times.baseline, it.times.fault)
        found: dict[str, list[Seen]] = {}
        for group in self._causes:
            for entity in group:
                if entity not in found:
                    found[entity] = visible(sides, entity, self._modalities)
        self._seen = tuple(item for seen in found.values() for item in seen)
        if not any(all(found[entity] for entity in group) for group in self._causes):
            hidden = next(entity for entity, seen in found.items() if not seen)
            raise _Refused(f"nothing is to be seen at {hidden}")


def _tried(verdict: Verdict) -> Tried:
    return Tried(
        verdict.entities,
        verdict.cured,
        verdict.reason,
        verdict.at_ms / 60_000,
        verdict.well_ms / 60_000 if verdict.well_ms >= 0 else None,
        verdict.active,
        verdict.outside,
        verdict.alerts,
    )
