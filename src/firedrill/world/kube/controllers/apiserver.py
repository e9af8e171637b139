"""What the API server keeps by itself: the endpoints of the `kubernetes` Service."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from firedrill.world.kube.api.client import Client
from firedrill.world.kube.api.request import User
from firedrill.world.kube.controllers.base import Controller, register
from firedrill.world.kube.objects import Obj, dig, labels_of, name_of

if TYPE_CHECKING:
    from firedrill.world.kube.store import Change
    from firedrill.world.world import World

_SERVER = User("system:apiserver", ("system:masters",))
_SLICES = "endpointslices.discovery.k8s.io"
_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
_PORT = {"name": "https", "port": 6443, "protocol": "TCP"}
_PLACE = {"name": "kubernetes", "namespace": "default"}


def _keys(_: World, change: Change) -> Iterable[str]:
    if change.resource == "nodes":
        watched = _CONTROL_PLANE in labels_of(change.obj)
        same = change.previous is not None and _addresses([change.previous]) == _addresses([change.obj])
        return ("kubernetes",) if watched and not same else ()
    here = change.obj["metadata"]
    mine = here.get("namespace") == "default" and name_of(change.obj) == "kubernetes"
    return ("kubernetes",) if mine and (change.resource == "services" or change.type == "DELETED") else ()


def _addresses(nodes: Iterable[Obj]) -> list[str]:
    return [
        str(item["address"])
        for node in nodes
        for item in dig(node, "status", "addresses", default=())
        if item.get("type") == "InternalIP"
    ]


def _reconcile(world: World, _: str) -> None:
    store = world.cluster.store
    nodes = [node for node in store.list("nodes") if _CONTROL_PLANE in labels_of(node)]
    addresses = _addresses(nodes)
    if not addresses or store.get("services", "default", "kubernetes") is None:
        return
    subset = {"addresses": [{"ip": text} for text in sorted(addresses)], "ports": [dict(_PORT)]}
    endpoints = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {**_PLACE, "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": [subset],
    }
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**_PLACE, "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [text], "conditions": {"ready": True}} for text in sorted(addresses)],
        "ports": [dict(_PORT)],
    }
    client = Client(world, _SERVER, manager="kube-apiserver", trusted=True)
    for resource, wanted in (("endpoints", endpoints), (_SLICES, slice_)):
        found = store.get(resource, "default", "kubernetes")
        if found is None:
            client.create(wanted)
        elif any(found.get(key) != wanted[key] for key in wanted if key != "metadata"):
            client.update({**wanted, "metadata": found["metadata"]})


CONTROLLER = register(
    Controller(
        name="kubernetes-service",
        component="kube-apiserver",
        watches={"nodes": _keys, "services": _keys, "endpoints": _keys, _SLICES: _keys},
        reconcile=_reconcile,
        resync=lambda _: ("kubernetes",),
    )
)
