"""Endpoints: the addresses and ports behind each Service with a selector.

Source: the endpoints controller of Kubernetes 1.31 and `RepackSubsets` of its API.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import events
from firedrill.world.kube.api import strategy
from firedrill.world.kube.api.client import component_client
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.controllers.base import (
    Controller,
    all_keys,
    key_of,
    own_key,
    register,
    split_key,
)
from firedrill.world.kube.controllers.selecting import (
    HEADLESS,
    TRIGGER,
    Triggers,
    hostname_of,
    is_headless,
    is_ready,
    port_of,
    selected_pods,
    serves,
    services_of,
    target_of,
)
from firedrill.world.kube.objects import (
    Obj,
    annotations_of,
    dig,
    labels_of,
    name_of,
    namespace_of,
)

if TYPE_CHECKING:
    from firedrill.world.kube.store import Change
    from firedrill.world.world import World

_MOST = 1000
_OVER = "endpoints.kubernetes.io/over-capacity"
_MANAGED_BY = "endpoints.kubernetes.io/managed-by"
_NAME = "endpoint-controller"
Port = tuple[tuple[str, Any], ...]
Place = tuple[bool, Obj]


def _reconcile(world: World, key: str) -> None:
    namespace, name = split_key(key)
    store, client = world.cluster.store, component_client(world, _NAME)
    service = store.get("services", namespace, name)
    triggers = world.cluster.part(Triggers)
    if service is None:
        triggers.forget(_NAME, key)
        if store.get("endpoints", namespace, name) is not None:
            client.delete("endpoints", namespace, name)
        return
    spec = service["spec"]
    if not spec.get("selector") or spec.get("type") == "ExternalName":
        return
    pods = selected_pods(store, service)
    subsets = subsets_of(service, pods)
    subsets, cut = _within_capacity(subsets)
    when = triggers.newest(_NAME, service, pods)
    old = store.get("endpoints", namespace, name)
    labels = _labels(world, service)
    if old is not None and _same(old, subsets, labels, cut):
        return
    new = _built(service, old, labels, subsets)
    marks = {k: v for k, v in annotations_of(old or {}).items() if k not in {TRIGGER, _OVER}}
    if when:
        marks[TRIGGER] = when
    if cut:
        marks[_OVER] = "truncated"
    if marks:
        new["metadata"]["annotations"] = marks
    _write(world, service, new, create=old is None)


def _labels(world: World, service: Obj) -> dict[str, str]:
    labels = {k: v for k, v in labels_of(service).items() if k != HEADLESS}
    if is_headless(service):
        labels[HEADLESS] = ""
    if world.cluster.settings.minor >= 33:
        labels[_MANAGED_BY] = _NAME
    return labels


def _same(old: Obj, subsets: list[Obj], labels: Mapping[str, str], cut: bool) -> bool:
    if (old.get("subsets") or []) != subsets or labels_of(old) != labels:
        return False
    return (annotations_of(old).get(_OVER) == "truncated") == cut


def _built(service: Obj, old: Obj | None, labels: Mapping[str, str], subsets: list[Obj]) -> Obj:
    given = dict(old["metadata"]) if old else {"name": name_of(service), "namespace": namespace_of(service)}
    for key in ("labels", "annotations"):
        given.pop(key, None)
    if labels:
        given["labels"] = dict(labels)
    out: Obj = {"apiVersion": "v1", "kind": "Endpoints", "metadata": given}
    if subsets:
        out["subsets"] = subsets
    return out


def _write(world: World, service: Obj, new: Obj, *, create: bool) -> None:
    client = component_client(world, _NAME)
    try:
        client.create(new) if create else client.update(new)
    except ApiError as refusal:
        if create and refusal.code == 403 and "being terminated" in refusal.message:
            return
        what = "Create" if create else "Update"
        place = f"{namespace_of(service)}/{name_of(service)}"
        message = f"Failed to {what.lower()} endpoint for service {place}: {refusal.message}"
        events.record(world, new, "Warning", f"FailedTo{what}Endpoint", message, component=_NAME)
        raise


def subsets_of(service: Mapping[str, Any], pods: Sequence[Mapping[str, Any]]) -> list[Obj]:
    """The subsets of a Service whose selector finds these pods."""
    spec = service["spec"]
    unready_too = bool(spec.get("publishNotReadyAddresses"))
    places: dict[str, tuple[Place, set[Port]]] = {}
    for pod in pods:
        if not serves(pod, terminating=unready_too):
            continue
        ports = _ports(service, pod)
        if not ports:
            continue
        address: Obj = {"ip": pod["status"]["podIP"]}
        if hostname := hostname_of(pod, service):
            address["hostname"] = hostname
        if dig(pod, "spec", "nodeName"):
            address["nodeName"] = pod["spec"]["nodeName"]
        address["targetRef"] = target_of(pod)
        places[str(pod["metadata"]["uid"])] = ((unready_too or is_ready(pod), address), ports)
    return _packed(list(places.values()))


def _ports(service: Mapping[str, Any], pod: Mapping[str, Any]) -> set[Port]:
    """The ports of the pod; one without fields stands for a headless Service that has none."""
    wanted = service["spec"].get("ports") or ()
    if not wanted:
        return {()} if is_headless(service) else set()
    out = set()
    for port in wanted:
        number = port_of(pod, port)
        if number is not None:
            out.add(_port(port.get("name"), number, port.get("protocol") or "TCP", port.get("appProtocol")))
    return out


def _port(name: str | None, number: int, protocol: str, app: str | None) -> Port:
    fields = (("name", name), ("port", number), ("protocol", protocol), ("appProtocol", app))
    return tuple((key, item) for key, item in fields if item)


def _packed(places: Sequence[tuple[Place, set[Port]]]) -> list[Obj]:
    """Addresses that share all their ports share a subset."""
    groups: dict[tuple[Port, ...], list[Place]] = {}
    for place, ports in places:
        groups.setdefault(tuple(sorted(ports, key=_port_order)), []).append(place)
    out = []
    for group in sorted(groups, key=lambda ports: [_port_order(port) for port in ports]):
        members = sorted(groups[group], key=_address_order)
        subset: Obj = {}
        for field, wanted in (("addresses", True), ("notReadyAddresses", False)):
            if some := [address for ready, address in members if ready is wanted]:
                subset[field] = some
        if shown := [dict(port) for port in group if port]:
            subset["ports"] = shown
        out.append(subset)
    return out


def _port_order(port: Port) -> tuple[str, ...]:
    fields = dict(port)
    number = int(fields.get("port", 0))
    return (str(fields.get("name", "")), f"{number:05d}", str(fields.get("protocol", "")))


def _address_order(place: Place) -> tuple[str, str]:
    return str(place[1].get("ip")), str(dig(place[1], "targetRef", "uid", default=""))


def repacked(subsets: Sequence[Mapping[str, Any]]) -> list[Obj]:
    """Subsets that somebody wrote, in the order and grouping in which the API keeps them."""
    merged: dict[tuple[str, str], tuple[Place, set[Port]]] = {}
    for subset in subsets:
        ports = {
            _port(
                port.get("name"), port.get("port", 0), port.get("protocol") or "TCP", port.get("appProtocol")
            )
            for port in subset.get("ports") or ()
        } or {()}
        for field, ready in (("notReadyAddresses", False), ("addresses", True)):
            for address in subset.get(field) or ():
                key = _address_order((ready, address))
                known = merged.get(key)
                merged[key] = ((ready, address), ports | (known[1] if known else set()))
    return _packed(list(merged.values()))


def _within_capacity(subsets: list[Obj]) -> tuple[list[Obj], bool]:
    """At most 1000 addresses, ready ones first."""
    ready = sum(len(item.get("addresses") or ()) for item in subsets)
    unready = sum(len(item.get("notReadyAddresses") or ()) for item in subsets)
    if ready + unready <= _MOST:
        return subsets, False
    left = {"addresses": min(ready, _MOST), "notReadyAddresses": max(_MOST - ready, 0)}
    out = []
    for subset in subsets:
        kept = {key: item for key, item in subset.items() if key == "ports"}
        for field in ("addresses", "notReadyAddresses"):
            some = list(subset.get(field) or ())[: left[field]]
            left[field] -= len(some)
            if some:
                kept[field] = some
        if len(kept) > ("ports" in kept):
            out.append(kept)
    return out, True


def _prepare(_: World, new: Obj, old: Obj | None) -> Obj:
    subsets = new.get("subsets")
    if not isinstance(subsets, list) or (old is not None and old.get("subsets") == subsets):
        return new
    return {**new, "subsets": repacked(subsets)}


def _when_deleted(world: World, change: Change) -> Iterable[str]:
    return own_key(world, change) if change.type == "DELETED" else ()


def _resync(world: World) -> list[str]:
    """Every Service, and Endpoints whose Service went away while nobody looked."""
    store = world.cluster.store
    leader = "control-plane.alpha.kubernetes.io/leader"
    left = [
        key_of(namespace_of(obj), name_of(obj))
        for obj in store.list("endpoints")
        if leader not in annotations_of(obj)
    ]
    return sorted({*all_keys("services")(world), *left})


strategy.on_write("endpoints", _prepare)
CONTROLLER = register(
    Controller(
        name=_NAME,
        component="kube-controller-manager",
        watches={"services": own_key, "pods": services_of, "endpoints": _when_deleted},
        reconcile=_reconcile,
        resync=_resync,
        delay=(10, 120),
    )
)
