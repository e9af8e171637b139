"""Where mechanisms of meshes and gateways fit, found by what is in the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from firedrill.faults import fitting
from firedrill.faults._changes import add
from firedrill.faults.base import Target, Undo
from firedrill.world import mesh
from firedrill.world.kube.objects import Obj, dig, labels_of, name_of, namespace_of
from firedrill.world.mesh.routing import attached
from firedrill.world.mesh.state import AUTHORIZATIONS, GATEWAYS, ROUTES
from firedrill.world.mesh.view import GATEWAY_LABEL

if TYPE_CHECKING:
    from firedrill.world import World

NO_MESH = "the application is in no mesh"
NO_GATEWAY = "no gateway with routes stands in front of the application"
_SECURITY = "security.istio.io/v1"


def members(world: World) -> Iterator[Obj]:
    """Workloads of the application whose pods take part in a mesh, gateways apart."""
    view = mesh.view(world)
    for owner in fitting.workloads(world):
        pods = fitting.pods_of(world, owner)
        if pods and view.captured(pods[0]):
            yield owner


def called(world: World) -> Iterator[Obj]:
    """Those of them that other parts of the application call."""
    graph = fitting.graph_of(world)
    if graph is None:
        return
    wanted = {call.service for call in graph.edge_call}
    places = {
        name: service.name for service in graph.app.services for _, name in (service.workload, *service.also)
    }
    for owner in members(world):
        if places.get(name_of(owner)) in wanted:
            yield owner


def calling(world: World) -> Iterator[Obj]:
    """Those of them that call others of them."""
    graph = fitting.graph_of(world)
    if graph is None:
        return
    inside = {name_of(owner) for owner in members(world)}
    places = {service.name: service.workload[1] for service in graph.app.services}
    makers = {
        service.workload[1]
        for service in graph.app.services
        for operation in service.operations
        for call in operation.calls
        if places.get(call.service) in inside
    }
    for owner in members(world):
        if name_of(owner) in makers:
            yield owner


def gateways(world: World) -> Iterator[tuple[Obj, Obj]]:
    """Gateways of the application, and the workload of each one's proxy."""
    for owner in fitting.workloads(world):
        labels = dig(owner, "spec", "template", "metadata", "labels", default=None) or {}
        found = world.cluster.store.get(GATEWAYS, namespace_of(owner), str(labels.get(GATEWAY_LABEL)))
        if found is not None:
            yield found, owner


def routes(world: World) -> Iterator[tuple[Obj, Obj]]:
    """HTTPRoutes of these Gateways, and the workload of the proxy."""
    for gateway, owner in gateways(world):
        for route in world.cluster.store.list(ROUTES):
            if any(True for _ in attached(gateway, route)) and _backends(route):
                yield route, owner


def _backends(route: Obj) -> list[Any]:
    return [
        item
        for rule in dig(route, "spec", "rules", default=None) or ()
        for item in rule.get("backendRefs") or ()
    ]


def each_gateway(world: World) -> Iterator[Target]:
    """Each Gateway in front of the application."""
    for gateway, owner in gateways(world):
        yield Target({"namespace": namespace_of(gateway), "name": name_of(gateway)}, fitting.entity(owner))


def each_route(world: World) -> Iterator[Target]:
    """Each HTTPRoute in front of the application."""
    for route, owner in routes(world):
        yield Target({"namespace": namespace_of(route), "name": name_of(route)}, fitting.entity(owner))


def each_open(world: World) -> Iterator[Target]:
    """Each workload in a mesh that others call and nobody guards: one more policy allows what any allows."""
    guards = [
        policy
        for policy in world.cluster.store.list(AUTHORIZATIONS)
        if dig(policy, "spec", "action", default="ALLOW") == "ALLOW"
    ]
    guarded = [owner for policy in guards for owner in governed(world, policy)]
    return (fitting.on_workload(owner) for owner in called(world) if owner not in guarded)


def each_calling(world: World) -> Iterator[Target]:
    """Each workload in a mesh that calls others in it."""
    return (fitting.on_workload(owner) for owner in calling(world))


def each_allowing(world: World) -> Iterator[Target]:
    """Each policy that says by their identity who may reach a workload of the application."""
    owners = list(members(world))
    for policy in world.cluster.store.list(AUTHORIZATIONS):
        if dig(policy, "spec", "action", default="ALLOW") != "ALLOW" or not _sources(policy):
            continue
        wanted = dig(policy, "spec", "selector", "matchLabels", default=None) or {}
        for owner in owners:
            labels = dig(owner, "spec", "template", "metadata", "labels", default=None) or {}
            here = namespace_of(owner) == namespace_of(policy)
            if here and all(labels.get(key) == value for key, value in wanted.items()):
                args = {"namespace": namespace_of(policy), "name": name_of(policy)}
                yield Target(args, fitting.entity(owner))
                break


def _sources(policy: Obj) -> list[Any]:
    return [
        item
        for rule in dig(policy, "spec", "rules", default=None) or ()
        for item in (rule or {}).get("from") or ()
        if {"principals", "namespaces", "serviceAccounts"} & set(item.get("source") or {})
    ]


def allow_only(policy: Obj, principal: str) -> None:
    """Let a policy allow this identity in place of those that it allows."""
    for item in _sources(policy):
        source = {
            key: value
            for key, value in item["source"].items()
            if key not in {"principals", "namespaces", "serviceAccounts"}
        }
        item["source"] = {**source, "principals": [principal]}


def authorization(namespace: str, name: str, spec: Obj) -> Obj:
    """An AuthorizationPolicy."""
    return {
        "apiVersion": _SECURITY,
        "kind": "AuthorizationPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def demand_encryption(world: World, namespace: str, name: str) -> Undo:
    """Let a namespace take nothing but what comes through the mesh.

    Raises:
        ApiError: it is refused.
    """
    policy = {
        "apiVersion": _SECURITY,
        "kind": "PeerAuthentication",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"mtls": {"mode": "STRICT"}},
    }
    return add(world, policy)


def labels_of_pods(owner: Obj) -> dict[str, str]:
    """The labels by which a workload's pods are known."""
    return dict(dig(owner, "spec", "selector", "matchLabels", default=None) or labels_of(owner))


def governed(world: World, obj: Obj) -> list[Obj]:
    """The workloads of the application that a policy, a Gateway or an HTTPRoute is about."""
    if obj["kind"] == "Gateway":
        return [owner for gateway, owner in gateways(world) if gateway is obj]
    if obj["kind"] == "HTTPRoute":
        return [owner for route, owner in routes(world) if route is obj]
    named = {item.get("name") for item in dig(obj, "spec", "targetRefs", default=None) or ()}
    if named:
        return [owner for gateway, owner in gateways(world) if name_of(gateway) in named]
    wanted = dig(obj, "spec", "selector", "matchLabels", default=None) or {}
    here = [owner for owner in members(world) if namespace_of(owner) == namespace_of(obj)]
    return [owner for owner in here if wanted.items() <= _labels(owner).items()]


def _labels(owner: Obj) -> dict[str, str]:
    return dict(dig(owner, "spec", "template", "metadata", "labels", default=None) or {})


def serves(world: World, namespace: str, owner: Obj) -> bool:
    """Whether the proxies of a mesh, which are in that namespace, carry what a workload sends and gets."""
    return namespace == mesh.view(world).root != "" and owner in members(world)
