"""Nodes: how they join, what they report, and what follows when a part of one stops."""

from __future__ import annotations

import re
from typing import Any

import pytest

from firedrill.world import Settings, World
from firedrill.world.kube import kubelet
from firedrill.world.kube.api import Client
from firedrill.world.kube.api.request import Request
from firedrill.world.kube.api.server import handle
from firedrill.world.kube.controllers import base
from firedrill.world.kube.kubelet import shortage
from firedrill.world.kube.kubelet.state import node_of
from firedrill.world.kube.rbac_defaults import default_objects

Obj = dict[str, Any]
_DIAL = "dial unix /run/containerd/containerd.sock: connect: no such file or directory"


def make(pods: int = 1, **more: Any) -> World:
    world = World(5, settings=Settings(freeze=True))
    client = Client(world)
    for name in ("default", "kube-system", "kube-public", "kube-node-lease"):
        client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for obj in default_objects():
        client.create(obj)
    world.run_for(1_000)
    meta = {"name": "default", "namespace": "default"}
    if client.find("serviceaccounts", "default", "default") is None:
        client.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
    if client.find("configmaps", "default", "kube-root-ca.crt") is None:
        meta = {"name": "kube-root-ca.crt", "namespace": "default"}
        client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"ca.crt": "-"}})
    for number in range(2):
        roles = ("control-plane",) if number == 0 else ()
        kubelet.add_node(world, f"n{number}", roles=roles, **more)
    for number in range(pods):
        Client(world, trusted=True).create(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": f"p{number}", "namespace": "default"},
                "spec": {
                    "nodeName": "n1",
                    "containers": [{"name": "c", "image": "nginx:1.27"}],
                    "tolerations": [
                        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
                        for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
                    ],
                },
            }
        )
    world.run_for(30_000)
    return world


def node(world: World, name: str = "n1") -> Obj:
    return handle(world, Request("get", "", "v1", "nodes", name=name)).obj


def told(world: World, reason: str, about: str = "n1") -> list[Obj]:
    return [
        item
        for item in world.cluster.store.list("events")
        if item["reason"] == reason and item["involvedObject"]["name"] == about
    ]


def reported(world: World, type_: str = "Ready") -> Obj:
    items: list[Obj] = node(world)["status"]["conditions"]
    return next(item for item in items if item["type"] == type_)


def test_a_node_registers_like_a_real_one() -> None:
    world = make()
    obj = node(world)
    assert obj["metadata"]["labels"]["kubernetes.io/hostname"] == "n1"
    assert obj["spec"]["podCIDR"] == "10.244.1.0/24"
    assert obj["status"]["nodeInfo"]["kubeletVersion"] == "v1.31.2"
    assert obj["status"]["capacity"]["pods"] == "110"
    assert [item["type"] for item in obj["status"]["conditions"]] == [
        "NetworkUnavailable",
        "MemoryPressure",
        "DiskPressure",
        "PIDPressure",
        "Ready",
    ]
    assert not obj["spec"].get("taints")
    assert told(world, "Starting")[0]["message"] == "Starting kubelet."
    assert told(world, "RegisteredNode")[0]["source"] == {"component": "node-controller"}
    with pytest.raises(LookupError):
        kubelet.nodes.stop(world, "n1", "warp-drive")


def test_beats_follow_the_clock_without_a_write() -> None:
    world = make()
    before = world.cluster.store.rv
    lease = Request("get", "coordination.k8s.io", "v1", "leases", "kube-node-lease", "n1")
    first = handle(world, lease).obj["spec"]["renewTime"]
    beat = reported(world)["lastHeartbeatTime"]
    world.run_for(3_000_000)
    assert handle(world, lease).obj["spec"]["renewTime"] > first
    assert reported(world)["lastHeartbeatTime"] > beat
    assert world.cluster.store.rv == before


