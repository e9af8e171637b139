"""How a fault spreads: from its cause to pods, Services and their callers, up to where the users come in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from firedrill.faults import fitting
from firedrill.faults._chaos import hits
from firedrill.faults._meshing import governed, serves
from firedrill.faults.base import Injection
from firedrill.world.kube.chaos import KINDS
from firedrill.world.kube.objects import Obj, dig, name_of, namespace_of
from firedrill.world.kube.selectors import selects
from firedrill.world.mesh.state import AUTHENTICATIONS, AUTHORIZATIONS, GATEWAYS, ROUTES

if TYPE_CHECKING:
    from firedrill.world import World

_MESH = {
    "AuthorizationPolicy": AUTHORIZATIONS,
    "PeerAuthentication": AUTHENTICATIONS,
    "Gateway": GATEWAYS,
    "HTTPRoute": ROUTES,
}
_FROM_AFAR = frozenset({*KINDS, "Schedule"})
"""What acts on workloads of other namespaces too."""
_MOST_PODS = 20
Services = Mapping[tuple[str, str], Obj]
"""Services as they were before an injection, by namespace and name."""
_READERS = {
    "ConfigMap": ("configMap", "configMapRef", "configMapKeyRef"),
    "Secret": ("secret", "secretRef", "secretKeyRef"),
}


@dataclass(frozen=True, slots=True)
class Hop:
    """One step of a fault's way: entities as `namespace/Kind/name`.

    Attributes:
        source, target: from where to where.
        condition: what is the matter with the source.
        effect: what that does to the target.
    """

    source: str
    target: str
    condition: str
    effect: str


def propagation(world: World, injection: Injection) -> tuple[Hop, ...]:
    """The way of a fault in a world, each pair of entities once, nearest to the cause first.

    Computed from what is there: who owns which pods, which Services select them, and who calls whom in the
    graph of the application. A cause that touches nothing of the application spreads nowhere.
    """
    from firedrill.faults import find

    fault = find(injection.fault)
    if fault.spreads == "none":
        return ()
    was = {
        (change.namespace, change.name): change.before
        for change in injection.changes
        if change.resource == "services" and change.before is not None
    }
    hops: dict[tuple[str, str], Hop] = {}
    reached: list[Obj] = []
    for cause in injection.causes:
        for owner, hop in _first(world, injection, cause, fault.title):
            if hop is not None:
                hops.setdefault((hop.source, hop.target), hop)
            if owner not in reached:
                reached.append(owner)
    if any(cause.split("/")[1] == "Service" for cause in injection.causes):
        _from_service(world, injection, hops)
    else:
        for owner in reached:
            _downwards(world, owner, was, hops)
    for owner in reached:
        _upwards(world, owner, was, hops)
    return tuple(hops.values())


def _first(world: World, injection: Injection, cause: str, title: str) -> Iterable[tuple[Obj, Hop | None]]:
    """The workloads that a cause touches, and the hop from it to each (none where it is one)."""
    space, kind, name = cause.split("/", 2)
    owners = fitting.workloads(world, copies=False)
    for owner in owners:
        about = fitting.entity(owner)
        if about == cause:
            yield owner, None
        elif (
            (kind == "Namespace" and namespace_of(owner) == name)
            or (
                (space in {namespace_of(owner), "cluster"} or kind in _FROM_AFAR)
                and _touches(world, injection, cause, owner)
            )
            or (kind == "DaemonSet" and serves(world, space, owner))
        ):
            yield owner, Hop(cause, about, title, f"{about} is affected by it")


def _touches(world: World, injection: Injection, cause: str, owner: Obj) -> bool:
    space, kind, name = cause.split("/", 2)
    was = {(change.resource, change.name): change.before for change in injection.changes}
    spec = dig(owner, "spec", "template", "spec", default={})
    store = world.cluster.store
    if kind in _READERS:
        return any(_names(spec, key, name) for key in _READERS[kind])
    if kind == "Node":
        return any(dig(pod, "spec", "nodeName") == name for pod in fitting.pods_of(world, owner))
    if kind == "PersistentVolumeClaim":
        return any(
            _names(dig(pod, "spec", default={}), "persistentVolumeClaim", name)
            for pod in fitting.pods_of(world, owner)
        )
    if kind == "Service":
        found = was.get(("services", name)) or store.get("services", space, name)
        wanted = dig(found, "spec", "selector", default={})
        return bool(wanted) and owner in _behind(world, space, wanted)
    if kind == "NetworkPolicy":
        found = store.get("networkpolicies.networking.k8s.io", space, name)
        labels = dig(owner, "spec", "template", "metadata", "labels", default={})
        return found is not None and selects(dig(found, "spec", "podSelector", default={}), labels)
    if kind in _MESH:
        found = store.get(_MESH[kind], space, name)
        return found is not None and owner in governed(world, found)
    if kind in _FROM_AFAR:
        return hits(world, cause, owner)
    if kind == "ServiceAccount":
        return bool(spec.get("serviceAccountName") == name)
    return kind in {"ResourceQuota", "LimitRange"}


def _behind(world: World, space: str, wanted: Mapping[str, str]) -> list[Obj]:
    """The workloads whose pods a Service selects."""
    labels = ("spec", "template", "metadata", "labels")
    return [
        owner
        for owner in fitting.workloads(world, copies=False)
        if namespace_of(owner) == space
        and selects({"matchLabels": dict(wanted)}, dig(owner, *labels, default={}))
    ]


def _names(value: Any, key: str, name: str) -> bool:
    """Whether something under the key names the object."""
    if isinstance(value, Mapping):
        for inner, item in value.items():
            if (
                inner == key
                and isinstance(item, Mapping)
                and name in {item.get("name"), item.get("secretName"), item.get("claimName")}
            ):
                return True
            if _names(item, key, name):
                return True
        return False
    return isinstance(value, list) and any(_names(item, key, name) for item in value)


def _downwards(world: World, owner: Obj, was: Services, hops: dict[tuple[str, str], Hop]) -> None:
    """From a workload to its pods and on to the Services in front of them."""
    about = fitting.entity(owner)
    pods = [fitting.entity({**pod, "kind": "Pod"}) for pod in fitting.pods_of(world, owner)[:_MOST_PODS]]
    for pod in pods:
        hops.setdefault((about, pod), Hop(about, pod, f"{about} is faulty", "its pod does not do its job"))
    for service in _services_of(world, owner, was):
        for source in pods or [about]:
            hop = Hop(
                source, service, "no pod behind it works as it should", "requests to it fail or are slow"
            )
            hops.setdefault((source, service), hop)


def _from_service(world: World, injection: Injection, hops: dict[tuple[str, str], Hop]) -> None:
    """A Service is the cause: its pods are well, and what comes after is its callers' trouble."""
    named = {cause for cause in injection.causes if cause.split("/")[1] == "Service"}
    for pair in [pair for pair in hops if pair[0] in named]:
        del hops[pair]


