"""The scheduler in a running world."""

from __future__ import annotations

from typing import Any

import pytest

import firedrill.world.kube.scheduler
import firedrill.world.kube.volumes  # noqa: F401 - their loops register
from firedrill.world import Settings, World
from firedrill.world.kube.api.client import Client
from firedrill.world.kube.controllers.base import resync_all, start_component, stop_component
from firedrill.world.kube.objects import condition, dig, with_path, without_path
from firedrill.world.kube.rbac_defaults import default_objects


@pytest.fixture
def world() -> World:
    made = World(7, settings=Settings(freeze=True))
    client = Client(made, trusted=True)
    for name in ("boutique", "default", "kube-system", "kube-public"):
        client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for item in default_objects():
        client.create(item)
    account = {"name": "default", "namespace": "boutique"}
    client.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    resync_all(made)
    return made


def node(client: Client, name: str, cpu: str = "2", **spec: Any) -> None:
    allocatable = {"cpu": cpu, "memory": "4Gi", "pods": "110"}
    made = client.create(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
            "spec": spec,
            "status": {"allocatable": allocatable, "capacity": allocatable},
        }
    )
    client.update(without_path(made, ("spec", "taints")))  # admission has marked it as not ready


def pod(client: Client, name: str, cpu: str = "100m", **spec: Any) -> dict[str, Any]:
    return client.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "boutique"},
            "spec": {
                "containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}],
                **spec,
            },
        }
    )


def told(world: World, name: str, reason: str) -> list[dict[str, Any]]:
    return [
        item
        for item in world.cluster.store.list("events", "boutique")
        if item["involvedObject"]["name"] == name and item["reason"] == reason
    ]


def where(world: World, name: str) -> str:
    return str(dig(world.cluster.store.get("pods", "boutique", name), "spec", "nodeName", default=""))


def test_a_pod_is_bound_and_told_so(world: World) -> None:
    client = Client(world, trusted=True)
    node(client, "w1")
    pod(client, "web")
    world.run_for(1_000)
    assert where(world, "web") == "w1"
    (event,) = told(world, "web", "Scheduled")
    assert event["message"] == "Successfully assigned boutique/web to w1"
    assert event["source"]["component"] == "default-scheduler"
    found = condition(client.get("pods", "boutique", "web"), "PodScheduled")
    assert found is not None
    assert found["status"] == "True"


def test_a_refused_pod_tells_once_and_waits_for_what_would_help(world: World) -> None:
    client = Client(world, trusted=True)
    node(client, "w1")
    pod(client, "big", cpu="3")
    world.run_for(120_000)
    (event,) = told(world, "big", "FailedScheduling")
    assert event["count"] == 1
    found = condition(client.get("pods", "boutique", "big"), "PodScheduled")
    assert found is not None
    assert (found["status"], found["reason"], found["message"]) == (
        "False",
        "Unschedulable",
        event["message"],
    )
    node(client, "w2", cpu="1")  # too small: no attempt
    world.run_for(30_000)
    assert told(world, "big", "FailedScheduling") == [event]
    node(client, "w3", cpu="4")
    world.run_for(5_000)
    assert where(world, "big") == "w3"


def test_after_five_minutes_it_tries_again_anyway(world: World) -> None:
    client = Client(world, trusted=True)
    node(client, "w1")
    pod(client, "big", cpu="3")
    world.run_for(299_000)
    assert told(world, "big", "FailedScheduling")[0]["count"] == 1
    world.run_for(3_000)
    assert told(world, "big", "FailedScheduling")[0]["count"] == 2


def test_a_pod_that_ends_makes_room(world: World) -> None:
    client = Client(world, trusted=True)
    node(client, "w1", cpu="1")
    pod(client, "first", cpu="800m")
    world.run_for(1_000)
    pod(client, "second", cpu="800m")
    world.run_for(10_000)
    assert where(world, "second") == ""
    client.delete("pods", "boutique", "first", grace=0)
    world.run_for(2_000)
    assert where(world, "second") == "w1"


