"""What was changed, made or removed close to the onset."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from firedrill.agents.sleuth.case import WORKLOADS, Case, Thing, listing, mapping, parts
from firedrill.agents.sleuth.families.common import clues, fits, kubectl, troubled_pods, undo
from firedrill.agents.sleuth.families.wiring import ROUTES, backends
from firedrill.agents.sleuth.graph import Graph, service_named
from firedrill.agents.sleuth.model import Clue, Ground, Hypothesis
from firedrill.agents.sleuth.symptoms import failing

_QUIET = frozenset(
    {
        "Event",
        "Pod",
        "ReplicaSet",
        "Endpoints",
        "EndpointSlice",
        "Lease",
        "Node",
        "Job",
        "ControllerRevision",
        "CustomResourceDefinition",
    }
)
_SELECTING = frozenset(
    {"NetworkPolicy", "AuthorizationPolicy", "PeerAuthentication", "PodDisruptionBudget", "Service"}
)
_ROOMS = frozenset({"ResourceQuota", "LimitRange"})
_ACTING = _ROOMS | {"NetworkPolicy", "AuthorizationPolicy", "PeerAuthentication", "PodDisruptionBudget"}
"""Kinds that do nothing but hold others back, so that a new one matters."""
_CLOSE = 0.5
_ROLLED_OUT = timedelta(minutes=3)
_WELL = 0.5
"""What is left of the suspicion of a release that ran well for a while, and whose pods still do."""
_ELSEWHERE = 0.25
"""What is left of the suspicion of a change of which nothing that it reaches is unwell."""
_UNWELL = 0.2
_KNOWN_READERS = frozenset({"ConfigMap", "Secret", "CronJob", *WORKLOADS} - {"DaemonSet"})
"""Kinds of which the recorded specs say whom a change reaches."""
AFTER = timedelta(minutes=6)
"""How long after the onset a change may be first recorded: objects are listed every few minutes."""
BEFORE = timedelta(minutes=15)
"""How long before the onset a change may be: most are felt at once, few wear a program down."""


def changes(case: Case) -> Iterator[Hypothesis]:
    """An object whose meaning changed while it was recorded."""
    broken = {top for top, _, _ in troubled_pods(case)}
    bounds = _Bounds(case)
    for thing in _candidates(case):
        grave = [change for change in thing.changes if change.grave]
        told = grave or [change for change in thing.changes if not change.path.startswith("metadata.")]
        if not told:
            continue
        timed = closeness(case, told[0].time)
        if thing.kind in WORKLOADS and thing.id not in broken and _settled(case, told[-1].time):
            timed *= _WELL
        if not bounds.felt(thing):
            timed *= _ELSEWHERE
        text = "; ".join(str(change) for change in told[:4])
        yield Hypothesis(
            thing.id,
            "changes",
            Ground.CHANGE,
            f"it was changed: {text}",
            strength=(0.9 if grave else 0.2) * timed,
            time=told[0].time,
            evidence=tuple(Clue(thing.file, c.time, f"{thing.id}: {c}") for c in told[:4]),
            fix=(undo(thing.id),),
            explains=governed(case, thing),
        )


def _settled(case: Case, when: datetime | None) -> bool:
    return when is not None and case.onset is not None and case.onset - when > _ROLLED_OUT


def configurations(case: Case) -> Iterator[Hypothesis]:
    """What a program reads was changed, and since then the program does not run."""
    broken = {top for top, _, _ in troubled_pods(case)}
    for thing in case.all("ConfigMap", "Secret"):
        grave = [change for change in thing.changes if change.grave]
        readers = [top for top in governed(case, thing) if top in broken]
        if not grave or not readers or closeness(case, grave[0].time) < _CLOSE:
            continue
        changed = {top for top in readers if top in case.objects and case.objects[top].fresh}
        yield Hypothesis(
            thing.id,
            "configurations",
            Ground.REFUSAL,
            f"it was changed, and {parts(readers[0])[2]}, which reads it, fails: {grave[0]}",
            strength=0.7 if changed == set(readers) else 1.0,
            time=grave[0].time,
            explains=tuple(readers),
            evidence=tuple(Clue(thing.file, c.time, f"{thing.id}: {c}") for c in grave[:4]),
            fix=(undo(thing.id), kubectl(readers[0], "rollout restart")),
        )


def governed(case: Case, thing: Thing) -> tuple[str, ...]:
    """What an object is about: who mounts or reads it, whom it selects or scales, where it leads to."""
    edges = case.topology.edges
    found = {case.top(edge.source) for edge in edges if edge.type == "mounts" and edge.target == thing.id}
    if thing.kind in _SELECTING:
        selector = mapping(thing.spec, "podSelector") or mapping(thing.spec, "selector")
        labels = selector if thing.kind == "Service" else mapping(selector, "matchLabels")
        if labels or (thing.kind != "Service" and not listing(selector, "matchExpressions")):
            found |= {
                item.id
                for item in case.workloads
                if item.namespace == thing.namespace and fits(labels, item.pod_labels)
            }
    elif thing.kind in ROUTES:
        known = [service_named(case, thing.namespace, name) for name, _ in backends(thing.spec)]
        found |= {service.id for service in known if service is not None}
    elif thing.kind in _ROOMS:
        found |= {item.id for item in case.workloads if item.namespace == thing.namespace}
    return tuple(sorted(found - {thing.id}))


class _Bounds:
    """Whom a change can hurt, as far as specs tell."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._graph = Graph(case)
        self._hurt = {entity for entity, weight in failing(case).items() if weight >= _UNWELL}
        self._shared = {thing.namespace for thing in case.all("DaemonSet")}

    def felt(self, thing: Thing) -> bool:
        """Whether anything that it reaches is unwell; true where nobody can tell whom it reaches."""
        if not self._hurt or thing.kind not in _KNOWN_READERS or thing.namespace in self._shared:
            return True
        starts = (thing.id, *governed(self._case, thing))
        if len(starts) == 1 and thing.kind not in WORKLOADS:
            # a program may ask the API for it
            return any(entity.startswith(f"{thing.namespace}/") for entity in self._hurt)
        return any(entity in self._hurt for start in starts for entity in self._graph.reach(start))


def comings_and_goings(case: Case) -> Iterator[Hypothesis]:
    """An object that appeared or vanished while its peers stayed."""
    bounds = _Bounds(case)
    for thing in _candidates(case):
        when = thing.first if thing.appeared else thing.time
        if not (thing.appeared or thing.gone) or case.owner.get(thing.id):
            continue
        timed = closeness(case, when) * (1.0 if bounds.felt(thing) else _ELSEWHERE)
        text = "it vanished" if thing.gone else "it is new"
        yield Hypothesis(
            thing.id,
            "changes",
            Ground.CHANGE,
            text,
            strength=(0.9 if thing.gone or thing.kind in _ACTING else 0.6) * timed,
            time=when,
            explains=governed(case, thing),
            evidence=clues(thing.clue("last" if thing.gone else "first recorded then")),
            fix=(kubectl(thing.id, "get" if thing.gone else "delete"),),
        )


def _candidates(case: Case) -> list[Thing]:
    return [thing for _, thing in sorted(case.objects.items()) if thing.kind not in _QUIET]


def closeness(case: Case, when: datetime | None) -> float:
    """1 for a change just before the onset, less the further away, 0.1 at least."""
    if when is None or case.onset is None:
        return 0.5
    early = case.onset - when
    if early < -AFTER:
        return 0.2
    return max(0.1, 1.0 - max(0.0, early / BEFORE))
