"""Pods that nobody else clears away: on nodes that are gone or out of service, and too many that have ended.

Source: the pod garbage collector of Kubernetes 1.31, which looks every 20 s and gives a missing node 40 s.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from firedrill.world.kube.api.client import component_client
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.controllers.base import Controller, register
from firedrill.world.kube.objects import (
    Obj,
    condition,
    dig,
    is_deleting,
    meta,
    name_of,
    namespace_of,
    uid_of,
    with_condition,
)

if TYPE_CHECKING:
    from firedrill.world.kube.store import Change
    from firedrill.world.world import World

_USER = "pod-garbage-collector"
_ENDED = frozenset({"Succeeded", "Failed"})
_MOST_ENDED = 12_500
_OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
_ALL_ENDED = "#ended"
_QUARANTINE = (40_000, 60_000)


def _pod_keys(world: World, change: Change) -> Iterable[str]:
    if change.type == "DELETED":
        return ()
    store, node = world.cluster.store, dig(change.obj, "spec", "nodeName")
    out = []
    bound = node and dig(change.previous, "spec", "nodeName") != node
    if bound and store.get("nodes", "", node) is None:
        out.append(str(node))
    if store.count("pods") > _MOST_ENDED and dig(change.obj, "status", "phase") in _ENDED:
        out.append(_ALL_ENDED)
    return out


def _node_keys(_: World, change: Change) -> Iterable[str]:
    taints = dig(change.obj, "spec", "taints", default=())
    lost = change.type == "DELETED" or any(item.get("key") == _OUT_OF_SERVICE for item in taints)
    return (name_of(change.obj),) if lost else ()


def _reconcile(world: World, key: str) -> None:
    if key == _ALL_ENDED:
        _clear_ended(world)
        return
    store = world.cluster.store
    node = store.get("nodes", "", key)
    ready = condition(node or {}, "Ready")
    for pod in store.pods_on(key):
        if node is None:
            _clear(world, pod, "PodGC: node no longer exists")
        elif is_deleting(pod) and (ready or {}).get("status") != "True":
            _clear(world, pod, "")


def _clear(world: World, pod: Obj, why: str) -> None:
    """Mark the pod as failed where it has not ended, then delete it without waiting."""
    client = component_client(world, _USER)
    try:
        if dig(pod, "status", "phase") not in _ENDED:
            status = {**(pod.get("status") or {}), "phase": "Failed"}
            if why:
                lost = {
                    "type": "DisruptionTarget",
                    "status": "True",
                    "reason": "DeletionByPodGC",
                    "message": why,
                }
                status["conditions"] = with_condition(status.get("conditions"), lost, world.time)
            client.patch("pods", namespace_of(pod), name_of(pod), {"status": status}, subresource="status")
        client.delete("pods", namespace_of(pod), name_of(pod), grace=0, uid=uid_of(pod))
    except ApiError as refusal:
        if refusal.reason not in {"NotFound", "Conflict"}:
            raise


def _clear_ended(world: World) -> None:
    pods = world.cluster.store.list("pods")
    ended = [pod for pod in pods if dig(pod, "status", "phase") in _ENDED]
    ended.sort(key=lambda pod: (str(meta(pod).get("creationTimestamp")), namespace_of(pod), name_of(pod)))
    for pod in ended[: max(len(ended) - _MOST_ENDED, 0)]:
        _clear(world, pod, "")


def _resync(world: World) -> Iterable[str]:
    store = world.cluster.store
    nodes = {dig(pod, "spec", "nodeName", default="") for pod in store.list("pods")} - {""}
    return [*sorted(node for node in nodes if store.get("nodes", "", node) is None), _ALL_ENDED]


CONTROLLER = register(
    Controller(
        name="pod-garbage-collector",
        component="kube-controller-manager",
        watches={"pods": _pod_keys, "nodes": _node_keys},
        reconcile=_reconcile,
        resync=_resync,
        delay=_QUARANTINE,
    )
)
