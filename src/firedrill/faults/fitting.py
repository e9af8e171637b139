"""What of a world a mechanism can be aimed at.

An application is found by its traffic: the workloads that work for its users. Where a world has no traffic,
it is whatever runs outside of the namespaces of Kubernetes itself. Nothing here knows an application.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from firedrill.faults.base import Fault, Target
from firedrill.world.kube.objects import Obj, dig, labels_of, name_of, namespace_of
from firedrill.world.kube.selectors import selects

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.app.graph import Graph

_KINDS = {"deployments.apps": "Deployment", "statefulsets.apps": "StatefulSet"}
_SYSTEM = ("kube-system", "kube-public", "kube-node-lease", "local-path-storage")
_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
_MOST = 2000
_HOSTS = re.compile(r"(?:^|//|@|,)([a-z][a-z0-9-]*)(?=[.:/,]|$)")


def targets(fault: Fault, world: World) -> tuple[Target, ...]:
    """Every set of arguments that makes sense in this world, in a stable order; see `Fault.fits`."""
    found = _by_parameters(fault, world) if fault.fits is None else fault.fits(world)
    return tuple(islice(found, _MOST))


def misfit(fault: Fault, world: World) -> str:
    """Why the mechanism has no target here; empty where it has one."""
    if targets(fault, world):
        return ""
    if fault.lacks:
        return fault.lacks
    kind = next((kind for kind, fits in _GENERIC if fits(fault)), "")
    return f"the application has no {kind or 'target'}"


def graph_of(world: World) -> Graph | None:
    """The graph of the application in use; None where nobody uses one."""
    found = dict(world.cluster.parts()).get("Traffic")  # looked for, not made: nothing changes by a look
    graph: Graph | None = found.graph if found is not None else None
    return graph


def workloads(world: World, *, copies: bool = True) -> tuple[Obj, ...]:
    """Deployments and StatefulSets that work for users, by name; not those that make the load.

    Args:
        world: where.
        copies: leave out what has no copies.
    """
    graph = graph_of(world)
    if graph is None:
        spaces = namespaces(world)
        found = [obj for kind in _KINDS for space in spaces for obj in world.cluster.store.list(kind, space)]
    else:
        load = graph.app.load.workload
        places = {pair for service in graph.app.services for pair in (service.workload, *service.also)}
        made = [
            world.cluster.store.get(kind, graph.app.namespace, name)
            for kind, name in sorted(places)
            if (kind, name) != load and kind in _KINDS
        ]
        found = [obj for obj in made if obj is not None]
    if copies:
        found = [obj for obj in found if dig(obj, "spec", "replicas", default=1)]
    return tuple(sorted(found, key=lambda obj: (namespace_of(obj), name_of(obj), str(obj["kind"]))))


def namespaces(world: World) -> tuple[str, ...]:
    """Where the application is."""
    graph = graph_of(world)
    if graph is not None:
        return (graph.app.namespace,)
    store = world.cluster.store
    names = {namespace_of(obj) for kind in _KINDS for obj in store.list(kind)}
    return tuple(sorted(names.difference(_SYSTEM)))


def entity(obj: Obj) -> str:
    """`namespace/Kind/name`, or `cluster/Kind/name`."""
    return f"{namespace_of(obj) or 'cluster'}/{obj['kind']}/{name_of(obj)}"


def on_workload(owner: Obj, **more: Any) -> Target:
    """The workload as a target, with further arguments."""
    args = {"namespace": namespace_of(owner), "name": name_of(owner), "kind": owner["kind"], **more}
    return Target(args, entity(owner))


def main_container(world: World, owner: Obj) -> Obj:
    """The container that runs the program of the application; the first one where that is unknown."""
    containers: list[Obj] = owner["spec"]["template"]["spec"]["containers"]
    graph = graph_of(world)
    kind = next((resource for resource, kind in _KINDS.items() if kind == owner["kind"]), "")
    for service in graph.app.services if graph is not None else ():
        if (kind, name_of(owner)) in (service.workload, *service.also):
            return next((item for item in containers if item["name"] == service.container), containers[0])
    return containers[0]


def on_container(world: World, owner: Obj, **more: Any) -> Target:
    """The container that runs the program of a workload as a target, with further arguments."""
    return on_workload(owner, container=main_container(world, owner)["name"], **more)


def nodes_of(world: World, owner: Obj) -> set[str]:
    """The nodes that run pods of a workload."""
    return {str(dig(pod, "spec", "nodeName", default="")) for pod in pods_of(world, owner)}


def callers_of(world: World, about: str) -> set[str]:
    """The workloads whose programs call the program of this one, as entities; all where that is unknown."""
    graph = graph_of(world)
    if graph is None:
        return {entity(owner) for owner in workloads(world)} - {about}
    space, _, name = about.split("/")
    places = {service.name: (service.workload, *service.also) for service in graph.app.services}
    here = {service for service, found in places.items() if name in {place[1] for place in found}}
    return {
        f"{space}/{_KINDS.get(kind, '')}/{caller}"
        for service in graph.app.services
        for operation in service.operations
        for call in operation.calls
        if call.service in here
        for kind, caller in places[service.name]
    }


def both_ways(target: Target) -> Iterator[Target]:
    """The target with a rollout, which only an alert tells of, and with the workload made anew."""
    yield Target({**target.args, "then": ""}, target.about, "alert")
    yield Target({**target.args, "then": "replace"}, target.about, "users")


def bitten(world: World, args: Mapping[str, Any]) -> Iterator[Target]:
    """These arguments with each workload that is missed, started anew right after (see `_changes.NEXT`)."""
    for owner in missed(world):
        place = {
            "workload": name_of(owner),
            "workload_namespace": namespace_of(owner),
            "workload_kind": owner["kind"],
        }
        yield Target({**args, **place, "then": "recycle"}, entity(owner), "users")


def front(world: World) -> Obj | None:
    """The workload at which users come in; the first one where that is unknown."""
    found = workloads(world)
    graph = graph_of(world)
    if graph is not None:
        names = {service.name: service.workload[1] for service in graph.app.services}
        first = names.get(graph.app.load.entries[0].call.service)
        return next((owner for owner in found if name_of(owner) == first), found[0] if found else None)
    return found[0] if found else None


def pods_of(world: World, owner: Obj) -> list[Obj]:
    """The pods of a workload, by name."""
    wanted = owner["spec"]["selector"]
    return [
        pod
        for pod in world.cluster.store.list("pods", namespace_of(owner))
        if selects(wanted, labels_of(pod)) and dig(pod, "status", "phase") not in {"Succeeded", "Failed"}
    ]


def owners_behind(world: World, service: Obj) -> list[Obj]:
    """The workloads of the application whose pods a Service selects."""
    wanted = service["spec"].get("selector")
    if not wanted:
        return []
    return [
        owner
        for owner in workloads(world)
        if namespace_of(owner) == namespace_of(service)
        and selects({"matchLabels": dict(wanted)}, dig(owner, "spec", "template", "metadata", "labels") or {})
    ]


def services(world: World) -> Iterator[tuple[Obj, Obj]]:
    """Services with an address of their own, and the first workload behind each.

    Where several lead to a workload, only those that somebody in the application names.
    """
    found = []
    for namespace in namespaces(world):
        for service in world.cluster.store.list("services", namespace):
            if dig(service, "spec", "clusterIP") in {None, "", "None"}:
                continue
            behind = owners_behind(world, service)
            if behind:
                found.append((service, behind[0]))
    named = _named(world)
    for service, owner in found:
        rivals = [name_of(other) for other, theirs in found if theirs is owner]
        if name_of(service) in named or not named.intersection(rivals):
            yield service, owner


def _named(world: World) -> set[str]:
    """The hosts that variables and graph of the application name."""
    graph = graph_of(world)
    owners = list(workloads(world, copies=False))
    texts: list[str] = []
    if graph is not None:
        load = world.cluster.store.get(
            graph.app.load.workload[0], graph.app.namespace, graph.app.load.workload[1]
        )
        owners += [load] if load is not None else []
        calls = [call for s in graph.app.services for op in s.operations for call in op.calls]
        texts += [call.host for call in (*calls, *(entry.call for entry in graph.app.load.entries))]
    for owner in owners:
        for container in owner["spec"]["template"]["spec"]["containers"]:
            texts += [str(item.get("value") or "") for item in container.get("env") or ()]
    return {match[1] for text in texts for match in _HOSTS.finditer(text)}


def claims(world: World) -> Iterator[tuple[Obj, Obj]]:
    """Bound claims that pods of the application use, and the workload."""
    for owner in workloads(world):
        for pod in pods_of(world, owner)[:1]:
            for volume in pod["spec"].get("volumes") or ():
                name = dig(volume, "persistentVolumeClaim", "claimName")
                claim = world.cluster.store.get("persistentvolumeclaims", namespace_of(owner), str(name))
                if claim is not None and dig(claim, "status", "phase") == "Bound":
                    yield claim, owner


def nodes(world: World) -> Iterator[tuple[str, Obj]]:
    """Workers that run pods of the application, and the workload with most of its pods there."""
    on: dict[str, dict[str, int]] = {}
    owners = {entity(owner): owner for owner in workloads(world)}
    for about, owner in owners.items():
        for pod in pods_of(world, owner):
            node = str(dig(pod, "spec", "nodeName", default=""))
            if node:
                count = on.setdefault(node, {})
                count[about] = count.get(about, 0) + 1
    for node in sorted(on):
        found = world.cluster.store.get("nodes", "", node)
        if found is None or _CONTROL_PLANE in labels_of(found):
            continue
        most = max(sorted(on[node]), key=on[node].__getitem__)
        yield node, owners[most]


def on_service(service: Obj, owner: Obj, **more: Any) -> Target:
    """The Service as a target, with further arguments."""
    return Target({"namespace": namespace_of(service), "name": name_of(service), **more}, entity(owner))


def each_workload(world: World) -> Iterator[Target]:
    """Each workload of the application."""
    return (on_workload(owner) for owner in workloads(world))


def missed(world: World) -> Iterator[Obj]:
    """Workloads without others behind each of their Services, which would answer in their place."""
    crowds = [owners_behind(world, service) for service in world.cluster.store.list("services")]
    for owner in workloads(world):
        behind = [crowd for crowd in crowds if owner in crowd]
        if not behind or any(len(crowd) == 1 for crowd in behind):
            yield owner


def each_missed(world: World) -> Iterator[Target]:
    """Each workload of the application whose work nobody else does."""
    return (on_workload(owner) for owner in missed(world))


def each_container(world: World) -> Iterator[Target]:
    """The main container of each workload of the application."""
    return (on_container(world, owner) for owner in workloads(world))


def each_service(world: World) -> Iterator[Target]:
    """Each Service of the application that has an address and pods behind it."""
    for service, owner in services(world):
        yield Target({"namespace": namespace_of(service), "name": name_of(service)}, entity(owner))


def each_claim(world: World) -> Iterator[Target]:
    """Each bound claim that the application uses."""
    for claim, owner in claims(world):
        yield Target({"namespace": namespace_of(claim), "name": name_of(claim)}, entity(owner))


def each_node(world: World) -> Iterator[Target]:
    """Each worker that runs pods of the application."""
    for node, owner in nodes(world):
        yield Target({"node": node}, entity(owner))


def each_namespace(world: World) -> Iterator[Target]:
    """Each namespace of the application; its first workload stands for all."""
    for namespace in namespaces(world):
        first = next((owner for owner in workloads(world) if namespace_of(owner) == namespace), None)
        if first is not None:
            yield Target({"namespace": namespace}, entity(first))


def _by_parameters(fault: Fault, world: World) -> Iterable[Target]:
    needed = {name for name, item in fault.parameters.items() if item.default is None}
    for kind, fits in _GENERIC:
        if fits(fault):
            found = _EACH[kind](world)
            return (target for target in found if needed <= set(target.args))
    return ()


def _says(fault: Fault, word: str) -> bool:
    return "name" in fault.parameters and word in fault.parameters["name"].help


_GENERIC: tuple[tuple[str, Callable[[Fault], bool]], ...] = (
    ("container", lambda fault: "kind" in fault.parameters and "container" in fault.parameters),
    ("workload", lambda fault: "kind" in fault.parameters),
    ("node", lambda fault: "node" in fault.parameters),
    ("Service", lambda fault: _says(fault, "Service")),
    ("claim", lambda fault: _says(fault, "PersistentVolumeClaim")),
    ("namespace", lambda fault: "namespace" in fault.parameters),
)
_EACH: dict[str, Callable[[World], Iterator[Target]]] = {
    "container": each_container,
    "workload": each_workload,
    "node": each_node,
    "Service": each_service,
    "claim": each_claim,
    "namespace": each_namespace,
}
