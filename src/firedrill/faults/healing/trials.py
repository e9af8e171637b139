"""Who is a cause: entities are healed on a fork, and the world tells whether that was it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from firedrill.faults.acting import active
from firedrill.faults.base import Injection
from firedrill.faults.healing.acts import Healed, carry_out
from firedrill.faults.healing.plans import Plan, plan
from firedrill.world.app import service
from firedrill.world.telemetry.monitoring import Monitoring
from firedrill.world.telemetry.producers import keep_only

if TYPE_CHECKING:
    from firedrill.world import World

MINUTE_MS = 60_000
Reason = Literal["cured", "mechanism active", "not well in time", "relapse"]
_PASSING = frozenset({"pod", "instance", "uid", "container_id", "id"})
"""Labels that change with every new pod."""


class Fired(Protocol):
    """An alert that fired: its name, and its labels (which may hold the name too)."""

    @property
    def name(self) -> str:
        """Of its rule."""
        ...

    @property
    def labels(self) -> Mapping[str, str]:
        """Of the alert."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in ms of virtual time.

    Attributes:
        well: within this all has to be well again.
        relapse: for so long it has to stay so.
        ending: within this what was healed has to end the injected mechanisms.
        most: entities of a prediction that are tested; further ones count as not needed.
    """

    well: int = 30 * MINUTE_MS
    relapse: int = 20 * MINUTE_MS
    ending: int = 3 * MINUTE_MS
    most: int = 8


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether healing some entities ends an incident.

    Attributes:
        cured: it does.
        reason: why, or why not.
        entities: that were healed, as they were given.
        at_ms: when that was clear, in ms since the entities were healed.
        well_ms: since when all was well, likewise; -1 for never.
        active: the injected mechanisms that were still active, by their ids.
        outside: the operations of users outside their bands at that moment.
        alerts: the triggering alerts that were active then, by name.
        healed: what was done.
    """

    cured: bool
    reason: Reason
    entities: tuple[str, ...]
    at_ms: int
    well_ms: int = -1
    active: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()
    healed: Healed = field(default_factory=Healed)


class Trials:
    """Trials on one incident: what heals the same is tried once.

    Args:
        world: as it was when somebody began to look at it; it is only forked.
        before: a fork from right before the first injection.
        injections: what was done.
        baseline: what users usually get.
        alerts: that triggered the incident; what fired before the injection already does not count.
        limits: of time.

    Attributes:
        wanted: name and lasting labels of the alerts that count.
    """

    def __init__(
        self,
        world: World,
        *,
        before: World,
        injections: Sequence[Injection],
        baseline: service.Baseline,
        alerts: Iterable[Fired],
        limits: Limits | None = None,
    ) -> None:
        self.world, self.before, self.baseline = world, before, baseline
        self.injections = tuple(injections)
        self.limits = limits or Limits()
        self._standing = _firing(before)
        self.wanted = _lasting(alerts) - self._standing
        self._names = frozenset(name for name, _ in self.wanted)
        self._known: dict[Any, Verdict] = {}
        self._ends: dict[Any, frozenset[int]] = {}

    def plan(self, entities: Sequence[str], *, lift: bool = True) -> Plan:
        """What healing these would do."""
        return plan(self.world, entities, before=self.before, injections=self.injections, lift=lift)

    def cures(self, entities: Sequence[str], *, lift: bool = True) -> Verdict:
        """Whether healing these, all at once, ends the incident; see `cures`."""
        todo = self.plan(entities, lift=lift)
        found = self._known.get(todo.key)
        if found is None:
            found = self._known[todo.key] = self._try(todo, tuple(entities))
        return _of(found, tuple(entities))

    def verdicts(self) -> tuple[Verdict, ...]:
        """All verdicts so far, in the order of the trials; those that healed the same are one."""
        return tuple(self._known.values())

    def still_active(self, world: World) -> tuple[str, ...]:
        """The injected mechanisms that act in a world, by their ids."""
        return tuple(item.fault for item in self.injections if active(world, item))

    def ends(self, entities: Sequence[str]) -> frozenset[int]:
        """The numbers of the injections that are over once these are healed."""
        todo = self.plan(entities)
        found = self._ends.get(todo.key)
        if found is None:
            found = self._ends[todo.key] = self._ended(todo)
        return found

    def _ended(self, todo: Plan) -> frozenset[int]:
        fork = self._fork()
        carry_out(fork, todo)
        end = fork.now + self.limits.ending
        while True:
            over = frozenset(n for n, item in enumerate(self.injections) if not active(fork, item))
            if len(over) == len(self.injections) or fork.now >= end:
                return over
            fork.run_until_ms(min(_next_minute(fork.now), end))

    def firing(
        self, world: World, *, pending: bool = False, of: Iterable[Fired] | None = None
    ) -> tuple[str, ...]:
        """The triggering alerts that fire in a world, by name.

        Args:
            world: where.
            pending: those that are pending too.
            of: which alerts, instead of the triggering ones.
        """
        wanted = self.wanted if of is None else _lasting(of) - self._standing
        found = []
        for alert in world.cluster.part(Monitoring).rules.all_alerts(None if pending else "firing"):
            labels = dict(alert.labels)
            if _meaning(labels.get("alertname", ""), labels) in wanted:
                found.append(labels.get("alertname", ""))
        return tuple(dict.fromkeys(found))

    def _fork(self) -> World:
        """A fork that measures and evaluates no more than the triggering alerts need."""
        fork = self.world.fork()
        keep_only(fork, self._names)
        return fork

    def _try(self, todo: Plan, entities: tuple[str, ...]) -> Verdict:
        fork, start = self._fork(), self.world.now
        healed = carry_out(fork, todo)
        # Minutes before the healing are no sign of health after it.
        earliest = _next_minute(fork.now) + service.WINDOW * MINUTE_MS
        well = -1
        while True:
            fork.run_until_ms(_next_minute(fork.now))
            passed = fork.now - start
            acting = self.still_active(fork)
            outside = service.outside(fork, self.baseline, fork.now) if fork.now >= earliest else ("",)
            alerts = self.firing(fork, pending=well < 0)
            fine = not outside and not alerts
            reason: Reason | None = None
            if acting and passed >= self.limits.ending:
                reason = "mechanism active"
            elif well >= 0 and not fine:
                reason = "relapse"
            elif well < 0 and fine and not acting:
                well = passed
            elif well < 0 and passed >= self.limits.well:
                reason = "not well in time"
            elif well >= 0 and passed >= well + self.limits.relapse:
                reason = "cured"
            if reason is not None:
                bad = tuple(name for name in outside if name)
                cured = reason == "cured"
                return Verdict(cured, reason, entities, passed, well, acting, bad, alerts, healed)


