"""APIServices: which groups the API server serves itself, and whether those that others serve can be reached.

Source: kube-aggregator of Kubernetes 1.31 (reasons and messages are wire facts).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from firedrill.world.kube.api.client import Client
from firedrill.world.kube.api.request import User
from firedrill.world.kube.controllers.base import Controller, register
from firedrill.world.kube.objects import Obj, condition, dig, labels_of, name_of, namespace_of, with_condition
from firedrill.world.sim.tables import table

if TYPE_CHECKING:
    from firedrill.world.kube.store import Change
    from firedrill.world.world import World

_SERVER = User("system:apiserver", ("system:masters",))
_APIS = "apiservices.apiregistration.k8s.io"
_CRDS = "customresourcedefinitions.apiextensions.k8s.io"
_AUTO = "kube-aggregator.kubernetes.io/automanaged"
_LOCAL = "#local"


@cache
def _priorities() -> Mapping[str, Any]:
    return table(__package__, "apiservices.yaml")  # type: ignore[no-any-return]


def _keys(world: World, change: Change) -> Iterable[str]:
    if change.resource == _CRDS:
        return (_LOCAL,) if change.type != "MODIFIED" else ()
    if change.resource == _APIS:
        if change.type == "DELETED" and _AUTO in labels_of(change.obj):
            return (_LOCAL,)
        return (name_of(change.obj),) if dig(change.obj, "spec", "service") else ()
    return [
        name_of(obj)
        for obj in world.cluster.store.list(_APIS)
        if dig(obj, "spec", "service", "name") == name_of(change.obj)
        and dig(obj, "spec", "service", "namespace") == namespace_of(change.obj)
    ]


def _reconcile(world: World, name: str) -> None:
    client = Client(world, _SERVER, manager="kube-apiserver", trusted=True)
    if name == _LOCAL:
        _serve_local(world, client)
        return
    obj = world.cluster.store.get(_APIS, "", name)
    if obj is not None and dig(obj, "spec", "service"):
        _tell(client, obj, *_reachable(world, obj))


def _serve_local(world: World, client: Client) -> None:
    store = world.cluster.store
    wanted = {f"{version}.{group}": (group, version) for group, version in world.cluster.kinds.versions()}
    for name, (group, version) in wanted.items():
        if store.get(_APIS, "", name) is None and group != "metrics.k8s.io":
            _create_local(world, client, name, group, version)
    for obj in store.list(_APIS):
        if _AUTO in labels_of(obj) and name_of(obj) not in wanted:
            client.delete(_APIS, "", name_of(obj))


def _create_local(world: World, client: Client, name: str, group: str, version: str) -> None:
    known = _priorities()
    builtin = group in known["groups"]
    of_group, of_version = known["groups"].get(group) or known["custom"]
    spec: Obj = {
        "groupPriorityMinimum": of_group,
        "version": version,
        "versionPriority": known["versions"].get(name, of_version),
    }
    if group:
        spec["group"] = group
    made = client.create(
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": name, "labels": {_AUTO: "onstart" if builtin else "true"}},
            "spec": spec,
        }
    )
    _tell(client, made, "True", "Local", "Local APIServices are always available")


def _reachable(world: World, obj: Obj) -> tuple[str, str, str]:
    """(status, reason, message) of an API that a Service of the cluster serves."""
    store, service = world.cluster.store, obj["spec"]["service"]
    space, name = str(service.get("namespace")), str(service.get("name"))
    place = f'service/{name} in "{space}"'
    found = store.get("services", space, name)
    if found is None:
        return "False", "ServiceNotFound", f"{place} is not present"
    number = int(service.get("port") or 443)
    port = next((item for item in found["spec"].get("ports") or () if item.get("port") == number), None)
    if port is None:
        return "False", "ServicePortError", f"{place} is not listening on port {number}"
    endpoints = store.get("endpoints", space, name)
    if endpoints is None:
        return "False", "EndpointsNotFound", f"cannot find endpoints for {place}"
    label = str(port.get("name") or "")
    for subset in endpoints.get("subsets") or ():
        named = any(str(item.get("name") or "") == label for item in subset.get("ports") or ())
        if subset.get("addresses") and named:
            return "True", "Passed", "all checks passed"
    message = f'endpoints for {place} have no addresses with port name "{label}"'
    return "False", "MissingEndpoints", message


def _tell(client: Client, obj: Obj, status: str, reason: str, message: str) -> None:
    old = condition(obj, "Available")
    if old is not None and (old.get("status"), old.get("message")) == (status, message):
        return
    new = {"type": "Available", "status": status, "reason": reason, "message": message}
    conditions = with_condition(dig(obj, "status", "conditions"), new, client.world.time)
    client.update_status(obj, {"conditions": conditions})


def _resync(world: World) -> Iterable[str]:
    remote = [obj for obj in world.cluster.store.list(_APIS) if dig(obj, "spec", "service")]
    return [_LOCAL, *(name_of(obj) for obj in remote)]


CONTROLLER = register(
    Controller(
        name="kube-aggregator",
        component="kube-apiserver",
        watches={_APIS: _keys, _CRDS: _keys, "services": _keys, "endpoints": _keys},
        reconcile=_reconcile,
        resync=_resync,
    )
)
