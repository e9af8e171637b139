"""What an incident changes, and since when: the world held against its healthy twin.

Services are judged by what their callers get in windows of half a minute, or of some minutes where requests
are few; pods and nodes by how they stand.
A thing deviates from the first of two looks in a row at which it differs by more than it usually varies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from firedrill.suites.living.observing import BOUNDS_US, Crew, Flow, State
from firedrill.world.app.traffic import Traffic
from firedrill.world.kube.objects import dig, name_of
from firedrill.world.kube.selectors import selects

if TYPE_CHECKING:
    from firedrill.suites.living.incident import Incident
    from firedrill.world.app.model import Service
    from firedrill.world.world import World

Floats = NDArray[np.float64]
_LENGTHS: Final = (30_000, 120_000, 300_000)
"""Windows: the shortest in which a service usually gets enough requests."""
_KINDS = {
    "deployments.apps": "Deployment",
    "statefulsets.apps": "StatefulSet",
    "daemonsets.apps": "DaemonSet",
}
_DEVIATIONS = 5.0
FEWER: Final = "it gets fewer requests"
_FEWEST, _ENOUGH = 5, 10
"""Requests in a window below which its shares say nothing, and below which their number does not."""
_FAILED, _SLOWER, _SLOWER_MS, _SILENT = 0.02, 1.5, 20.0, 0.5


@dataclass(frozen=True, slots=True)
class Deviation:
    """Something that an incident changes.

    Attributes:
        entity: `namespace/Kind/name`; a workload stands for its pods.
        at: since when, in ms since the Unix epoch.
        what: in a few words, such as `its requests fail`.
    """

    entity: str
    at: int
    what: str


def deviations(incident: Incident) -> tuple[Deviation, ...]:
    """All that deviates between the first fault and the end, in order of moments."""
    found = [*_services(incident), *_workloads(incident), *_nodes(incident)]
    return tuple(sorted(found, key=lambda item: (item.at, item.entity, item.what)))


def fronts(world: World) -> dict[str, str]:
    """The entity by which each service of the application's graph is called: a Service or a workload."""
    graph = world.cluster.part(Traffic).graph
    if graph is None:
        return {}
    return {item.name: _front(world, graph.app.namespace, item) for item in graph.app.services}


def workload_of(namespace: str, service: Service) -> str:
    """The workload that runs a service of a graph, as `namespace/Kind/name`."""
    kind = _KINDS.get(service.workload[0], "Deployment")
    return f"{namespace}/{kind}/{service.workload[1]}"


def _front(world: World, namespace: str, service: Service) -> str:
    owner = world.cluster.store.get(service.workload[0], namespace, service.workload[1])
    labels = dig(owner, "spec", "template", "metadata", "labels") or {}
    found = [
        name_of(item)
        for item in world.cluster.store.list("services", namespace)
        if dig(item, "spec", "selector") and selects({"matchLabels": dict(item["spec"]["selector"])}, labels)
    ]
    named = [name for name in found if name in {service.name, service.workload[1]}]
    if found:
        return f"{namespace}/Service/{(named or sorted(found))[0]}"
    return workload_of(namespace, service)


# -- services ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Windows:
    """By window and service: requests, share of failures, 95th percentile in ms."""

    at: list[int]
    requests: Floats
    failed: Floats
    p95: Floats


