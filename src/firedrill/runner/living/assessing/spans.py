"""When alerts fired and ended, read off the series that rules leave behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from firedrill.core.living import AlertSpan
from firedrill.suites.living.incident import meaning, tells
from firedrill.world.telemetry.labels import NAME
from firedrill.world.telemetry.matching import Matcher
from firedrill.world.telemetry.monitoring import Monitoring
from firedrill.world.telemetry.rules import Alert

if TYPE_CHECKING:
    from firedrill.world.telemetry.labels import Labels
    from firedrill.world.world import World

_FIRING = (Matcher(NAME, "=", "ALERTS"), Matcher("alertstate", "=", "firing"))
_OWN = frozenset({NAME, "alertstate"})
Meaning = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Spell:
    """One alert from the moment it fired to its end (None where it fires still), in ms."""

    labels: Labels
    fired: int
    ended: int | None

    @property
    def alert(self) -> Alert:
        """It, as rules tell of it while it fires."""
        return Alert(self.labels, (), 1.0, "firing", self.fired, self.fired)

    @property
    def meaning(self) -> Meaning:
        """Its labels without those that change with every new pod."""
        return meaning(self.alert)


def spells(world: World, since_ms: int) -> tuple[Spell, ...]:
    """The alerts that somebody is called for and that fired from then on, in order of their moments."""
    watched = world.cluster.part(Monitoring)
    between = {
        rule.alert: watched.rules.interval_of(group)
        for group in watched.rules.groups
        for rule in group.rules
        if rule.alert
    }
    firing = {alert.labels for alert in watched.rules.all_alerts("firing")}
    longest = max(between.values(), default=0)
    found: list[Spell] = []
    for shown, times, _ in watched.store.select(_FIRING, since_ms - 2 * longest, world.now):
        labels = tuple(pair for pair in shown if pair[0] not in _OWN)
        step = between.get(dict(labels).get("alertname", ""), longest)
        runs = list(_runs(times.tolist(), step))
        for number, (first, last) in enumerate(runs):
            still = number == len(runs) - 1 and labels in firing
            spell = Spell(labels, first, None if still else last + step)
            if first >= since_ms and tells(spell.alert):
                found.append(spell)
    return tuple(sorted(found, key=lambda item: (item.fired, item.labels)))


def _runs(times: list[int], step: int) -> Iterator[tuple[int, int]]:
    """First and last time of each run of samples without a gap."""
    first = 0
    for number in range(1, len(times) + 1):
        if number == len(times) or times[number] - times[number - 1] > step:
            yield times[first], times[number - 1]
            first = number


def alert_spans(
    world: World, since_ms: int, started_ms: int, usual: Callable[[Alert, int], bool]
) -> tuple[AlertSpan, ...]:
    """The alerts that faults or an agent brought about, one span for each time that they fired.

    Args:
        world: at the end of the verification.
        since_ms: the first fault.
        started_ms: when the agent began; what fired by then called it.
        usual: whether an alert fires by some moment in a world in which nothing is broken, too.
    """
    found = spells(world, since_ms)
    called = {item.meaning for item in found if item.fired <= started_ms}
    return tuple(
        _span(item, triggering=item.meaning in called) for item in found if not usual(item.alert, item.fired)
    )


def _span(item: Spell, *, triggering: bool) -> AlertSpan:
    labels: Mapping[str, str] = dict(item.labels)
    rest = {key: text for key, text in labels.items() if key != "alertname"}
    return AlertSpan(
        name=labels.get("alertname", ""),
        labels=rest,
        fired=item.fired,
        ended=item.ended,
        triggering=triggering,
    )


__all__ = ["Meaning", "Spell", "alert_spans", "spells"]
