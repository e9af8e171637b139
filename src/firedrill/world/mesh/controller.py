"""What a mesh's control plane writes: whether Gateways, routes and policies are right; Services of gateways.

Source: the conditions of the Gateway API, and the wording of Istio's controller for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from firedrill.world.kube.api import Client
from firedrill.world.kube.api.request import service_account
from firedrill.world.kube.controllers.base import Controller, Later, register, split_key
from firedrill.world.kube.objects import Obj, dig, labels_of, name_of, namespace_of, with_condition
from firedrill.world.mesh.policy import needs_requests
from firedrill.world.mesh.routing import attached, listener_ports
from firedrill.world.mesh.state import AUTHORIZATIONS, GATEWAYS, ROUTES, controlled
from firedrill.world.mesh.view import GATEWAY_LABEL

if TYPE_CHECKING:
    from firedrill.world.kube.store import Change
    from firedrill.world.world import World

_CLASSES: Final = "gatewayclasses.gateway.networking.k8s.io"
_OWNER: Final = "istio.io/gateway-controller"
_AWAY_MS = 5_000


def _all_routes(world: World) -> list[str]:
    return [f"route/{namespace_of(obj)}/{name_of(obj)}" for obj in world.cluster.store.list(ROUTES)]


def _all_gateways(world: World) -> list[str]:
    return [f"gateway/{namespace_of(obj)}/{name_of(obj)}" for obj in world.cluster.store.list(GATEWAYS)]


def _own(kind: str, change: Change) -> str:
    return f"{kind}/{namespace_of(change.obj)}/{name_of(change.obj)}"


def _of_class(_: World, change: Change) -> Iterable[str]:
    return (_own("class", change),)


def _of_gateway(world: World, change: Change) -> Iterable[str]:
    return (_own("gateway", change), *_all_routes(world))


def _of_route(world: World, change: Change) -> Iterable[str]:
    return (_own("route", change), *_all_gateways(world))


def _of_policy(_: World, change: Change) -> Iterable[str]:
    return (_own("policy", change),)


def _of_service(world: World, change: Change) -> Iterable[str]:
    if not world.cluster.store.count(GATEWAYS):
        return ()
    name = labels_of(change.obj).get(GATEWAY_LABEL)
    own = [f"gateway/{namespace_of(change.obj)}/{name}"] if name else []
    return (*own, *_all_routes(world))


def _reconcile(world: World, key: str) -> None:
    kind, _, rest = key.partition("/")
    namespace, name = split_key(rest)
    root, there = controlled(world)
    if not root:
        return
    if not there:
        raise Later(_AWAY_MS)
    client = Client(world, service_account(root, "istiod"), manager="pilot-discovery", trusted=True)
    found = client.find(_RESOURCES[kind], namespace, name)
    if found is not None and not dig(found, "metadata", "deletionTimestamp"):
        _WRITERS[kind](client, found)


def _write(client: Client, obj: Obj, status: Mapping[str, Any]) -> None:
    """The status where it is another one."""
    if dict(obj.get("status") or {}) != status:
        client.update_status(obj, status)


def _conditions(
    client: Client, obj: Obj, before: Any, new: Iterable[tuple[str, bool, str, str]]
) -> list[Any]:
    out = list(before or ())
    generation = int(dig(obj, "metadata", "generation", default=1))
    for type_, good, reason, message in new:
        item = {
            "type": type_,
            "status": "True" if good else "False",
            "reason": reason,
            "message": message,
            "observedGeneration": generation,
        }
        out = with_condition(out, item, client.world.time)
    return out


def _write_class(client: Client, obj: Obj) -> None:
    if not str(dig(obj, "spec", "controllerName")).startswith("istio.io/"):
        return
    told = [("Accepted", True, "Accepted", "Handled by Istio controller")]
    _write(client, obj, {"conditions": _conditions(client, obj, dig(obj, "status", "conditions"), told)})


def _write_gateway(client: Client, obj: Obj) -> None:
    if not str(dig(obj, "spec", "gatewayClassName")).startswith("istio"):
        return
    store = client.world.cluster.store
    namespace, name = namespace_of(obj), name_of(obj)
    services = [
        item for item in store.list("services", namespace) if labels_of(item).get(GATEWAY_LABEL) == name
    ]
    for service in services:
        _open_ports(client, obj, service)
    hosts = [
        f"{name_of(item)}.{namespace}.svc.{client.world.cluster.settings.cluster_domain}" for item in services
    ]
    ports = "".join(f" and {host}:{port}" for host in hosts for port in listener_ports(obj)).removeprefix(
        " and "
    )
    good = bool(services)
    text = (
        f"Resource programmed, assigned to service(s) {ports}"
        if good
        else "Failed to assign to any requested addresses"
    )
    told = [
        ("Accepted", True, "Accepted", "Resource accepted"),
        ("Programmed", good, "Programmed" if good else "AddressNotAssigned", text),
    ]
    listeners = [_listener(client, obj, item) for item in dig(obj, "spec", "listeners", default=None) or ()]
    _write(
        client,
        obj,
        {
            "addresses": [{"type": "Hostname", "value": host} for host in hosts],
            "conditions": _conditions(client, obj, dig(obj, "status", "conditions"), told),
            "listeners": listeners,
        },
    )


def _listener(client: Client, gateway: Obj, listener: Mapping[str, Any]) -> Obj:
    name = str(listener.get("name"))
    known = dig(gateway, "status", "listeners", default=None) or ()
    before: Mapping[str, Any] = next((item for item in known if item.get("name") == name), {})
    routes = client.world.cluster.store.list(ROUTES)
    count = sum(any(item.get("name") == name for item in attached(gateway, route)) for route in routes)
    told = [
        ("Accepted", True, "Accepted", "No errors found"),
        ("Conflicted", False, "NoConflicts", "No errors found"),
        ("Programmed", True, "Programmed", "No errors found"),
        ("ResolvedRefs", True, "ResolvedRefs", "No errors found"),
    ]
    return {
        "name": name,
        "attachedRoutes": count,
        "supportedKinds": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"}],
        "conditions": _conditions(client, gateway, before.get("conditions"), told),
    }


def _open_ports(client: Client, gateway: Obj, service: Obj) -> None:
    """Let the Service of a gateway have the ports of its listeners, and only these."""
    listeners = dig(gateway, "spec", "listeners", default=None) or ()
    wanted = {int(item["port"]): str(item.get("name") or "default") for item in listeners if item.get("port")}
    ports = dig(service, "spec", "ports", default=None) or ()
    kept = [item for item in ports if item.get("name") == "status-port" or item.get("port") in wanted]
    there = {item.get("port") for item in kept}
    if not wanted or (len(kept) == len(ports) and there >= wanted.keys()):
        return
    added = [
        {"name": name, "port": port, "protocol": "TCP", "targetPort": port, "appProtocol": "http"}
        for port, name in sorted(wanted.items())
        if port not in there
    ]
    user = Client(client.world, client.user, manager=_OWNER, trusted=True)
    user.patch("services", namespace_of(service), name_of(service), {"spec": {"ports": [*kept, *added]}})


def _write_route(client: Client, obj: Obj) -> None:
    store = client.world.cluster.store
    before = {str(item.get("parentRef")): item for item in dig(obj, "status", "parents", default=None) or ()}
    parents = []
    for reference in dig(obj, "spec", "parentRefs", default=None) or ():
        space = str(reference.get("namespace") or namespace_of(obj))
        gateway = store.get(GATEWAYS, space, str(reference.get("name")))
        if reference.get("kind", "Gateway") != "Gateway" or gateway is None:
            continue
        known = {"group": "gateway.networking.k8s.io", "kind": "Gateway", **reference}
        fits = any(True for _ in attached(gateway, obj))
        lost = _lost_backend(client, obj)
        told = [
            ("Accepted", True, "Accepted", "Route was valid")
            if fits
            else ("Accepted", False, "NoMatchingParent", "no listeners match this parentRef"),
            ("ResolvedRefs", False, "BackendNotFound", lost)
            if lost
            else ("ResolvedRefs", True, "ResolvedRefs", "All references resolved"),
        ]
        was = before.get(str(known)) or {}
        parents.append(
            {
                "controllerName": "istio.io/gateway-controller",
                "parentRef": known,
                "conditions": _conditions(client, obj, was.get("conditions"), told),
            }
        )
    _write(client, obj, {"parents": parents})


def _lost_backend(client: Client, route: Obj) -> str:
    """What is wrong with the first backend that cannot be found; empty where all can."""
    domain = client.world.cluster.settings.cluster_domain
    for rule in dig(route, "spec", "rules", default=None) or ():
        for item in rule.get("backendRefs") or ():
            space = str(item.get("namespace") or namespace_of(route))
            name = str(item.get("name"))
            service = client.world.cluster.store.get("services", space, name)
            if service is None:
                return f"backend({name}.{space}.svc.{domain}) not found"
            if all(
                port.get("port") != item.get("port")
                for port in dig(service, "spec", "ports", default=None) or ()
            ):
                return f"backend({name}.{space}.svc.{domain}:{item.get('port')}) not found"
    return ""


def _write_policy(client: Client, obj: Obj) -> None:
    if dig(obj, "spec", "targetRefs") or dig(obj, "spec", "targetRef"):
        told = [("WaypointAccepted", True, "Accepted", "bound to gateway")]
    elif any(needs_requests(rule or {}) for rule in dig(obj, "spec", "rules", default=None) or ()):
        text = "ztunnel does not support HTTP attributes; this will be more restrictive than requested"
        told = [("ZtunnelAccepted", False, "UnsupportedValue", text)]
    else:
        told = [("ZtunnelAccepted", True, "Accepted", "attached to ztunnel")]
    old = [
        item
        for item in dig(obj, "status", "conditions", default=None) or ()
        if any(item.get("type") == new[0] for new in told)
    ]
    _write(client, obj, {"conditions": _conditions(client, obj, old, told)})


_RESOURCES = {"class": _CLASSES, "gateway": GATEWAYS, "route": ROUTES, "policy": AUTHORIZATIONS}
_WRITERS = {
    "class": _write_class,
    "gateway": _write_gateway,
    "route": _write_route,
    "policy": _write_policy,
}


def _resync(world: World) -> Iterable[str]:
    store = world.cluster.store
    return [
        f"{kind}/{namespace_of(obj)}/{name_of(obj)}"
        for kind, resource in _RESOURCES.items()
        for obj in store.list(resource)
    ]


CONTROLLER = register(
    Controller(
        name="istiod",
        component="istiod",
        watches={
            _CLASSES: _of_class,
            GATEWAYS: _of_gateway,
            ROUTES: _of_route,
            AUTHORIZATIONS: _of_policy,
            "services": _of_service,
        },
        reconcile=_reconcile,
        resync=_resync,
        delay=(40, 180),
    )
)