def _windows(flows: Sequence[Flow], start: int, end: int, length: int) -> _Windows:
    buckets: dict[int, list[Flow]] = {}
    whole = (end - start) // length * length
    for flow in flows:
        if start < flow.at <= start + whole:
            buckets.setdefault((flow.at - 1 - start) // length, []).append(flow)
    keys = sorted(buckets)
    requests = np.array([np.sum([f.requests for f in buckets[key]], axis=0) for key in keys], np.float64)
    failed = np.array([np.sum([f.failed for f in buckets[key]], axis=0) for key in keys], np.float64)
    spread = np.array([np.sum([f.spread for f in buckets[key]], axis=0) for key in keys], np.float64)
    bounds = np.append(BOUNDS_US, 2 * BOUNDS_US[-1]) / 1000.0
    reached = np.cumsum(spread, axis=2) >= 0.95 * spread.sum(axis=2)[:, :, None]
    p95 = np.where(requests > 0, bounds[reached.argmax(axis=2)], 0.0)
    return _Windows([start + key * length for key in keys], requests, failed / np.maximum(requests, 1), p95)


def _services(incident: Incident) -> Iterable[Deviation]:
    graph = incident.before.cluster.part(Traffic).graph
    if graph is None:
        return
    entities = fronts(incident.before)
    views = [_view(incident, length) for length in _LENGTHS]
    for number, service in enumerate(graph.app.services):
        for view in views:
            if view is None:
                continue
            usual = float(np.median(view.twin.requests[:, number]))
            if usual >= _ENOUGH or view is views[-1]:
                for what, wrong in _judged(view, number):
                    first = _lasting(wrong)
                    if first is not None:
                        yield Deviation(entities[service.name], view.after.at[first], what)
                break


@dataclass(frozen=True, slots=True)
class _View:
    """The windows of one length: before the fault, after it, and after it in the twin."""

    before: _Windows
    after: _Windows
    twin: _Windows
    count: int


def _view(incident: Incident, length: int) -> _View | None:
    times = incident.times
    before = _windows(incident.seen.flows, times.baseline, times.fault, length)
    after = _windows(incident.seen.flows, times.fault, times.end, length)
    twin = _windows(incident.usual.flows, times.fault, times.end, length)
    count = min(len(after.at), len(twin.at))
    return _View(before, after, twin, count) if count and before.at else None


def _judged(view: _View, number: int) -> Iterable[tuple[str, list[bool]]]:
    """What is said of a service, and in which windows it is so."""
    count, before = view.count, view.before
    usual_failed, usual_p95 = before.failed[:, number], before.p95[:, number]
    requests, expected = view.after.requests[:count, number], view.twin.requests[:count, number]
    failed = view.after.failed[:count, number]
    limit = view.twin.failed[:count, number] + max(_FAILED, _DEVIATIONS * float(usual_failed.std()))
    slow = float(np.median(usual_p95))
    patience = max(_SLOWER * slow, slow + _SLOWER_MS, slow + _DEVIATIONS * float(usual_p95.std()))
    spread = _DEVIATIONS * np.sqrt(np.maximum(expected, 1.0))
    quiet = requests < np.minimum(_SILENT * expected, expected - spread)
    none = (requests == 0) & (expected >= _ENOUGH)
    yield "its requests fail", list((requests >= _FEWEST) & (failed > limit))
    yield "its requests are slow", list((requests >= _FEWEST) & (view.after.p95[:count, number] > patience))
    yield FEWER, list(none | (quiet & (expected >= _ENOUGH)))


def _lasting(wrong: Sequence[bool]) -> int | None:
    """The first of two in a row."""
    pairs = enumerate(pairwise(wrong))
    return next((number for number, (here, there) in pairs if here and there), None)


# -- pods and nodes ---------------------------------------------------------------------------------


_NONE = Crew(0, 0, 0)
_CREWS: tuple[tuple[str, Callable[[Crew, Crew], bool]], ...] = (
    ("it has fewer ready pods", lambda here, usual: here.ready < usual.ready),
    ("it has pods that do not become ready", lambda here, usual: here.waiting > usual.waiting),
    ("its containers restart", lambda here, usual: here.restarts > usual.restarts),
    ("it has more pods", lambda here, usual: here.ready > usual.ready),
)


def _workloads(incident: Incident) -> Iterable[Deviation]:
    pairs = _states(incident)
    names = sorted({name for here, usual in pairs for name in (*here.crews, *usual.crews)})
    for name in names:
        for what, differs in _CREWS:
            wrong = [
                differs(here.crews.get(name, _NONE), usual.crews.get(name, _NONE)) for here, usual in pairs
            ]
            first = _lasting(wrong)
            if first is not None:
                yield Deviation(name, pairs[first][0].at, what)


def _nodes(incident: Incident) -> Iterable[Deviation]:
    pairs = _states(incident)
    for name in sorted({name for here, _ in pairs for name in here.nodes}):
        wrong = [here.nodes.get(name, "") not in ("", usual.nodes.get(name)) for here, usual in pairs]
        first = _lasting(wrong)
        if first is not None:
            here = pairs[first][0]
            yield Deviation(name, here.at, f"it {here.nodes[name]}")


def _states(incident: Incident) -> list[tuple[State, State]]:
    times = incident.times
    usual = {item.at: item for item in incident.usual.states}
    here = [item for item in incident.seen.states if times.fault <= item.at <= times.end]
    return [(item, usual[item.at]) for item in here if item.at in usual]


__all__ = ["FEWER", "Deviation", "deviations", "fronts", "workload_of"]