def _services_of(world: World, owner: Obj, was: Services) -> list[str]:
    """The Services in front of a workload, those that were changed or deleted as they were before."""
    labels = dig(owner, "spec", "template", "metadata", "labels", default={})
    space = namespace_of(owner)
    found = {name_of(service): service for service in world.cluster.store.list("services", space)}
    found |= {name: service for (where, name), service in was.items() if where == space}
    out = []
    for name in sorted(found):
        wanted = found[name]["spec"].get("selector")
        if wanted and selects({"matchLabels": dict(wanted)}, labels):
            out.append(fitting.entity({**found[name], "kind": "Service"}))
    return sorted(out, key=lambda entity: entity.rpartition("/")[2] not in {n for _, n in was})


def _upwards(world: World, owner: Obj, was: Services, hops: dict[tuple[str, str], Hop]) -> None:
    """From a workload to its callers, and theirs, up to where users come in."""
    graph = fitting.graph_of(world)
    if graph is None:
        return
    space = graph.app.namespace
    owners = {name_of(item): item for item in fitting.workloads(world, copies=False)}
    here = [
        s.name for s in graph.app.services if name_of(owner) in {pair[1] for pair in (s.workload, *s.also)}
    ]
    by_name = {service.name: service for service in graph.app.services}
    seen = set(here)
    while here:
        name = here.pop(0)
        for caller in sorted(_callers(graph.app.services, name)):
            source, target = owners.get(by_name[name].workload[1]), owners.get(by_name[caller].workload[1])
            if source is None or target is None or source is target:
                continue
            fronts = _services_of(world, source, was) or [fitting.entity(source)]
            for front in fronts[:1]:
                about = fitting.entity(target)
                hop = Hop(
                    front,
                    about,
                    f"calls to {name} fail or are slow",
                    f"requests of {caller} that need {name} suffer",
                )
                hops.setdefault((front, about), hop)
            for service in _services_of(world, target, was)[:1]:
                about = fitting.entity(target)
                hop = Hop(about, service, f"{caller} answers with errors or late", "its callers notice")
                hops.setdefault((about, service), hop)
            if caller not in seen and namespace_of(target) == space:
                seen.add(caller)
                here.append(caller)


def _callers(services: Iterable[Any], name: str) -> set[str]:
    return {
        service.name
        for service in services
        if any(call.service == name for operation in service.operations for call in operation.calls)
    }
