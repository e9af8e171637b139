"""EndpointSlices: what kube-proxy and DNS read, at most 100 endpoints in each; and mirrors of Endpoints.

Source: the endpointslice and endpointslicemirroring controllers of Kubernetes 1.31.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import events
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
    is_deleting,
    labels_of,
    meta,
    name_of,
    namespace_of,
    owner_reference,
)

if TYPE_CHECKING:
    from firedrill.world.kube.store import Change, Store
    from firedrill.world.world import World

RESOURCE = "endpointslices.discovery.k8s.io"
SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_SKIP_MIRROR = "endpointslice.kubernetes.io/skip-mirror"
_LEADER = "control-plane.alpha.kubernetes.io/leader"
_ZONE = "topology.kubernetes.io/zone"
_NAME = "endpointslice-controller"
_MIRROR = "endpointslicemirroring-controller"
_MANAGER = {
    _NAME: "endpointslice-controller.k8s.io",
    _MIRROR: "endpointslicemirroring-controller.k8s.io",
}
_SOURCE = {_NAME: "endpoint-slice-controller", _MIRROR: "endpoint-slice-mirroring-controller"}
_MOST = 100
Ports = tuple[tuple[tuple[str, Any], ...], ...]


def _reconcile(world: World, key: str) -> None:
    namespace, name = split_key(key)
    store = world.cluster.store
    service = store.get("services", namespace, name)
    triggers = world.cluster.part(Triggers)
    if service is None:
        triggers.forget(_NAME, key)
        return
    spec = service["spec"]
    if not spec.get("selector") or spec.get("type") == "ExternalName" or is_deleting(service):
        return
    pods = [pod for pod in selected_pods(store, service) if serves(pod, terminating=True)]
    wanted: dict[Ports, list[Obj]] = {}
    for pod in pods:
        wanted.setdefault(_ports(service, pod), []).append(_endpoint(store, service, pod))
    labels = {k: v for k, v in labels_of(service).items() if k not in {HEADLESS, SERVICE_NAME, MANAGED_BY}}
    labels |= {SERVICE_NAME: name, MANAGED_BY: _MANAGER[_NAME]}
    if is_headless(service):
        labels[HEADLESS] = ""
    when = triggers.newest(_NAME, service, pods)
    marks = {TRIGGER: when} if when else {}
    families = spec.get("ipFamilies") or ["IPv4"]
    if not wanted:
        wanted[()] = []  # a slice without endpoints says that the Service is known
    _Slices(world, _NAME, service, labels, marks, str(families[0])).bring_about(wanted)


def _endpoint(store: Store, service: Obj, pod: Obj) -> Obj:
    serving, terminating = is_ready(pod), is_deleting(pod)
    ready = bool(service["spec"].get("publishNotReadyAddresses")) or (serving and not terminating)
    out: Obj = {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
    }
    if hostname := hostname_of(pod, service):
        out["hostname"] = hostname
    out["targetRef"] = target_of(pod)
    node = dig(pod, "spec", "nodeName")
    if node:
        out["nodeName"] = node
        zone = labels_of(store.get("nodes", "", node) or {}).get(_ZONE)
        if zone:
            out["zone"] = zone
    return out


def _ports(service: Obj, pod: Obj) -> Ports:
    out = []
    for port in service["spec"].get("ports") or ():
        number = port_of(pod, port)
        if number is not None:
            fields = {
                "name": port.get("name") or "",
                "port": number,
                "protocol": port.get("protocol") or "TCP",
            }
            if port.get("appProtocol"):
                fields["appProtocol"] = port["appProtocol"]
            out.append(tuple(fields.items()))
    return tuple(out)


class _Slices:
    """The slices of one owner, brought to what is wanted with as few writes as may be."""

    def __init__(
        self,
        world: World,
        controller: str,
        owner: Obj,
        labels: Mapping[str, str],
        marks: Mapping[str, str],
        family: str,
    ) -> None:
        self._world, self._owner, self._controller = world, owner, controller
        self._labels, self._marks, self._family = labels, marks, family
        self._client = component_client(world, controller)

    def existing(self) -> list[Obj]:
        """What this controller has made for the owner so far."""
        return [
            obj
            for obj in slices_of(self._world.cluster.store, namespace_of(self._owner), name_of(self._owner))
            if labels_of(obj).get(MANAGED_BY) == _MANAGER[self._controller] and not is_deleting(obj)
        ]

    def bring_about(self, wanted: Mapping[Ports, Sequence[Obj]]) -> None:
        """Create, change and delete slices."""
        spare = self.existing()
        for ports in wanted:
            mine = [obj for obj in spare if _ports_in(obj) == ports and obj["addressType"] == self._family]
            spare = [obj for obj in spare if obj not in mine]
            if not mine and spare and len(wanted) == 1 and not wanted[ports]:
                mine, spare = spare[:1], spare[1:]  # the last slice stays, as the empty one
            self._group(ports, wanted[ports], mine)
        for obj in spare:
            self._client.delete(RESOURCE, namespace_of(obj), name_of(obj))

    def _group(self, ports: Ports, wanted: Sequence[Obj], mine: Sequence[Obj]) -> None:
        missing = {_identity(item): item for item in wanted}
        kept: list[list[Obj]] = []
        for obj in mine:
            names = [_identity(item) for item in obj.get("endpoints") or ()]
            kept.append([missing.pop(name) for name in names if name in missing])
        rest = _fill(mine, kept, list(missing.values()))
        filled = 0
        for obj, endpoints in zip(mine, kept, strict=True):
            if endpoints or (not wanted and not filled):
                filled += 1
                self._change(obj, ports, endpoints)
            else:
                self._client.delete(RESOURCE, namespace_of(obj), name_of(obj))
        while rest or not (filled or wanted):
            self._make(ports, rest[:_MOST])
            filled, rest = filled + 1, rest[_MOST:]

    def _make(self, ports: Ports, endpoints: Sequence[Obj]) -> None:
        given: Obj = {
            "generateName": f"{name_of(self._owner)}-",
            "namespace": namespace_of(self._owner),
            "labels": dict(self._labels),
            "ownerReferences": [owner_reference(self._owner)],
        }
        if self._marks:
            given["annotations"] = dict(self._marks)
        obj = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": given,
            "addressType": self._family,
            **_content(ports, endpoints),
        }
        try:
            self._client.create(obj)
        except ApiError as refusal:
            if refusal.code == 403 and "being terminated" in refusal.message:
                return
            events.record(
                self._world,
                self._owner,
                "Warning",
                "FailedToUpdateEndpointSlices",
                f"Error updating Endpoint Slices for Service {namespace_of(self._owner)}/"
                f"{name_of(self._owner)}: {refusal.message}",
                component=_SOURCE[self._controller],
            )
            raise

    def _change(self, old: Obj, ports: Ports, endpoints: Sequence[Obj]) -> None:
        content = _content(ports, endpoints)
        if labels_of(old) == self._labels and all(old.get(key) == content[key] for key in content):
            return
        marks = {k: v for k, v in annotations_of(old).items() if k != TRIGGER} | dict(self._marks)
        given = {**old["metadata"], "labels": dict(self._labels), "annotations": marks}
        if not marks:
            del given["annotations"]
        self._client.update({**old, "metadata": given, **content})


def _fill(mine: Sequence[Obj], kept: Sequence[list[Obj]], new: list[Obj]) -> list[Obj]:
    """Put new endpoints where slices change anyway, then where they fit best; returns what has no room."""
    changed = [len(some) < len(obj.get("endpoints") or ()) for obj, some in zip(mine, kept, strict=True)]
    order = sorted(range(len(kept)), key=lambda at: (not changed[at], -len(kept[at])))
    for at in order:
        if not changed[at] and len(new) > _MOST - len(kept[at]):
            continue
        room = _MOST - len(kept[at])
        kept[at].extend(new[:room])
        new = new[room:]
    return new


def _content(ports: Ports, endpoints: Sequence[Obj]) -> Obj:
    shown = [dict(port) for port in ports]
    return {"endpoints": list(endpoints) or None, "ports": shown if shown or endpoints else None}


def _ports_in(obj: Mapping[str, Any]) -> Ports:
    order = ("name", "port", "protocol", "appProtocol")
    return tuple(tuple((key, port[key]) for key in order if key in port) for port in obj.get("ports") or ())


def _identity(endpoint: Mapping[str, Any]) -> tuple[str, str]:
    return str(endpoint["addresses"][0]), str(dig(endpoint, "targetRef", "uid", default=""))


def slices_of(store: Store, namespace: str, service: str) -> list[Obj]:
    """The EndpointSlices of a Service, whoever made them, by name."""
    return [obj for obj in store.list(RESOURCE, namespace) if labels_of(obj).get(SERVICE_NAME) == service]


def _slice_keys(manager: str) -> Any:
    def keys(_: World, change: Change) -> Iterable[str]:
        labels = labels_of(change.obj)
        touched = change.type == "DELETED" or (
            change.previous is not None
            and meta(change.obj).get("generation") != meta(change.previous).get("generation")
        )
        if not touched or labels.get(MANAGED_BY) != manager or SERVICE_NAME not in labels:
            return ()
        return (key_of(namespace_of(change.obj), labels[SERVICE_NAME]),)

    return keys


# --- mirrors of Endpoints that people write for Services without a selector


def _mirror(world: World, key: str) -> None:
    namespace, name = split_key(key)
    store = world.cluster.store
    service, endpoints = store.get("services", namespace, name), store.get("endpoints", namespace, name)
    mirrored = (
        service is not None
        and endpoints is not None
        and not dig(service, "spec", "selector")
        and labels_of(endpoints).get(_SKIP_MIRROR) != "true"
        and _LEADER not in annotations_of(endpoints)
    )
    if not mirrored or endpoints is None:
        client = component_client(world, _MIRROR)
        for obj in slices_of(store, namespace, name):
            if labels_of(obj).get(MANAGED_BY) == _MANAGER[_MIRROR] and not is_deleting(obj):
                client.delete(RESOURCE, namespace, name_of(obj))
        return
    wanted: dict[tuple[str, Ports], list[Obj]] = {}
    for subset in endpoints.get("subsets") or ():
        ports = _ports_in({"ports": [{"name": "", **port} for port in subset.get("ports") or ()]})
        for field, ready in (("addresses", True), ("notReadyAddresses", False)):
            for address in subset.get(field) or ():
                family = "IPv6" if ":" in address["ip"] else "IPv4"
                wanted.setdefault((family, ports), []).append(_mirrored(address, ready))
    labels = {k: v for k, v in labels_of(endpoints).items() if k != HEADLESS}
    labels |= {SERVICE_NAME: name, MANAGED_BY: _MANAGER[_MIRROR]}
    last = "kubectl.kubernetes.io/last-applied-configuration"
    marks = {k: v for k, v in annotations_of(endpoints).items() if k not in {last, TRIGGER}}
    for family in ("IPv4", "IPv6"):
        group = {ports: items for (where, ports), items in wanted.items() if where == family}
        if group:
            _Slices(world, _MIRROR, endpoints, labels, marks, family).bring_about(group)


def _mirrored(address: Mapping[str, Any], ready: bool) -> Obj:
    out: Obj = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
    for field in ("hostname", "nodeName", "targetRef"):
        if address.get(field):
            out[field] = address[field]
    return out


CONTROLLER = register(
    Controller(
        name=_NAME,
        component="kube-controller-manager",
        watches={
            "services": own_key,
            "pods": services_of,
            RESOURCE: _slice_keys(_MANAGER[_NAME]),
        },
        reconcile=_reconcile,
        resync=all_keys("services"),
        delay=(10, 120),
    )
)
MIRROR = register(
    Controller(
        name=_MIRROR,
        component="kube-controller-manager",
        watches={
            "services": own_key,
            "endpoints": own_key,
            RESOURCE: _slice_keys(_MANAGER[_MIRROR]),
        },
        reconcile=_mirror,
        resync=all_keys("endpoints"),
        delay=(10, 120),
    )
)
