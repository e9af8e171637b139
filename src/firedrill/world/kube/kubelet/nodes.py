"""Nodes: how they register, which of their parts run, and what they report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import events, quantity
from firedrill.world.kube.api import strategy
from firedrill.world.kube.api.client import Client
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.api.request import ADMIN
from firedrill.world.kube.controllers import base
from firedrill.world.kube.kubelet.state import PARTS, NodeState, keep_node, kubelets, node_of
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
_PRESSURE_EVENTS = {
    "memory": ("NodeHasSufficientMemory", "NodeHasInsufficientMemory"),
    "disk": ("NodeHasNoDiskPressure", "NodeHasDiskPressure"),
    "pid": ("NodeHasSufficientPID", "NodeHasInsufficientPID"),
}
_GC_FAILED = (
    'rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: '
    'dial unix /run/containerd/containerd.sock: connect: no such file or directory"'
)


def add_node(
    world: World,
    name: str,
    *,
    roles: Sequence[str] = (),
    cpu: str = "8",
    memory: str = "16Gi",
    pods: int = 110,
    labels: Mapping[str, str] | None = None,
    taints: Sequence[Mapping[str, Any]] = (),
    architecture: str = "amd64",
    images: Mapping[str, int] | None = None,
    storage: str = "98Gi",
) -> Obj:
    """Let a machine join the cluster.

    Args:
        world: where.
        name: of the node and its machine.
        roles: as in `control-plane`; such a node also gets the control plane's static pods.
        cpu, memory, storage: capacity, as quantities.
        pods: how many pods it takes.
        labels, taints: besides those that every node has.
        architecture: `amd64` or `arm64`.
        images: bytes by full name of the images that are on it.

    Returns:
        The Node object.

    Raises:
        ApiError: there is a node of that name.
    """
    settings = world.cluster.settings
    number = len(kubelets(world).nodes)
    address = str(ip_network(settings.node_cidr)[number + 2])
    ranges = ip_network(settings.pod_cidr)
    third = int(ranges.network_address) + number * 256
    cidr = f"{third >> 24 & 255}.{third >> 16 & 255}.{third >> 8 & 255}.0/24"
    node = NodeState(name, number, address, cidr, images=dict(images or {}), booted=world.now)
    obj: Obj = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": _labels(name, roles, architecture) | dict(labels or {}),
            "annotations": {
                "kubeadm.alpha.kubernetes.io/cri-socket": "unix:///run/containerd/containerd.sock",
                "node.alpha.kubernetes.io/ttl": "0",
                "volumes.kubernetes.io/controller-managed-attach-detach": "true",
            },
        },
        "spec": {
            "podCIDR": cidr,
            "podCIDRs": [cidr],
            "providerID": f"kind://docker/kind/{name}",
            **({"taints": [dict(taint) for taint in taints]} if taints else {}),
        },
        "status": _status(world, node, cpu, memory, storage, pods, architecture),
    }
    client = Client(world, ADMIN, manager="kubelet", trusted=True)
    keep_node(world, node)
    try:
        made = client.create(obj)
    except ApiError:
        del kubelets(world).nodes[name]
        raise
    made = client.update_status(made, obj["status"])
    client.create(_lease_of(world, made))
    _say_starting(world, name)
    _say_registered(world, name)
    _say(world, name, "Normal", "NodeReady", f"Node {name} status is now: NodeReady")
    return made


def _labels(name: str, roles: Sequence[str], architecture: str) -> dict[str, str]:
    out = {
        "beta.kubernetes.io/arch": architecture,
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": architecture,
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
    }
    out |= {f"node-role.kubernetes.io/{role}": "" for role in roles}
    if "control-plane" in roles:
        out["node.kubernetes.io/exclude-from-external-load-balancers"] = ""
    return out


def _status(
    world: World, node: NodeState, cpu: str, memory: str, storage: str, pods: int, architecture: str
) -> Obj:
    settings = world.cluster.settings
    disk, ram = quantity.value(storage), quantity.value(memory)
    common = {"cpu": cpu, "hugepages-1Gi": "0", "hugepages-2Mi": "0", "pods": str(pods)}
    capacity = {**common, "ephemeral-storage": f"{disk // 1024}Ki", "memory": f"{ram // 1024}Ki"}
    left = {
        **common,
        "ephemeral-storage": str(disk * 9 // 10),
        "memory": f"{ram // 1024 - 100 * 1024}Ki",
    }
    name = node.name
    status: Obj = {
        "addresses": [
            {"type": "InternalIP", "address": node.ip},
            {"type": "Hostname", "address": name},
        ],
        "allocatable": dict(sorted(left.items())),
        "capacity": dict(sorted(capacity.items())),
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "images": _images(node),
        "nodeInfo": {
            "architecture": architecture,
            "bootID": world.rng.uuid("node.boot", name, 0),
            "containerRuntimeVersion": settings.default_runtime,
            "kernelVersion": "5.15.0-138-generic",
            "kubeProxyVersion": settings.git_version,
            "kubeletVersion": settings.git_version,
            "machineID": world.rng.hexadecimal(32, "node.machine", name),
            "operatingSystem": "linux",
            "osImage": "Ubuntu 22.04.5 LTS",
            "systemUUID": world.rng.uuid("node.system", name),
        },
        "runtimeHandlers": [
            {"name": "", "features": {"recursiveReadOnlyMounts": True, "userNamespaces": False}},
        ],
    }
    status["conditions"] = [
        {
            "type": "NetworkUnavailable",
            "status": "False",
            "lastHeartbeatTime": world.time,
            "lastTransitionTime": world.time,
            "reason": "FlannelIsUp",
            "message": "Flannel is running on this node",
        },
        *[_beat(world, item) for item in conditions(world, node)],
    ]
    return status


def _images(node: NodeState) -> list[Any]:
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


def _beat(world: World, item: Obj) -> Obj:
    return {**item, "lastHeartbeatTime": world.time, "lastTransitionTime": world.time}


def _lease_of(world: World, node: Obj) -> Obj:
    moment = rfc3339_micro(world.now)
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": name_of(node),
            "namespace": "kube-node-lease",
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Node", "name": name_of(node), "uid": node["metadata"]["uid"]}
            ],
        },
        "spec": {"holderIdentity": name_of(node), "leaseDurationSeconds": 40, "renewTime": moment},
    }


def say(world: World, name: str, type_: str, reason: str, message: str, component: str) -> None:
    """Record an event about a node, in the namespace `default`, as node events are."""
    about = {"kind": "Node", "apiVersion": "v1", "name": name, "uid": name, "namespace": "default"}
    host = name if component in {"kubelet", "kube-proxy"} else ""
    events.record(world, about, type_, reason, message, component=component, host=host)


def _say(world: World, name: str, type_: str, reason: str, message: str) -> None:
    say(world, name, type_, reason, message, "kubelet")


def _say_starting(world: World, name: str) -> None:
    _say(world, name, "Normal", "Starting", "Starting kubelet.")
    _say(world, name, "Warning", "InvalidDiskCapacity", "invalid capacity 0 on image filesystem")
    _say(world, name, "Normal", "NodeAllocatableEnforced", "Updated Node Allocatable limit across pods")
    for good, _ in _PRESSURE_EVENTS.values():
        _say(world, name, "Normal", good, f"Node {name} status is now: {good}")


def _say_registered(world: World, name: str) -> None:
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
        "images": _images(node),
        "nodeInfo": {**info, "containerRuntimeVersion": runtime, "bootID": boot},
    }
    Client(world, ADMIN, manager="kubelet", trusted=True).update_status(obj, status)
    ready_was, ready = was.get("Ready", {}).get("status"), _ready(new)
    if ready_was != ready:
        reason = "NodeReady" if ready == "True" else "NodeNotReady"
        _say(world, name, "Normal", reason, f"Node {name} status is now: {reason}")


def _ready(items: Sequence[Mapping[str, Any]]) -> str:
    return next((str(item["status"]) for item in items if item["type"] == "Ready"), "")


def images_changed(world: World, name: str) -> None:
    """An image came or went; the node's list follows with the next report."""
    world.schedule(5_000, "kubelet.report", name)