def test_a_silent_kubelet_makes_its_node_unknown_and_its_pods_leave() -> None:
    world = make()
    kubelet.nodes.stop(world, "n1", "kubelet")
    world.run_for(25_000)
    assert reported(world)["status"] == "True"
    world.run_for(30_000)
    ready = reported(world)
    assert (ready["status"], ready["reason"]) == ("Unknown", "NodeStatusUnknown")
    assert ready["message"] == "Kubelet stopped posting node status."
    taints = {(item["key"], item["effect"]) for item in node(world)["spec"]["taints"]}
    assert taints == {
        ("node.kubernetes.io/unreachable", "NoSchedule"),
        ("node.kubernetes.io/unreachable", "NoExecute"),
    }
    assert told(world, "NodeNotReady")[0]["message"] == "Node n1 status is now: NodeNotReady"
    assert told(world, "NodeNotReady", "p0")[0]["message"] == "Node is not ready"
    pod = Client(world).get("pods", "default", "p0")
    assert {item["status"] for item in pod["status"]["conditions"] if item["type"] == "Ready"} == {"False"}
    world.run_for(300_000)
    assert Client(world).get("pods", "default", "p0")["metadata"]["deletionTimestamp"]
    assert told(world, "TaintManagerEviction", "p0")[0]["message"] == "Marking for deletion Pod default/p0"
    kubelet.nodes.start(world, "n1", "kubelet")
    world.run_for(60_000)
    assert reported(world)["status"] == "True"
    assert not node(world)["spec"].get("taints")
    assert world.cluster.store.get("pods", "default", "p0") is None


def test_a_kubelet_that_comes_back_in_time_keeps_its_pods() -> None:
    world = make()
    kubelet.nodes.stop(world, "n1", "kubelet")
    world.run_for(120_000)
    kubelet.nodes.start(world, "n1", "kubelet")
    world.run_for(400_000)
    pod = Client(world).get("pods", "default", "p0")
    assert all(item["status"] == "True" for item in pod["status"]["conditions"])
    assert told(world, "NodeReady")


def test_a_dead_runtime_makes_the_node_not_ready() -> None:
    world = make()
    kubelet.nodes.stop(world, "n1", "containerd")
    world.run_for(60_000)
    ready = reported(world)
    assert (ready["status"], ready["reason"]) == ("False", "KubeletNotReady")
    assert "container runtime is down" in ready["message"]
    assert node(world)["status"]["nodeInfo"]["containerRuntimeVersion"] == "containerd://Unknown"
    assert _DIAL in told(world, "ContainerGCFailed")[0]["message"]
    new = {"name": "late", "namespace": "default"}
    spec = {"nodeName": "n1", "containers": [{"name": "c", "image": "nginx:1.27"}]}
    Client(world, trusted=True).create({"apiVersion": "v1", "kind": "Pod", "metadata": new, "spec": spec})
    world.run_for(3_000)
    assert _DIAL in told(world, "FailedCreatePodSandBox", "late")[0]["message"]


def test_a_cordoned_node_is_tainted_and_says_so() -> None:
    world = make()
    client = Client(world)
    client.patch("nodes", "", "n1", {"spec": {"unschedulable": True}})
    world.run_for(15_000)
    assert [item["key"] for item in node(world)["spec"]["taints"]] == ["node.kubernetes.io/unschedulable"]
    assert told(world, "NodeNotSchedulable")[0]["message"] == "Node n1 status is now: NodeNotSchedulable"
    client.patch("nodes", "", "n1", {"spec": {"unschedulable": None}})
    world.run_for(15_000)
    assert not node(world)["spec"].get("taints")
    assert told(world, "NodeSchedulable")


def test_a_stopped_scheduler_is_gone_until_it_is_started() -> None:
    world = make()
    lease = Request("get", "coordination.k8s.io", "v1", "leases", "kube-system", "kube-scheduler")
    kubelet.nodes.stop(world, "n0", "kube-scheduler")
    assert not base.is_up(world, "kube-scheduler")
    world.run_for(5_000)
    assert world.cluster.store.get("pods", "kube-system", "kube-scheduler-n0") is None
    last = handle(world, lease).obj["spec"]["renewTime"]
    world.run_for(60_000)
    assert handle(world, lease).obj["spec"]["renewTime"] == last
    kubelet.nodes.start(world, "n0", "kube-scheduler")
    world.run_for(20_000)
    assert base.is_up(world, "kube-scheduler")
    assert Client(world).get("pods", "kube-system", "kube-scheduler-n0")["status"]["phase"] == "Running"
    assert handle(world, lease).obj["spec"]["leaseTransitions"] == 1


