"""What nodes report: conditions, events, and the times that are computed when they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import events
from firedrill.world.kube.api import strategy
from firedrill.world.kube.api.client import Client
from firedrill.world.kube.api.request import ADMIN
from firedrill.world.kube.kubelet.state import NodeState, node_of
from firedrill.world.kube.objects import Obj, dig, name_of, namespace_of, with_condition
from firedrill.world.sim.clock import rfc3339, rfc3339_micro
from firedrill.world.sim.handlers import handler

if TYPE_CHECKING:
    from firedrill.world.world import World

_STATUS_PERIOD = 300_000
_FINE = (
    ("MemoryPressure", "memory", "KubeletHasSufficientMemory", "kubelet has sufficient memory available",
     "KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
    ("DiskPressure", "disk", "KubeletHasNoDiskPressure", "kubelet has no disk pressure",
     "KubeletHasDiskPressure", "kubelet has disk pressure"),
    ("PIDPressure", "pid", "KubeletHasSufficientPID", "kubelet has sufficient PID available",
     "KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
)  # fmt: skip
PRESSURE_EVENTS = {
    "memory": ("NodeHasSufficientMemory", "NodeHasInsufficientMemory"),
    "disk": ("NodeHasNoDiskPressure", "NodeHasDiskPressure"),
    "pid": ("NodeHasSufficientPID", "NodeHasInsufficientPID"),
}


def images_of(node: NodeState) -> list[Any]:
    """`status.images`: the 50 largest ones."""
    order = sorted(node.images.items(), key=lambda item: (-item[1], item[0]))
    return [{"names": [name], "sizeBytes": size} for name, size in order[:50]]


def conditions(world: World, node: NodeState) -> list[Obj]:
    """What the kubelet reports, without times."""
    out = []
    for type_, pressure, reason, message, bad_reason, bad_message in _FINE:
        bad = pressure in node.pressure
        out.append(
            {
                "type": type_,
                "status": "True" if bad else "False",
                "reason": bad_reason if bad else reason,
                "message": bad_message if bad else message,
            }
        )
    problem = ""
    if not node.runs("containerd"):
        problem = "container runtime is down"
    elif not node.runs("network"):
        problem = (
            "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady "
            "message:Network plugin returns error: cni plugin not initialized"
        )
    ready = {"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": problem}
    if not problem:
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "kubelet is posting ready status",
        }
    return [*out, ready]


def say(world: World, name: str, type_: str, reason: str, message: str, component: str) -> None:
    """Record an event about a node: the event is in the namespace `default`, the node in none."""
    about = {"kind": "Node", "apiVersion": "v1", "name": name, "uid": name}
    host = name if component in {"kubelet", "kube-proxy"} else ""
    events.record(world, about, type_, reason, message, component=component, host=host)


def tell(world: World, name: str, type_: str, reason: str, message: str) -> None:
    """Record an event about a node as its kubelet."""
    say(world, name, type_, reason, message, "kubelet")


def say_starting(world: World, name: str) -> None:
    """What a kubelet says when it starts."""
    tell(world, name, "Normal", "Starting", "Starting kubelet.")
    tell(world, name, "Warning", "InvalidDiskCapacity", "invalid capacity 0 on image filesystem")
    tell(world, name, "Normal", "NodeAllocatableEnforced", "Updated Node Allocatable limit across pods")
    for good, _ in PRESSURE_EVENTS.values():
        tell(world, name, "Normal", good, f"Node {name} status is now: {good}")


def say_registered(world: World, name: str) -> None:
    """What the node controller says when a node is new to it."""
    message = f"Node {name} event: Registered Node {name} in Controller"
    say(world, name, "Normal", "RegisteredNode", message, "node-controller")


# --- reporting


def report(world: World, name: str) -> None:
    """Let the kubelet write its node's conditions, where they have changed; it must be running."""
    node, obj = node_of(world, name), world.cluster.store.get("nodes", "", name)
    if node is None or obj is None or not node.runs("kubelet"):
        return
    old = dig(obj, "status", "conditions", default=[])
    new = list(old)
    was = {item["type"]: item for item in old}
    for item in conditions(world, node):
        before = was.get(item["type"], {})
        same = all(before.get(key) == item[key] for key in ("status", "reason", "message"))
        beat = before.get("lastHeartbeatTime", world.time) if same else world.time
        new = with_condition(new, {**item, "lastHeartbeatTime": beat}, world.time)
    info = dig(obj, "status", "nodeInfo", default={})
    runtime = world.cluster.settings.default_runtime if node.runs("containerd") else "containerd://Unknown"
    boot = world.rng.uuid("node.boot", name, node.boots)
    status = {
        **obj["status"],
        "conditions": new,
        "images": images_of(node),
        "nodeInfo": {**info, "containerRuntimeVersion": runtime, "bootID": boot},
    }
    Client(world, ADMIN, manager="kubelet", trusted=True).update_status(obj, status)
    ready_was, ready = was.get("Ready", {}).get("status"), _ready(new)
    if ready_was != ready:
        reason = "NodeReady" if ready == "True" else "NodeNotReady"
        tell(world, name, "Normal", reason, f"Node {name} status is now: {reason}")


def _ready(items: Sequence[Mapping[str, Any]]) -> str:
    return next((str(item["status"]) for item in items if item["type"] == "Ready"), "")


def images_changed(world: World, name: str) -> None:
    """An image came or went; the node's list follows with the next report."""
    world.schedule(5_000, "kubelet.report", name)


@handler("kubelet.report")
def _report(world: World, name: str) -> None:
    report(world, name)


# --- what is computed when it is read


def _last_beat(node: NodeState, now: int, period: int) -> int:
    """When the last of a series of reports was made that began when the node came up."""
    until = node.silent_since if node.silent_since >= 0 else now
    return until - (until - node.booted + node.number * 977) % period


def _view_node(world: World, obj: Obj) -> Obj:
    node = node_of(world, name_of(obj))
    if node is None:
        return obj
    beat = rfc3339(max(_last_beat(node, world.now, _STATUS_PERIOD), node.booted))
    kept = [
        {**item, "lastHeartbeatTime": beat}
        if item["type"] != "NetworkUnavailable" and item.get("lastHeartbeatTime", "") < beat
        else item
        for item in dig(obj, "status", "conditions", default=())
    ]
    return {**obj, "status": {**obj["status"], "conditions": kept}}


def shown_lease(world: World, obj: Obj) -> Obj:
    """A lease as it is now: its holder has renewed it meanwhile."""
    settings = world.cluster.settings
    if namespace_of(obj) == "kube-node-lease":
        node = node_of(world, name_of(obj))
        if node is None:
            return obj
        moment = max(_last_beat(node, world.now, settings.node_lease), node.booted)
    elif namespace_of(obj) == "kube-system" and name_of(obj) in {"kube-scheduler", "kube-controller-manager"}:
        if name_of(obj) in world.cluster.work.down:
            return obj
        moment = world.now - world.now % 2_000
    else:
        return obj
    renewed = rfc3339_micro(moment)
    if renewed <= str(dig(obj, "spec", "renewTime", default="")):
        return obj
    return {**obj, "spec": {**obj["spec"], "renewTime": renewed}}


strategy.on_read("nodes", _view_node)
strategy.on_read("leases.coordination.k8s.io", shown_lease)
