"""What the telemetry families share: the signals of each component, and who calls whom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from firedrill.agents.sleuth.case import Case, parts
from firedrill.agents.sleuth.families.common import kubectl
from firedrill.agents.sleuth.graph import Graph
from firedrill.agents.sleuth.model import Clue, Ground, Hypothesis, Signal
from firedrill.agents.sleuth.signals.naming import stem

EFFECTS = frozenset({"latency", "errors", "traffic"})
"""What callers see of a component, whoever is to blame."""
MOST_EXPLAINED = 20


@dataclass
class Profile:
    """One component with its signals, the strongest of each kind and direction."""

    entity: str
    signals: dict[tuple[str, str], Signal] = field(default_factory=dict)

    def get(self, *kinds: str, direction: str = "") -> Signal | None:
        """The strongest signal of these kinds (in that direction), if any."""
        found = [
            signal for (kind, way), signal in self.signals.items() if kind in kinds and direction in ("", way)
        ]
        return max(found, key=lambda signal: (signal.strength, signal.kind), default=None)

    def power(self, *kinds: str, direction: str = "") -> float:
        """The strength of :meth:`get`, 0 when there is none."""
        signal = self.get(*kinds, direction=direction)
        return signal.strength if signal else 0.0


@dataclass
class Scene:
    """All profiles, and calls between components as the topology knows them."""

    profiles: Mapping[str, Profile]
    callees: Mapping[str, frozenset[str]]
    callers: Mapping[str, frozenset[str]]
    services: Mapping[str, tuple[str, ...]]
    """Component -> the Services of its own."""

    def workloads(self) -> Iterable[Profile]:
        """Profiles of what runs in pods, by id."""
        for entity in sorted(self.profiles):
            if parts(entity)[0] != "cluster":
                yield self.profiles[entity]

    def explains(self, entity: str) -> tuple[str, ...]:
        """The component's Services and the callers that suffer, direct ones and those of callers."""
        found = dict.fromkeys(self.services.get(entity, ()))
        for caller in self.above(entity):
            profile = self.profiles.get(caller)
            if profile and profile.power(*EFFECTS) > 0.2:
                found[caller] = None
                found.update(dict.fromkeys(self.services.get(caller, ())))
        found.pop(entity, None)
        return tuple(found)[:MOST_EXPLAINED]

    def covers(self, entity: str) -> float:
        """Share of all that callers feel anywhere that this component and its callers account for."""
        hurt = {profile.entity: profile.power(*EFFECTS) for profile in self.workloads()}
        total = sum(hurt.values())
        reached = {entity, *self.above(entity)}
        return sum(power for other, power in hurt.items() if other in reached) / total if total else 1.0

    def above(self, entity: str) -> list[str]:
        """Who calls the component, directly or not, nearest first."""
        found, seen = [entity], {entity}
        for here in found:
            for caller in sorted(self.callers.get(here, frozenset()) - seen):
                seen.add(caller)
                found.append(caller)
        return found[1:]

    def below(self, entity: str) -> list[str]:
        """What the component calls and has a profile, directly or not, nearest first."""
        found, seen = [entity], {entity}
        for here in found:
            for callee in sorted(self.callees.get(here, frozenset()) - seen):
                seen.add(callee)
                found.append(callee)
        return [callee for callee in found[1:] if callee in self.profiles]

    def blamed_below(self, entity: str, *kinds: str) -> float:
        """The strongest signal of these kinds among what the component calls, however far down."""
        worst, edge, seen = 0.0, [entity], {entity}
        while edge:
            for callee in sorted(self.callees.get(edge.pop(0), ())):
                if callee not in seen:
                    seen.add(callee)
                    edge.append(callee)
                    if callee in self.profiles:
                        worst = max(worst, self.profiles[callee].power(*kinds))
        return worst


def scene_of(case: Case) -> Scene:
    """The scene of a case; a Service counts as the workload or pod behind it, when that is but one."""
    names: dict[str, set[str]] = defaultdict(set)
    for top, services in case.service_of.items():
        for service in services:
            names[service].add(top)
    entities = {case.top(signal.entity) for signal in case.signals}
    for entity in sorted(entities):
        namespace, kind, name = parts(entity)
        if kind in ("Pod", "Deployment", "StatefulSet", "DaemonSet"):
            # without objects nothing but the name ties a pod to its Service
            names.setdefault(f"{namespace}/Service/{stem(name) if kind == 'Pod' else name}", {entity})
    only = {service: next(iter(tops)) for service, tops in names.items() if len(tops) == 1}

    def component(entity: str) -> str:
        top = case.top(entity)
        return only.get(top, top)

    profiles: dict[str, Profile] = {}
    for signal in case.signals:
        entity = component(signal.entity)
        profile = profiles.setdefault(entity, Profile(entity))
        key = (signal.kind, signal.direction)
        if key not in profile.signals or profile.signals[key].strength < signal.strength:
            profile.signals[key] = signal
    callees: dict[str, set[str]] = defaultdict(set)
    callers: dict[str, set[str]] = defaultdict(set)
    for cause, victims in Graph(case).edges.items():
        for victim, how in victims.items():
            source, target = component(victim), component(cause)
            if how == "calls it" and source != target:
                callees[source].add(target)
                callers[target].add(source)
    own: dict[str, list[str]] = defaultdict(list)
    for service in sorted(only):
        own[only[service]].append(service)
    return Scene(
        profiles,
        {key: frozenset(value) for key, value in callees.items()},
        {key: frozenset(value) for key, value in callers.items()},
        {key: tuple(value) for key, value in own.items()},
    )


def together(*powers: float) -> float:
    """Strength of several findings about one thing: the strongest, and a little for each other."""
    ordered = sorted((power for power in powers if power > 0), reverse=True)
    if not ordered:
        return 0.0
    rest = 1.0
    for power in ordered[1:]:
        rest *= 1.0 - 0.35 * power
    return 1.0 - (1.0 - 0.9 * ordered[0]) * rest


def clue(signal: Signal) -> Clue:
    """A signal as evidence."""
    return Clue(signal.source, signal.time, f"{signal.entity}: {signal.text}")


def suspicion(
    scene: Scene, entity: str, family: str, summary: str, strength: float, *found: Signal | None
) -> Hypothesis:
    """A hypothesis that rests on signals."""
    present = [signal for signal in found if signal is not None]
    times = [signal.time for signal in present if signal.time is not None]
    if parts(entity)[1] != "Node":
        strength *= 0.65 + 0.35 * scene.covers(entity)
    return Hypothesis(
        entity, family, Ground.ANOMALY, summary, strength=min(strength, 0.97), time=min(times, default=None),
        explains=scene.explains(entity), evidence=tuple(clue(signal) for signal in present[:5]),
        fix=(kubectl(entity, "describe"),),
    )  # fmt: skip
