"""An incident that happened: the world at its end, what it was like before, and what fired when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from firedrill.suites.living.observing import Minute, Observer

if TYPE_CHECKING:
    from firedrill.faults import Injection
    from firedrill.suites.living.case import Case
    from firedrill.suites.living.worlds import Twin
    from firedrill.world.app import Package
    from firedrill.world.app.service import Baseline
    from firedrill.world.telemetry.rules import Alert
    from firedrill.world.world import World

STANDING = frozenset({"Watchdog", "InfoInhibitor"})
"""Alerts that tell of nothing."""
_PASSING = frozenset({"pod", "instance", "uid", "container_id", "id"})
_QUIET = frozenset({"none", "info"})


@dataclass(frozen=True, slots=True)
class Times:
    """Moments in ms since the Unix epoch.

    Attributes:
        start: of the world.
        baseline: begin of the window in which all was well; it ends with `fault`.
        fault: of the first injection.
        alert: when the first alert fired that the faults brought about; None where none did in time.
        noticed: when somebody looks at it: `alert`, rounded up to 15 s.
        end: of the incident.
    """

    start: int
    baseline: int
    fault: int
    alert: int | None
    noticed: int
    end: int


@dataclass(frozen=True, slots=True)
class Firing:
    """An alert that the faults brought about.

    Attributes:
        name, labels: of the alert.
        fired, ended: when, in ms; `ended` is None where it lasts to the end of the incident.
        description: as its annotation says, or empty.
    """

    name: str
    labels: Mapping[str, str]
    fired: int
    ended: int | None
    description: str = ""


def meaning(alert: Alert) -> tuple[tuple[str, str], ...]:
    """The labels of an alert without those that change with every new pod."""
    return tuple(pair for pair in alert.labels if pair[0] not in _PASSING)


def tells(alert: Alert) -> bool:
    """Whether somebody is called for this alert while it fires."""
    labels = dict(alert.labels)
    return (
        alert.state == "firing"
        and labels.get("alertname") not in STANDING
        and labels.get("severity") not in _QUIET
    )


class Incident:
    """What a simulation gives.

    Attributes:
        case: what was simulated.
        package: its application.
        world: at the end of the incident.
        before: a fork from right before the first injection.
        noticed: a fork from the moment at which an agent would begin, `times.noticed`.
        injections: what was done, in order.
        times: see `Times`.
        seen: what was written down from the begin of the baseline on.
    """

    def __init__(
        self,
        case: Case,
        package: Package,
        world: World,
        before: World,
        noticed: World,
        injections: Sequence[Injection],
        times: Times,
        seen: Observer,
        healthy: Twin,
    ) -> None:
        self.case = case
        self.package = package
        self.world = world
        self.before = before
        self.noticed = noticed
        self.injections = tuple(injections)
        self.times = times
        self.seen = seen
        self._healthy = healthy

    @property
    def minutes(self) -> tuple[Minute, ...]:
        """What Prometheus showed at each full minute from the begin of the baseline on."""
        return tuple(item for item in self.seen.minutes if item.at >= self.times.baseline)

    @property
    def usual(self) -> Observer:
        """What was written down in the healthy world, at least until the end of the incident."""
        return self.usual_until(self.times.end)

    def usual_until(self, moment: int) -> Observer:
        """The same, at least until that moment."""
        return self._healthy.seen_until(moment)

    @cached_property
    def twin(self) -> World:
        """The same world at the same moment as `world`, in which nothing was broken."""
        return self._healthy.at(self.times.end)

    def fires_anyway(self, alert: Alert, moment: int) -> bool:
        """Whether somebody is called for the same thing between the first fault and that moment where nothing
        is broken."""
        return self._healthy.fires(alert, moment, self.times.fault)

    @cached_property
    def baseline(self) -> Baseline:
        """What users usually get."""
        from firedrill.world.app import service

        return service.baseline(self.before, self.times.baseline, self.times.fault)

    @cached_property
    def alerts(self) -> tuple[Firing, ...]:
        """The alerts that the faults brought about, in order of their moments, by the minute."""
        found: dict[tuple[tuple[str, str], ...], Firing] = {}
        for minute in self.minutes:
            if minute.at <= self.times.fault:
                continue
            firing = {alert.labels: alert for alert in minute.alerts if tells(alert)}
            for labels in [key for key, item in found.items() if item.ended is None and key not in firing]:
                old = found[labels]
                found[labels] = Firing(old.name, old.labels, old.fired, minute.at, old.description)
            for labels, alert in firing.items():
                if labels not in found and not self._healthy.fires(alert, minute.at, self.times.fault):
                    found[labels] = _firing(alert)
        return tuple(
            sorted(found.values(), key=lambda item: (item.fired, item.name, sorted(item.labels.items())))
        )


def _firing(alert: Alert) -> Firing:
    labels = dict(alert.labels)
    notes = dict(alert.annotations)
    text = notes.get("description") or notes.get("summary") or ""
    return Firing(labels.get("alertname", ""), labels, alert.fired_ms, None, text)


__all__ = ["Firing", "Incident", "Minute", "Times", "meaning", "tells"]
