"""Objects whose purpose is to disturb others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from firedrill.agents.sleuth.case import Body, Case, Thing, listing, mapping, parts
from firedrill.agents.sleuth.families.common import clues, fits, kubectl
from firedrill.agents.sleuth.graph import Graph
from firedrill.agents.sleuth.model import Ground, Hypothesis
from firedrill.agents.sleuth.symptoms import failing, time_of
from firedrill.core.entity import is_chaos

_HARMLESS = 0.1
_UNWELL = 0.2
_NEAR = 3
"""From a program over its Service and its caller to the caller's Service."""


def experiments(case: Case) -> Iterator[Hypothesis]:
    """A chaos experiment that is there; the schedule that makes it, when there is one."""
    seen: set[str] = set()
    hurt = failing(case)
    for thing in sorted(case.objects.values(), key=lambda item: item.id):
        if not is_chaos(thing.kind) or (
            thing.kind == "Schedule" and "chaos" not in str(thing.body.get("apiVersion"))
        ):
            continue
        top = case.top(thing.id)
        if (
            top in seen
            or mapping(thing.body, "metadata", "annotations").get("experiment.chaos-mesh.org/pause") == "true"
        ):
            continue
        seen.add(top)
        made = time_of(mapping(thing.body, "metadata").get("creationTimestamp"))
        hit = tuple(item.id for item in _targets(case, thing))
        names = ", ".join(parts(victim)[2] for victim in hit[:4]) or "its targets"
        yield Hypothesis(
            top,
            "experiments",
            Ground.EXPERIMENT,
            f"{thing.kind} {thing.name} disturbs {names} on purpose",
            # one whose targets are all well disturbs nothing that matters
            strength=_HARMLESS if _idle(case, thing, hit) or (hit and not _felt(case, hit, hurt)) else 1.0,
            time=made,
            explains=hit,
            evidence=clues(thing.clue(f"{_action(thing.spec)} since {made}")),
            fix=(kubectl(top, "delete"),),
        )
    yield from _told_by_events(case, seen)


def _idle(case: Case, thing: Thing, hit: tuple[str, ...]) -> bool:
    """Whether an experiment selects nothing: it says so itself, or no recorded program has its labels."""
    for condition in listing(thing.status, "conditions"):
        if condition.get("type") == "Selected" and condition.get("status") == "False":
            return True
    specs = [thing.spec, *(value for key, value in thing.spec.items() if key.lower().endswith("chaos"))]
    by_labels = any(mapping(spec, "selector", "labelSelectors") for spec in specs)
    return by_labels and not hit and case.records("Deployment")


def _felt(case: Case, hit: tuple[str, ...], hurt: Mapping[str, float]) -> bool:
    """Whether anything that an experiment selects is unwell, or what calls it."""
    graph = Graph(case)
    return any(
        hurt.get(entity, 0.0) >= _UNWELL
        for victim in hit
        for entity, steps in graph.reach(victim).items()
        if steps <= _NEAR
    )


def _told_by_events(case: Case, seen: set[str]) -> Iterator[Hypothesis]:
    """Experiments whose objects were not recorded, but whose events were."""
    tops: dict[str, str] = {}
    schedules = {parts(e.entity)[2]: e.entity for e in case.events if parts(e.entity)[1] == "Schedule"}
    for event in case.events:
        _, kind, name = parts(event.entity)
        if not is_chaos(kind) or event.entity in case.objects:
            continue
        owner = next(
            (entity for stem, entity in sorted(schedules.items()) if name.startswith(f"{stem}-")), None
        )
        top = owner or case.top(event.entity)
        if top not in seen and top not in tops:
            tops[top] = event.entity
            yield Hypothesis(
                top,
                "experiments",
                Ground.EXPERIMENT,
                f"{kind} {name} ran: {event.message[:160]}",
                strength=0.9,
                time=event.first,
                evidence=clues(event),
                fix=(kubectl(top, "delete"),),
            )


def _action(spec: Body) -> str:
    inner = next((value for key, value in sorted(spec.items()) if key.lower().endswith("chaos")), spec)
    action = inner.get("action") if isinstance(inner, dict) else None
    return str(action or spec.get("type") or "runs")


def _targets(case: Case, thing: Thing) -> list[Thing]:
    specs = [
        thing.spec,
        *(value for key, value in sorted(thing.spec.items()) if key.lower().endswith("chaos")),
    ]
    found = []
    for spec in specs:
        selector = mapping(spec, "selector")
        labels = mapping(selector, "labelSelectors")
        spaces = selector.get("namespaces")
        if not labels:
            continue
        for item in case.workloads:
            if (not isinstance(spaces, list) or item.namespace in spaces) and fits(labels, item.pod_labels):
                found.append(item)
    return found
