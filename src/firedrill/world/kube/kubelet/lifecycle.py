"""The node lifecycle controller: silent nodes become unknown, troubled ones are tainted, pods marked.

Source of the rules and words: kube-controller-manager's nodelifecycle and tainteviction controllers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import events
from firedrill.world.kube.api.client import component_client
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.controllers import base
from firedrill.world.kube.kubelet.heartbeat import say
from firedrill.world.kube.kubelet.state import node_of
from firedrill.world.kube.objects import Obj, condition, dig, name_of, with_condition
from firedrill.world.kube.store import Change
from firedrill.world.sim.clock import epoch_ms, rfc3339
from firedrill.world.sim.handlers import handler

if TYPE_CHECKING:
    from firedrill.world.world import World

NAME = "node-controller"
_PROCESS = "kube-controller-manager"
_PERIOD = 5_000
_NOT_READY, _UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
_BY_CONDITION = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
    "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
}
_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_OURS = frozenset({_NOT_READY, _UNREACHABLE, _UNSCHEDULABLE, *_BY_CONDITION.values()})


def silent(world: World, name: str) -> None:
    """A kubelet has stopped to report: look when its grace period is over."""
    lease = _last_lease(world, name)
    due = lease + world.cluster.settings.node_grace
    due += -due % _PERIOD + 1
    world.schedule(max(due - world.now, 1), "nodes.monitor", name)


def _last_lease(world: World, name: str) -> int:
    node = node_of(world, name)
    if node is None or node.silent_since < 0:
        return world.now
    period = world.cluster.settings.node_lease
    return node.silent_since - (node.silent_since - node.booted + node.number * 977) % period


def _began(world: World) -> int:
    """When the controller began to watch: it gives every node its grace period anew."""
    lease = world.cluster.store.get("leases.coordination.k8s.io", "kube-system", _PROCESS)
    acquired = dig(lease or {}, "spec", "acquireTime")
    return epoch_ms(str(acquired)) if acquired else 0


@handler("nodes.monitor")
def _monitor(world: World, name: str) -> None:
    node, obj = node_of(world, name), world.cluster.store.get("nodes", "", name)
    if node is None or obj is None or node.silent_since < 0:
        return
    if _PROCESS in world.cluster.work.down:
        world.schedule(_PERIOD, "nodes.monitor", name)
        return
    grace = world.cluster.settings.node_grace
    if world.now - _last_lease(world, name) < grace:
        silent(world, name)
        return
    if world.now - _began(world) < grace:
        world.schedule(_PERIOD, "nodes.monitor", name)
        return
    items: Sequence[Mapping[str, Any]] = dig(obj, "status", "conditions", default=())
    new = list(items)
    for type_ in ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready"):
        before = next((item for item in items if item["type"] == type_), {})
        told = {"reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."}
        beat = rfc3339(_last_lease(world, name))
        entry = {"type": type_, "status": "Unknown", "lastHeartbeatTime": beat, **told}
        if before.get("status") != "Unknown":
            new = with_condition(new, entry, world.time)
    if new == list(items):
        return
    try:
        component_client(world, NAME).update_status(obj, {**obj["status"], "conditions": new})
    except ApiError:
        world.schedule(_PERIOD, "nodes.monitor", name)
        return
    say(world, name, "Normal", "NodeNotReady", f"Node {name} status is now: NodeNotReady", NAME)


def _reconcile(world: World, key: str) -> None:
    _, name = base.split_key(key)
    obj = world.cluster.store.get("nodes", "", name)
    if obj is None:
        return
    ready = condition(obj, "Ready") or {}
    wanted = _taints(obj, str(ready.get("status") or "Unknown"))
    have = list(dig(obj, "spec", "taints", default=()))
    keys = {(taint["key"], taint["effect"]) for taint in wanted}
    kept = [t for t in have if t.get("key") not in _OURS or (t.get("key"), t.get("effect")) in keys]
    known = {(taint.get("key"), taint.get("effect")) for taint in kept}
    added = [
        {**taint, "timeAdded": world.time} for taint in wanted if (taint["key"], taint["effect"]) not in known
    ]
    new = [*kept, *added]
    if new != have:
        spec = {key: item for key, item in obj["spec"].items() if key != "taints"}
        component_client(world, NAME).update({**obj, "spec": {**spec, **({"taints": new} if new else {})}})
    if ready and ready.get("status") != "True":
        _mark_pods(world, name)


def _taints(obj: Obj, ready: str) -> list[Obj]:
    out: list[Obj] = []
    if dig(obj, "spec", "unschedulable"):
        out.append({"key": _UNSCHEDULABLE, "effect": "NoSchedule"})
    if ready != "True" and condition(obj, "Ready") is not None:
        key = _NOT_READY if ready == "False" else _UNREACHABLE
        out += [{"key": key, "effect": "NoSchedule"}, {"key": key, "effect": "NoExecute"}]
    for type_, key in _BY_CONDITION.items():
        if (condition(obj, type_) or {}).get("status") == "True":
            out.append({"key": key, "effect": "NoSchedule"})
    return out


def _mark_pods(world: World, name: str) -> None:
    """Pods of a node that is not ready count as not ready."""
    client = component_client(world, NAME)
    for pod in world.cluster.store.pods_on(name):
        ready = condition(pod, "Ready")
        if ready is None or ready.get("status") != "True":
            continue
        new = with_condition(pod["status"]["conditions"], {**ready, "status": "False"}, world.time)
        client.update_status(pod, {**pod["status"], "conditions": new})
        events.record(world, pod, "Warning", "NodeNotReady", "Node is not ready", component=NAME)


def _keys(_: World, change: Change) -> Iterable[str]:
    return () if change.type == "DELETED" else (base.key_of("", name_of(change.obj)),)


base.register(
    base.Controller(
        "node-lifecycle-controller", _PROCESS, {"nodes": _keys}, _reconcile, base.all_keys("nodes"), (20, 900)
    )
)


# --- what the kubelet says when its node is cordoned


def _cordons(_: World, change: Change) -> Iterable[str]:
    if change.type == "DELETED" or change.previous is None:
        return ()
    was, now = (dig(item, "spec", "unschedulable") for item in (change.previous, change.obj))
    return (base.key_of("", name_of(change.obj)),) if bool(was) != bool(now) else ()


def _tell_cordon(world: World, key: str) -> None:
    from dataclasses import replace

    from firedrill.world.kube.kubelet.state import keep_node

    _, name = base.split_key(key)
    node, obj = node_of(world, name), world.cluster.store.get("nodes", "", name)
    if node is None or obj is None or not node.runs("kubelet"):
        return
    now = bool(dig(obj, "spec", "unschedulable"))
    if now == node.unschedulable:
        return
    keep_node(world, replace(node, unschedulable=now))
    reason = "NodeNotSchedulable" if now else "NodeSchedulable"
    say(world, name, "Normal", reason, f"Node {name} status is now: {reason}", "kubelet")


base.register(
    base.Controller(
        "kubelet-node", "kubelet", {"nodes": _cordons}, _tell_cordon, base.all_keys("nodes"), (200, 9_000)
    )
)
