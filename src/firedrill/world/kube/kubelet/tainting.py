"""Eviction by taints: pods that do not tolerate a NoExecute taint are deleted when their time is up.

Source: kube-controller-manager's taint-eviction-controller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import events, node_selectors
from firedrill.world.kube.api.client import component_client
from firedrill.world.kube.controllers import base
from firedrill.world.kube.objects import (
    Obj,
    dig,
    is_deleting,
    name_of,
    namespace_of,
    uid_of,
    with_condition,
)
from firedrill.world.kube.store import Change
from firedrill.world.sim.clock import epoch_ms
from firedrill.world.sim.handlers import handler

if TYPE_CHECKING:
    from firedrill.world.world import World

NAME = "taint-eviction-controller"
_PROCESS = "kube-controller-manager"


def _taints(world: World, node: str) -> list[Mapping[str, Any]]:
    obj = world.cluster.store.get("nodes", "", node)
    return [taint for taint in dig(obj, "spec", "taints", default=()) if taint.get("effect") == "NoExecute"]


def _due(world: World, pod: Obj, taints: Sequence[Mapping[str, Any]]) -> int | None:
    """When the pod must go, in ms; None where it may stay."""
    due: int | None = None
    for taint in taints:
        fitting = [
            item
            for item in dig(pod, "spec", "tolerations", default=())
            if node_selectors.tolerates([item], taint)
        ]
        if not fitting:
            return world.now
        seconds = [int(item["tolerationSeconds"]) for item in fitting if "tolerationSeconds" in item]
        if not seconds:
            continue
        begin = epoch_ms(str(taint["timeAdded"])) if taint.get("timeAdded") else world.now
        end = begin + max(min(seconds), 0) * 1000
        due = end if due is None else min(due, end)
    return due


def _reconcile(world: World, key: str) -> None:
    namespace, name = base.split_key(key)
    pods = world.cluster.store.pods_on(name) if not namespace else []
    if namespace:
        found = world.cluster.store.get("pods", namespace, name)
        pods = [found] if found is not None else []
    for pod in pods:
        taints = _taints(world, str(pod["spec"].get("nodeName") or ""))
        if not taints or is_deleting(pod):
            continue
        due = _due(world, pod, taints)
        if due is None:
            continue
        if due <= world.now:
            _delete(world, pod)
        else:
            where = (namespace_of(pod), name_of(pod), uid_of(pod))
            world.schedule(due - world.now, "taints.due", *where)


@handler("taints.due")
def _is_due(world: World, namespace: str, name: str, uid: str) -> None:
    pod = world.cluster.store.get("pods", namespace, name)
    if pod is None or uid_of(pod) != uid or is_deleting(pod):
        return
    due = _due(world, pod, _taints(world, str(pod["spec"].get("nodeName") or "")))
    if due is None or _PROCESS in world.cluster.work.down:
        return
    if due <= world.now:
        base.enqueue(world, NAME, base.key_of(namespace, name), 0)


def _delete(world: World, pod: Obj) -> None:
    namespace, name = namespace_of(pod), name_of(pod)
    events.record(
        world,
        pod,
        "Normal",
        "TaintManagerEviction",
        f"Marking for deletion Pod {namespace}/{name}",
        component=NAME,
    )
    client = component_client(world, "node-controller")
    told = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "DeletionByTaintManager",
        "message": "Taint manager: deleting due to NoExecute taint",
    }
    old = dig(pod, "status", "conditions", default=[])
    conditions = with_condition(old, told, world.time)
    client.update_status(pod, {**(pod.get("status") or {}), "conditions": conditions})
    client.delete("pods", namespace, name, uid=uid_of(pod))


def _nodes(_: World, change: Change) -> Iterable[str]:
    was = dig(change.previous, "spec", "taints", default=[])
    now = dig(change.obj, "spec", "taints", default=[])
    return (base.key_of("", name_of(change.obj)),) if was != now and change.type != "DELETED" else ()


def _pods(world: World, change: Change) -> Iterable[str]:
    node = dig(change.obj, "spec", "nodeName")
    same = dig(change.previous, "spec", "nodeName") == node
    same = same and dig(change.previous, "spec", "tolerations") == dig(change.obj, "spec", "tolerations")
    if not node or same or change.type == "DELETED" or not _taints(world, str(node)):
        return ()
    return (base.key_of(namespace_of(change.obj), name_of(change.obj)),)


base.register(
    base.Controller(
        NAME,
        _PROCESS,
        {"nodes": _nodes, "pods": _pods},
        _reconcile,
        base.all_keys("nodes"),
    )
)