def test_without_a_scheduler_nothing_happens_and_later_all_is_caught_up(world: World) -> None:
    client = Client(world, trusted=True)
    node(client, "w1")
    stop_component(world, "kube-scheduler")
    pod(client, "web")
    pod(client, "big", cpu="9")
    world.run_for(600_000)
    assert where(world, "web") == ""
    assert not told(world, "web", "Scheduled")
    assert not told(world, "big", "FailedScheduling")
    assert condition(client.get("pods", "boutique", "big"), "PodScheduled") is None
    start_component(world, "kube-scheduler")
    world.run_for(2_000)
    assert where(world, "web") == "w1"
    assert len(told(world, "big", "FailedScheduling")) == 1


def test_uncordoning_helps(world: World) -> None:
    client = Client(world, trusted=True)
    node(client, "w1", unschedulable=True)
    pod(client, "web")
    world.run_for(60_000)
    (event,) = told(world, "web", "FailedScheduling")
    assert event["message"] == (
        "0/1 nodes are available: 1 node(s) were unschedulable. "
        "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
    )
    client.update(with_path(client.get("nodes", "", "w1"), ("spec", "unschedulable"), False))
    world.run_for(2_000)
    assert where(world, "web") == "w1"


def test_gates_hold_a_pod_back_silently(world: World) -> None:
    client = Client(world, trusted=True)
    node(client, "w1")
    pod(client, "web", schedulingGates=[{"name": "example.com/wait"}])
    world.run_for(60_000)
    assert where(world, "web") == ""
    assert not told(world, "web", "FailedScheduling")
    found = condition(client.get("pods", "boutique", "web"), "PodScheduled")
    assert found is not None
    assert found["reason"] == "SchedulingGated"
    client.update(with_path(client.get("pods", "boutique", "web"), ("spec", "schedulingGates"), []))
    world.run_for(2_000)
    assert where(world, "web") == "w1"


def test_preemption_marks_and_deletes_the_victim(world: World) -> None:
    client = Client(world, trusted=True)
    node(client, "w1", cpu="1")
    pod(client, "low", cpu="800m")
    world.run_for(1_000)
    client.create(
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "high"},
            "value": 1000,
        }
    )
    high = pod(client, "high", cpu="800m", priorityClassName="high", priority=1000)
    world.run_for(500)
    (event,) = told(world, "low", "Preempted")
    assert event["message"] == f"Preempted by pod {high['metadata']['uid']} on node w1"
    waiting = client.get("pods", "boutique", "high")
    assert dig(waiting, "status", "nominatedNodeName") == "w1"
    victim = client.find("pods", "boutique", "low")
    if victim is not None:  # leaving with its grace: the kubelet would finish it
        found = condition(victim, "DisruptionTarget")
        assert found is not None
        assert found["reason"] == "PreemptionByScheduler"
        assert victim["metadata"]["deletionTimestamp"]
        client.delete("pods", "boutique", "low", grace=0)
    world.run_for(12_000)
    assert where(world, "high") == "w1"


def test_another_scheduler_s_pods_are_left_alone(world: World) -> None:
    client = Client(world, trusted=True)
    node(client, "w1")
    pod(client, "web", schedulerName="mine")
    world.run_for(60_000)
    assert where(world, "web") == ""
    assert not told(world, "web", "FailedScheduling")


def test_a_fork_goes_on_as_the_world_does(world: World) -> None:
    client = Client(world, trusted=True)
    for index in range(3):
        node(client, f"w{index}")
    for index in range(30):
        pod(client, f"p{index:02}", cpu="300m")
        if index % 7 == 0:
            world.run_for(30)
    twin = world.fork()
    world.run_for(20_000)
    twin.run_for(20_000)
    assert twin.digest() == world.digest()
    placed = [where(world, f"p{index:02}") for index in range(30)]
    assert sorted(map(placed.count, ("w0", "w1", "w2"))) == [6, 6, 6]
