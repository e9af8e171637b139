"""Static pods of the control plane, and the components that live in them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import events
from firedrill.world.kube.api.client import Client
from firedrill.world.kube.api.request import ADMIN
from firedrill.world.kube.controllers import base
from firedrill.world.kube.kubelet import heartbeat
from firedrill.world.kube.kubelet.state import NodeState, keep_node, kubelets, node_of
from firedrill.world.kube.objects import Obj
from firedrill.world.sim.clock import rfc3339_micro
from firedrill.world.sim.handlers import handler
from firedrill.world.sim.tables import table

if TYPE_CHECKING:
    from firedrill.world.world import World

ELECTED = ("kube-controller-manager", "kube-scheduler")
"""Components that hold a lease."""


@cache
def _layout() -> Mapping[str, Mapping[str, Any]]:
    return table("firedrill.world.kube.kubelet", "static.yaml")  # type: ignore[no-any-return]


def components() -> tuple[str, ...]:
    """The components that run as static pods on control-plane nodes."""
    return tuple(_layout())


def images(git_version: str) -> list[str]:
    """Their images."""
    return [str(item["image"]).format(git_version=git_version) for item in _layout().values()]


def begin(world: World, node: NodeState) -> None:
    """Show the static pods of a new control-plane node, and let the components win their elections."""
    if world.cluster.store.get("namespaces", "", "kube-system") is None:
        return
    for component in _layout():
        _client(world).create(mirror_pod(world, node, component))
    for component in ELECTED:
        _elect(world, node, component)


def _client(world: World) -> Client:
    return Client(world, ADMIN, manager="kubelet", trusted=True)


def mirror_pod(world: World, node: NodeState, component: str) -> Obj:
    """The pod by which the API shows a static pod."""
    layout = _layout()[component]
    names = {"ip": node.ip, "node": node.name, "git_version": world.cluster.settings.git_version}
    digest = world.rng.hexadecimal(32, "static.hash", node.name, component)
    annotations = {
        "kubernetes.io/config.hash": digest,
        "kubernetes.io/config.mirror": digest,
        "kubernetes.io/config.seen": rfc3339_micro(world.now),
        "kubernetes.io/config.source": "file",
        **{key: str(text).format(**names) for key, text in layout.get("annotations", {}).items()},
    }
    stored = world.cluster.store.get("nodes", "", node.name) or {}
    requests = {"cpu": layout["cpu"], **({"memory": layout["memory"]} if "memory" in layout else {})}
    folders = [str(path) for path in layout["folders"]]
    container: Obj = {
        "name": component,
        "image": str(layout["image"]).format(**names),
        "imagePullPolicy": "IfNotPresent",
        "command": [str(word).format(**names) for word in layout["command"]],
        "resources": {"requests": requests},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            {"name": _volume(path), "mountPath": path, **({} if "etcd" in path else {"readOnly": True})}
            for path in folders
        ],
        **_probes(layout["probes"], node.ip if component == "kube-apiserver" else "127.0.0.1"),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{component}-{node.name}",
            "namespace": "kube-system",
            "labels": {"component": component, "tier": "control-plane"},
            "annotations": annotations,
            "ownerReferences": [
                {
                    "apiVersion": "v1",
                    "kind": "Node",
                    "name": node.name,
                    "uid": str((stored.get("metadata") or {}).get("uid", "")),
                    "controller": True,
                }
            ],
        },
        "spec": {
            "containers": [container],
            "dnsPolicy": "ClusterFirst",
            "enableServiceLinks": True,
            "hostNetwork": True,
            "nodeName": node.name,
            "preemptionPolicy": "PreemptLowerPriority",
            "priority": 2_000_001_000,
            "priorityClassName": "system-node-critical",
            "restartPolicy": "Always",
            "schedulerName": "default-scheduler",
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            "terminationGracePeriodSeconds": 30,
            "tolerations": [{"effect": "NoExecute", "operator": "Exists"}],
            "volumes": [
                {"name": _volume(path), "hostPath": {"path": path, "type": "DirectoryOrCreate"}}
                for path in folders
            ],
        },
    }


def _volume(path: str) -> str:
    return path.strip("/").replace("/", "-")


def _probes(told: Mapping[str, Any], host: str) -> Obj:
    kinds = {"live": ("livenessProbe", 8, 10, 15), "ready": ("readinessProbe", 3, 1, 15)}
    kinds["start"] = ("startupProbe", 24, 10, 15)
    out: Obj = {}
    for key, (name, failures, period, timeout) in kinds.items():
        if key in told:
            out[name] = {
                "httpGet": {
                    "host": host,
                    "path": told[key],
                    "port": told["port"],
                    "scheme": told["scheme"],
                },
                "failureThreshold": failures,
                "periodSeconds": period,
                "successThreshold": 1,
                "timeoutSeconds": timeout,
            }
    return out


def _elect(world: World, node: NodeState, component: str) -> None:
    """The component takes its lease, and says so."""
    holder = f"{node.name}_{world.rng.uuid('election', component, world.now)}"
    moment = rfc3339_micro(world.now)
    old = world.cluster.store.get("leases.coordination.k8s.io", "kube-system", component)
    turns = int((old or {}).get("spec", {}).get("leaseTransitions", -1)) + 1
    spec = {
        "holderIdentity": holder,
        "leaseDurationSeconds": 15,
        "acquireTime": moment,
        "renewTime": moment,
        "leaseTransitions": turns,
    }
    if old is None:
        meta = {"name": component, "namespace": "kube-system"}
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec}
        lease = _client(world).create(body)
    else:
        lease = _client(world).update({**old, "spec": spec})
    told = "default-scheduler" if component == "kube-scheduler" else component
    events.record(world, lease, "Normal", "LeaderElection", f"{holder} became leader", component=told)


def stop(world: World, node: str, component: str) -> None:
    """Take a static pod's manifest away: its pod goes, and the component no longer runs.

    Raises:
        LookupError: no such static pod runs on the node.
    """
    name = f"{component}-{node}"
    found = node_of(world, node)
    if (
        found is None
        or component not in _layout()
        or _client(world).find("pods", "kube-system", name) is None
    ):
        raise LookupError(f"node {node!r} has no part and no static pod called {component!r}")
    lease = world.cluster.store.get("leases.coordination.k8s.io", "kube-system", component)
    if lease is not None:
        from firedrill.world.kube.kubelet.heartbeat import shown_lease

        _client(world).update(shown_lease(world, lease))
    base.stop_component(world, component)
    keep_node(world, _with_static(found, found.static_down | {component}))
    _client(world).delete("pods", "kube-system", name, grace=0)


def start(world: World, node: str, component: str) -> None:
    """Put a static pod's manifest back.

    Raises:
        LookupError: the component is none that has been stopped on that node.
    """
    found = node_of(world, node)
    if found is None or component not in found.static_down:
        raise LookupError(f"node {node!r} has no stopped static pod called {component!r}")
    found = keep_node(world, _with_static(found, found.static_down - {component}))
    _client(world).create(mirror_pod(world, found, component))
    _run_again(world, found, component)


def _run_again(world: World, node: NodeState, component: str) -> None:
    """A component begins: it wins its election, and the node controller learns of all nodes."""
    base.start_component(world, component)
    if component in ELECTED:
        _elect(world, node, component)
    if component == "kube-controller-manager":
        for name in sorted(kubelets(world).nodes):
            heartbeat.say_registered(world, name)


def machine_down(world: World, node: NodeState) -> None:
    """The machine of a control plane goes down, and its components with it."""
    for component in ELECTED if node.control_plane else ():
        if component not in node.static_down:
            base.stop_component(world, component)


def machine_up(world: World, name: str) -> None:
    """The machine of a control plane has come up: its components begin within half a minute."""
    node = node_of(world, name)
    for component in ELECTED if node is not None and node.control_plane else ():
        delay = world.rng.integer(9_000, 28_000, "static.boot", component, world.now)
        world.schedule(delay, "kubelet.static", name, component)


@handler("kubelet.static")
def _component_up(world: World, name: str, component: str) -> None:
    node = node_of(world, name)
    if node is not None and component not in node.static_down and not base.is_up(world, component):
        _run_again(world, node, component)


def restore(world: World, node: NodeState, name: str) -> None:
    """A mirror pod was deleted through the API: the kubelet shows it again."""
    component = name.removesuffix(f"-{node.name}")
    if component in _layout() and component not in node.static_down and node.runs("kubelet"):
        _client(world).create(mirror_pod(world, node, component))


def _with_static(node: NodeState, down: frozenset[str]) -> NodeState:
    from dataclasses import replace

    return replace(node, static_down=down)