def test_a_deleted_mirror_pod_comes_back() -> None:
    world = make()
    Client(world).delete("pods", "kube-system", "etcd-n0", grace=0)
    world.run_for(20_000)
    assert Client(world).get("pods", "kube-system", "etcd-n0")["status"]["phase"] == "Running"


def test_a_node_says_what_flannel_says_of_it() -> None:
    own = node(make())["metadata"]["annotations"]
    told = {key.rpartition("/")[2]: value for key, value in own.items() if key.startswith("flannel.")}
    assert re.fullmatch(r'\{"VNI":1,"VtepMAC":"([0-9a-f]{2}:){5}[0-9a-f]{2}"\}', told.pop("backend-data"))
    assert set(told) == {"backend-type", "kube-subnet-manager", "public-ip"}


def test_memory_pressure_evicts() -> None:
    world = make(pods=2)
    kubelet.nodes.set_pressure(world, "n1", "memory")
    world.run_for(15_000)
    assert reported(world, "MemoryPressure")["reason"] == "KubeletHasInsufficientMemory"
    gone = [
        pod for pod in world.cluster.store.list("pods", "default") if pod["status"].get("reason") == "Evicted"
    ]
    assert len(gone) == 1
    assert gone[0]["status"]["phase"] == "Failed"
    assert gone[0]["status"]["message"].startswith(
        "The node was low on resource: memory. Threshold quantity:"
    )


def test_a_program_without_a_limit_presses_its_node() -> None:
    world = make(pods=2)
    free = shortage.available(world, "n1")
    kubelet.set_health(world, "default", "p0", "c", memory=free - (50 << 20))
    world.run_for(30_000)
    assert reported(world, "MemoryPressure")["status"] == "True"
    pods = {pod["metadata"]["name"]: pod["status"] for pod in world.cluster.store.list("pods", "default")}
    assert (pods["p0"]["reason"], pods["p1"]["phase"]) == ("Evicted", "Running")
    world.run_for(330_000)
    assert reported(world, "MemoryPressure")["status"] == "False"


def test_where_nothing_is_left_the_kernel_ends_a_program() -> None:
    world = make(pods=2)
    kubelet.set_health(world, "default", "p0", "c", memory=shortage.available(world, "n1") + 1)
    world.run_for(30_000)
    assert told(world, "SystemOOM")[0]["message"].startswith("System OOM encountered, victim process: ")
    last = Client(world).get("pods", "default", "p0")["status"]["containerStatuses"][0]["lastState"]
    assert (last["terminated"]["reason"], last["terminated"]["exitCode"]) == ("OOMKilled", 137)
    assert reported(world, "MemoryPressure")["status"] == "False"


def test_a_reboot_restarts_everything() -> None:
    world = make()
    old = node(world)["status"]["nodeInfo"]["bootID"]
    kubelet.nodes.reboot(world, "n1")
    world.run_for(120_000)
    new = node(world)["status"]["nodeInfo"]["bootID"]
    assert new != old
    assert told(world, "Rebooted")[0]["message"] == f"Node n1 has been rebooted, boot id: {new}"
    pod = Client(world).get("pods", "default", "p0")
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 1
    assert all(item["status"] == "True" for item in pod["status"]["conditions"])


def test_a_fork_goes_through_an_outage_alike() -> None:
    world = make(pods=2)
    kubelet.nodes.stop(world, "n1", "kubelet")
    world.run_for(20_000)
    twin = world.fork()
    for each in (world, twin):
        each.run_for(200_000)
        kubelet.nodes.start(each, "n1", "kubelet")
        each.run_for(100_000)
    assert world.digest() == twin.digest()
    state = node_of(world, "n1")
    assert state is not None
    assert not state.down
