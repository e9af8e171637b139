"""Where mechanisms of programs fit: what the graph of an application says of its workloads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from firedrill.faults import fitting
from firedrill.faults.base import Target
from firedrill.world.kube.objects import Obj, dig, name_of

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.app.model import Call, Service

Fits = Callable[["World"], Iterable[Target]]
_KINDS = {"deployments.apps": "Deployment", "statefulsets.apps": "StatefulSet"}


def programs(world: World) -> Iterator[tuple[Obj, Service]]:
    """Workloads of the application, and the service of the graph that each runs."""
    graph = fitting.graph_of(world)
    if graph is None:
        return
    by_place = {
        place: service for service in graph.app.services for place in (service.workload, *service.also)
    }
    resources = {kind: resource for resource, kind in _KINDS.items()}
    for owner in fitting.workloads(world):
        service = by_place.get((resources.get(owner["kind"], ""), name_of(owner)))
        if service is not None:
            yield owner, service


def calls(world: World) -> Iterator[tuple[Obj, Service, Call]]:
    """Every call of every workload, each pair of caller and variable or host once."""
    for owner, service in programs(world):
        seen = set()
        for operation in service.operations:
            for call in operation.calls:
                key = (call.service, call.address, call.host)
                if key not in seen:
                    seen.add(key)
                    yield owner, service, call


def consumers(world: World) -> Iterator[tuple[Obj, Call]]:
    """Workloads that take messages out of queues, and how each reaches the broker."""
    graph = fitting.graph_of(world)
    ends = {call.service: call for queue in (graph.app.queues if graph else ()) for call in queue.consumers}
    for owner, service in programs(world):
        if service.name in ends:
            yield owner, ends[service.name]


def variable(container: Obj, name: str) -> str | None:
    """The literal value of a container's variable; None where it has none."""
    for item in container.get("env") or ():
        if item.get("name") == name and item.get("value") is not None:
            return str(item["value"])
    return None


def load_generator(world: World) -> tuple[Obj, Obj, str] | None:
    """(workload, container, variable with the number of users or the rate) of whoever makes the load."""
    graph = fitting.graph_of(world)
    if graph is None:
        return None
    load = graph.app.load
    owner = world.cluster.store.get(load.workload[0], graph.app.namespace, load.workload[1])
    if owner is None or not load.users_variable:
        return None
    for container in owner["spec"]["template"]["spec"]["containers"]:
        if container["name"] == load.container and variable(container, load.users_variable) is not None:
            return owner, container, load.users_variable
    return None


def front(world: World) -> str:
    """The workload that users reach first, as an entity; empty where nobody uses the application."""
    graph = fitting.graph_of(world)
    first = graph.app.load.entries[0].call.service if graph is not None else ""
    return next((fitting.entity(owner) for owner, service in programs(world) if service.name == first), "")


def containers_where(holds: Callable[[Obj, Service], bool], **more: Any) -> Fits:
    """The main containers of the workloads for which something holds."""

    def fits(world: World) -> Iterator[Target]:
        for owner, service in programs(world):
            if holds(owner, service):
                yield fitting.on_container(world, owner, **more)

    return fits


def is_single_deployment(owner: Obj) -> bool:
    """Whether it is a Deployment."""
    return bool(owner["kind"] == "Deployment" and dig(owner, "spec", "replicas", default=1))


def both(each: Fits) -> Fits:
    """The same targets, each with a rollout and with the workload made anew; see `fitting.both_ways`."""

    def fits(world: World) -> Iterator[Target]:
        for target in each(world):
            yield from fitting.both_ways(target)

    return fits
