"""What an incident changes, and since when: the world held against its healthy twin.

Services are judged by what their callers get in windows of half a minute; pods and nodes by how they stand.
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
WINDOW_MS: Final = 30_000
_KINDS = {
    "deployments.apps": "Deployment",
    "statefulsets.apps": "StatefulSet",
    "daemonsets.apps": "DaemonSet",
}
_DEVIATIONS = 5.0
_FEWEST = 5
"""Requests in a window below which its shares say nothing."""
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


def _windows(flows: Sequence[Flow], start: int, end: int) -> _Windows:
    buckets: dict[int, list[Flow]] = {}
    for flow in flows:
        if start < flow.at <= end:
            buckets.setdefault((flow.at - 1 - start) // WINDOW_MS, []).append(flow)
    keys = sorted(buckets)
    requests = np.array([np.sum([f.requests for f in buckets[key]], axis=0) for key in keys], np.float64)
    failed = np.array([np.sum([f.failed for f in buckets[key]], axis=0) for key in keys], np.float64)
    spread = np.array([np.sum([f.spread for f in buckets[key]], axis=0) for key in keys], np.float64)
    bounds = np.append(BOUNDS_US, 2 * BOUNDS_US[-1]) / 1000.0
    reached = np.cumsum(spread, axis=2) >= 0.95 * spread.sum(axis=2)[:, :, None]
    p95 = np.where(requests > 0, bounds[reached.argmax(axis=2)], 0.0)
    return _Windows(
        [start + key * WINDOW_MS for key in keys], requests, failed / np.maximum(requests, 1), p95
    )


def _services(incident: Incident) -> Iterable[Deviation]:
    graph = incident.before.cluster.part(Traffic).graph
    if graph is None:
        return
    times = incident.times
    before = _windows(incident.seen.flows, times.baseline, times.fault)
    after = _windows(incident.seen.flows, times.fault, times.end)
    twin = _windows(incident.usual.flows, times.fault, times.end)
    entities = fronts(incident.before)
    count = min(len(after.at), len(twin.at))
    if not count:
        return
    for number, service in enumerate(graph.app.services):
        usual = (before.requests[:, number], before.failed[:, number], before.p95[:, number])
        enough = after.requests[:count, number] >= _FEWEST
        failed = after.failed[:count, number]
        limit = twin.failed[:count, number] + max(_FAILED, _DEVIATIONS * float(usual[1].std()))
        slow = float(np.median(usual[2]))
        patience = max(_SLOWER * slow, slow + _SLOWER_MS, slow + _DEVIATIONS * float(usual[2].std()))
        expected = twin.requests[:count, number]
        spread = _DEVIATIONS * np.sqrt(np.maximum(expected, 1.0))
        quiet = after.requests[:count, number] < np.minimum(_SILENT * expected, expected - spread)
        for what, wrong in (
            ("its requests fail", enough & (failed > limit)),
            ("its requests are slow", enough & (after.p95[:count, number] > patience)),
            ("it gets fewer requests", quiet & (expected >= 2 * _FEWEST)),
        ):
            first = _lasting(list(wrong))
            if first is not None:
                yield Deviation(entities[service.name], after.at[first], what)


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


__all__ = ["WINDOW_MS", "Deviation", "deviations", "fronts", "workload_of"]
