"""What the scheduler remembers of nodes equals what the store says, whatever happened before."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import firedrill.world.kube.scheduler
import firedrill.world.kube.volumes  # noqa: F401 - their loops register
from firedrill.world import Settings, World
from firedrill.world.kube.api.client import Client
from firedrill.world.kube.controllers.base import resync_all, start_component, stop_component
from firedrill.world.kube.objects import dig, with_path, without_path
from firedrill.world.kube.rbac_defaults import default_objects
from firedrill.world.kube.scheduler.memory import snapshot
from firedrill.world.kube.scheduler.nodeinfo import take_snapshot
from firedrill.world.kube.scheduler.queue import SchedulerState

pytestmark = pytest.mark.slow

NODES = ("a", "b", "c")
KEEP_APART = {
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}}
        ]
    }
}

_BASE: list[World] = []


def fresh() -> World:
    """A fork of one cluster with three nodes: making one takes longer than forking it."""
    if not _BASE:
        world = World(3, settings=Settings(freeze=True))
        client = Client(world, trusted=True)
        for name in ("shop", "default", "kube-system", "kube-public"):
            client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        for item in default_objects():
            client.create(item)
        account = {"name": "default", "namespace": "shop"}
        client.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
        resync_all(world)
        for name in NODES:
            amounts = {"cpu": "2", "memory": "4Gi", "pods": "6"}
            labels = {"kubernetes.io/hostname": name}
            status = {"allocatable": amounts, "capacity": amounts}
            made = client.create(
                {
                    "apiVersion": "v1",
                    "kind": "Node",
                    "metadata": {"name": name, "labels": labels},
                    "spec": {},
                    "status": status,
                }
            )
            client.update(without_path(made, ("spec", "taints")))
        _BASE.append(world)
    return _BASE[0].fork()


def create(client: Client, name: str, cpu: str, app: str, apart: bool, priority: int) -> None:
    if client.find("pods", "shop", name) is not None:
        return
    spec: dict[str, Any] = {
        "containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}],
    }
    if apart:
        spec["affinity"] = KEEP_APART
    if priority:
        client_class = f"level-{priority}"
        if client.find("priorityclasses.scheduling.k8s.io", "", client_class) is None:
            client.create(
                {
                    "apiVersion": "scheduling.k8s.io/v1",
                    "kind": "PriorityClass",
                    "metadata": {"name": client_class},
                    "value": priority,
                }
            )
        spec["priorityClassName"] = client_class
    client.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "shop", "labels": {"app": app}},
            "spec": spec,
        }
    )


names = st.sampled_from([f"p{i}" for i in range(12)])
actions = st.one_of(
    st.tuples(
        st.just("create"),
        names,
        st.sampled_from(["200m", "900m", "1500m"]),
        st.sampled_from(["web", "db"]),
        st.booleans(),
        st.sampled_from([0, 0, 0, 100]),
    ),
    st.tuples(st.just("delete"), names),
    st.tuples(st.just("finish"), names),
    st.tuples(st.just("start"), names),
    st.tuples(st.just("label"), names),
    st.tuples(st.just("cordon"), st.sampled_from(NODES)),
    st.tuples(st.just("scheduler"), st.booleans()),
    st.tuples(st.just("run"), st.sampled_from([3, 40, 1_500, 12_000])),
)


def act(world: World, action: tuple[Any, ...]) -> None:
    client = Client(world, trusted=True)
    what, *rest = action
    if what == "create":
        create(client, *rest)
    elif what == "run":
        world.run_for(rest[0])
    elif what == "scheduler":
        (start_component if rest[0] else stop_component)(world, "kube-scheduler")
    elif what == "cordon":
        node = client.get("nodes", "", rest[0])
        client.update(with_path(node, ("spec", "unschedulable"), not dig(node, "spec", "unschedulable")))
    elif (pod := client.find("pods", "shop", rest[0])) is not None:
        if what == "delete":
            client.delete("pods", "shop", rest[0], grace=0)
        elif what == "label":
            client.update(with_path(pod, ("metadata", "labels", "app"), "db"))
        elif dig(pod, "spec", "nodeName"):
            phase = "Succeeded" if what == "finish" else "Running"
            client.update_status(pod, {**pod["status"], "phase": phase, "startTime": world.time})


@settings(max_examples=40, deadline=None)
@given(st.lists(actions, max_size=25))
def test_the_memory_equals_the_store(steps: list[tuple[Any, ...]]) -> None:
    world = fresh()
    for step in steps:
        act(world, step)
        for info in take_snapshot(world.cluster.store).nodes.values():
            assert info.requested.get("cpu", 0) <= info.allocatable["cpu"]
            assert len(info.pods) <= info.allocatable["pods"]
    start_component(world, "kube-scheduler")
    twin = world.fork()
    world.run_for(30_000)
    twin.run_for(30_000)
    assert world.digest() == twin.digest()
    known = snapshot(world, world.cluster.part(SchedulerState)).nodes
    for name, anew in take_snapshot(world.cluster.store).nodes.items():
        there = known[name]
        assert (there.requested, there.ports, there.anti_terms) == (
            anew.requested,
            anew.ports,
            anew.anti_terms,
        )
        assert [item.key for item in there.pods] == [item.key for item in anew.pods]
        assert [dict(item.labels) for item in there.pods] == [dict(item.labels) for item in anew.pods]