@handler("kubelet.report")
def _report(world: World, name: str) -> None:
    report(world, name)


# --- parts that stop and start


def stop(world: World, name: str, part: str) -> None:
    """Let a part of a node stop working.

    Args:
        world: where.
        name: of the node.
        part: `kubelet`, `containerd`, `kube-proxy`, `network`, or a static pod of the control plane
            such as `kube-scheduler`.

    Raises:
        LookupError: there is no such node or part.
    """
    from firedrill.world.kube.kubelet import lifecycle, static

    node = _known(world, name)
    if part not in PARTS:
        static.stop(world, name, part)
        return
    if not node.runs(part):
        return
    node = keep_node(world, replace(node, down=node.down | {part}))
    if part == "kubelet":
        keep_node(world, replace(node, silent_since=world.now))
        lifecycle.silent(world, name)
    elif part == "containerd":
        delay = world.rng.integer(1_000, 9_000, "node.down", name, world.now)
        world.schedule(delay, "kubelet.report", name)
        world.schedule(delay + 10_000, "kubelet.gc", name)
    elif part == "network":
        world.schedule(world.rng.integer(500, 5_000, "node.down", name, world.now), "kubelet.report", name)


def start(world: World, name: str, part: str) -> None:
    """Let a stopped part of a node work again.

    Raises:
        LookupError: there is no such node or part.
    """
    from firedrill.world.kube.kubelet import static

    node = _known(world, name)
    if part not in PARTS:
        static.start(world, name, part)
        return
    if node.runs(part):
        return
    node = keep_node(world, replace(node, down=node.down - {part}))
    if part == "kubelet":
        _kubelet_starts(world, name)
    elif part == "kube-proxy":
        say(world, name, "Normal", "Starting", "", "kube-proxy")
    else:
        world.schedule(world.rng.integer(500, 4_000, "node.up", name, world.now), "kubelet.resume", name)