Meanings = frozenset[tuple[str, tuple[tuple[str, str], ...]]]


def _lasting(alerts: Iterable[Fired]) -> Meanings:
    return frozenset(_meaning(item.name, item.labels) for item in alerts)


def _firing(world: World) -> Meanings:
    firing = [dict(alert.labels) for alert in world.cluster.part(Monitoring).rules.all_alerts("firing")]
    return frozenset(_meaning(labels.get("alertname", ""), labels) for labels in firing)


def _of(found: Verdict, entities: tuple[str, ...]) -> Verdict:
    return found if found.entities == entities else replace(found, entities=entities)


def _next_minute(moment: int) -> int:
    return (moment // MINUTE_MS + 1) * MINUTE_MS


def _meaning(name: str, labels: Mapping[str, str]) -> tuple[str, tuple[tuple[str, str], ...]]:
    kept = {key: text for key, text in labels.items() if key not in _PASSING and key != "alertname"}
    return name, tuple(sorted(kept.items()))


def cures(
    world: World,
    entities: Sequence[str],
    *,
    before: World,
    injections: Sequence[Injection],
    baseline: service.Baseline,
    alerts: Iterable[Fired],
    lift: bool = True,
    limits: Limits | None = None,
) -> Verdict:
    """Whether healing entities, all at once, ends an incident.

    They are healed on a fork with all its controllers. Within 30 minutes users have to get what they usually
    do and the triggering alerts have to be inactive (back-offs of quotas, images and crashes need their
    time), it has to stay so for 20 minutes more, and no injected mechanism may be active any more: what only
    buys time is no cure. The fork ends with the verdict.

    Args:
        world: as it was when somebody began to look at it; it is only forked.
        entities: as `namespace/Kind/name`; none of them asks whether it passes by itself.
        before: a fork from right before the first injection.
        injections: what was done since.
        baseline: what users usually get.
        alerts: that triggered the incident.
        lift: a pod or ReplicaSet stands for the workload that owns it.
        limits: of time.
    """
    trials = Trials(
        world, before=before, injections=injections, baseline=baseline, alerts=alerts, limits=limits
    )
    return trials.cures(entities, lift=lift)
