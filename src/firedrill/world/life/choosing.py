"""What may be changed unnoticed: workloads that stand a rollout, and when nobody should deploy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firedrill.world.app.rows import OK
from firedrill.world.app.traffic import Traffic, rows_of
from firedrill.world.kube.objects import Obj, dig, name_of, namespace_of

if TYPE_CHECKING:
    from firedrill.world.app.graph import Graph
    from firedrill.world.world import World

_DEPLOYMENTS = "deployments.apps"
_TICKS = 12
_FINE = 0.98


def graph_of(world: World) -> Graph | None:
    """The graph of the application in use."""
    return world.cluster.part(Traffic).graph


def deployments(world: World) -> list[Obj]:
    """The Deployments of the application, by name, without the load generator's."""
    graph = graph_of(world)
    if graph is None:
        return []
    store, space = world.cluster.store, graph.app.namespace
    names = {
        name
        for service in graph.app.services
        for resource, name in (service.workload, *service.also)
        if resource == _DEPLOYMENTS
    }
    found = (store.get(_DEPLOYMENTS, space, name) for name in sorted(names))
    return [item for item in found if item is not None and name_of(item) != graph.app.load.workload[1]]


def rollable(world: World) -> list[Obj]:
    """Those whose pods can be replaced unnoticed: they are ready only when they answer, and keep nothing."""
    graph = graph_of(world)
    stateful = {
        name
        for service in (graph.app.services if graph is not None else ())
        for _, name in (service.workload, *service.also)
        if service.database or service.protocol in ("kafka", "redis", "sql")
    }
    return [item for item in deployments(world) if name_of(item) not in stateful and _gentle(item)]


def _gentle(obj: Obj) -> bool:
    spec = dig(obj, "spec", "template", "spec", default={})
    probed = all(item.get("readinessProbe") for item in spec.get("containers") or ())
    keeps = any("persistentVolumeClaim" in item or "hostPath" in item for item in spec.get("volumes") or ())
    rolling = dig(obj, "spec", "strategy", "type", default="RollingUpdate") == "RollingUpdate"
    return probed and rolling and not keeps and settled(obj)


def settled(obj: Obj) -> bool:
    """Whether a Deployment has all its pods, of the newest kind, and some."""
    wanted = int(dig(obj, "spec", "replicas", default=1))
    status = obj.get("status") or {}
    known = status.get("observedGeneration") == obj["metadata"].get("generation")
    counts = {int(status.get(name) or 0) for name in ("replicas", "readyReplicas", "updatedReplicas")}
    return bool(wanted and known and counts == {wanted})


def autoscaled(world: World, obj: Obj) -> bool:
    """Whether an autoscaler holds the number of copies."""
    found = world.cluster.store.list("horizontalpodautoscalers.autoscaling", namespace_of(obj))
    return any(dig(item, "spec", "scaleTargetRef", "name") == name_of(obj) for item in found)


def calm(world: World) -> bool:
    """Whether users are served well: teams do not deploy into trouble."""
    part = world.cluster.part(Traffic)
    good = whole = 0
    for number in range(-min(_TICKS, len(part.history)), 0):
        rows = rows_of(world, number)
        first = (rows.parent < 0) & (rows.attempt == 0)
        whole += int(first.sum())
        good += int((rows.kind[first] == OK).sum())
    everything = all(settled(item) or not dig(item, "spec", "replicas") for item in deployments(world))
    return everything and good >= whole * _FINE