def _kubelet_starts(world: World, name: str) -> None:
    keep_node(world, replace(_known(world, name), silent_since=-1))
    _say_starting(world, name)
    world.schedule(world.rng.integer(300, 1_500, "node.up", name, world.now), "kubelet.resume", name)


@handler("kubelet.resume")
def _resume(world: World, name: str) -> None:
    """The kubelet reports again and looks at all of its pods."""
    from firedrill.world.kube.kubelet import probes, sync

    node = node_of(world, name)
    if node is None or not node.runs("kubelet"):
        return
    report(world, name)
    for pod in world.cluster.store.pods_on(name):
        base.enqueue(world, sync.NAME, base.key_of(namespace_of(pod), name_of(pod)))
    probes.wake_all(world, name)


@handler("kubelet.gc")
def _gc(world: World, name: str) -> None:
    """The garbage collector of containers runs once a minute and tells of its failure."""
    node = node_of(world, name)
    if node is None or not node.runs("kubelet") or node.runs("containerd"):
        return
    _say(world, name, "Warning", "ContainerGCFailed", _GC_FAILED)
    world.schedule(60_000, "kubelet.gc", name)


def reboot(world: World, name: str) -> None:
    """Restart a machine: every container on it starts again.

    Raises:
        LookupError: there is no such node.
    """
    from firedrill.world.kube.kubelet import running

    node = _known(world, name)
    part = kubelets(world)
    for state in list(part.pods.values()):
        if state.node == name:
            for found in list(state.containers.values()):
                state = running.end(world, state, found, 255, "Unknown")
            part.pods[state.uid] = replace(state, sandbox="none", ip="", busy="")
    node = keep_node(world, replace(node, boots=node.boots + 1, booted=world.now, down=frozenset(PARTS)))
    world.schedule(world.rng.integer(20_000, 45_000, "node.boot", name, node.boots), "kubelet.boot", name)


@handler("kubelet.boot")
def _boot(world: World, name: str) -> None:
    node = _known(world, name)
    keep_node(world, replace(node, down=frozenset(), silent_since=-1))
    _say_starting(world, name)
    boot = world.rng.uuid("node.boot", name, node.boots)
    _say(world, name, "Warning", "Rebooted", f"Node {name} has been rebooted, boot id: {boot}")
    say(world, name, "Normal", "Starting", "", "kube-proxy")
    world.schedule(800, "kubelet.resume", name)


def set_pressure(world: World, name: str, kind: str, *, on: bool = True) -> None:
    """Let a node run short of `memory`, `disk` or `pid`, or no longer; pods are evicted for the first two.

    Raises:
        LookupError: there is no such node or kind.
    """
    from firedrill.world.kube.kubelet import eviction

    node = _known(world, name)
    if kind not in _PRESSURE_EVENTS:
        raise LookupError(f"nodes know no pressure of {kind!r}")
    node = keep_node(world, replace(node, pressure=node.pressure | {kind} if on else node.pressure - {kind}))
    good, bad = _PRESSURE_EVENTS[kind]
    reason = bad if on else good
    if node.runs("kubelet"):
        _say(world, name, "Normal", reason, f"Node {name} status is now: {reason}")
    report(world, name)
    if on:
        eviction.begin(world, name, kind)


def _known(world: World, name: str) -> NodeState:
    node = node_of(world, name)
    if node is None:
        raise LookupError(f"no node is called {name!r}")
    return node


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


def _view_lease(world: World, obj: Obj) -> Obj:
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
strategy.on_read("leases.coordination.k8s.io", _view_lease)
