"""A small cluster for the tests of controllers: nodes whose pods come up and go by a stop-watch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

import firedrill.world.kube.controllers  # noqa: F401
from firedrill.world import Settings, World
from firedrill.world.kube.api.client import Client
from firedrill.world.kube.controllers.base import (
    Controller,
    enqueue,
    key_of,
    register,
    resync_all,
    split_key,
    stop_component,
)
from firedrill.world.kube.objects import Obj, dig, is_deleting, name_of, namespace_of, with_condition
from firedrill.world.kube.rbac_defaults import default_objects
from firedrill.world.kube.store import Change

NAMESPACE = "shop"


class Lab:
    """A world with nodes `lab-1`, … whose pods start and end as their image says.

    The image `ok` becomes ready after a second, `slow` after ten, `never` runs and is not ready,
    `done` succeeds and `fails` fails after two seconds.
    """

    def __init__(self, nodes: int = 3, seed: int = 1) -> None:
        self.world = World(seed, settings=Settings(freeze=True))
        stop_component(self.world, "kube-scheduler")
        self.client = Client(self.world, trusted=True)
        for name in ("default", "kube-system", "kube-public", NAMESPACE):
            self.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            account = {"name": "default", "namespace": name}
            self.client.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
        for item in default_objects():
            self.client.create(item)
        for number in range(1, nodes + 1):
            self.node(f"lab-{number}")
        resync_all(self.world)

    def node(self, name: str, **spec: Any) -> Obj:
        """Add a node."""
        size = {"cpu": "8", "memory": "16Gi", "pods": "110"}
        labels = {"kubernetes.io/hostname": name}
        made = self.client.create(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": labels},
                "spec": spec,
                "status": {
                    "allocatable": size,
                    "capacity": size,
                    "conditions": [{"type": "Ready", "status": "True"}],
                },
            }
        )
        return self.client.update({**made, "spec": {**spec, "podCIDR": "10.244.0.0/24"}})

    def make(self, kind: str, name: str, api: str = "apps/v1", image: str = "ok", **spec: Any) -> Obj:
        """Create a workload whose pods are labelled `app=<name>`."""
        body: Obj = {"selector": {"matchLabels": {"app": name}}, "template": template(name, image), **spec}
        return self.client.create(
            {
                "apiVersion": api,
                "kind": kind,
                "metadata": {"name": name, "namespace": NAMESPACE},
                "spec": {key: item for key, item in body.items() if item is not None},
            }
        )

    def change(self, resource: str, name: str, **spec: Any) -> Obj:
        """Merge into the spec of an object."""
        return self.client.patch(resource, NAMESPACE, name, {"spec": spec})

    def get(self, resource: str, name: str) -> Obj:
        """An object of the namespace."""
        return self.client.get(resource, NAMESPACE, name)

    def objects(self, resource: str) -> list[Obj]:
        """All objects of the resource in the namespace."""
        return self.world.cluster.store.list(resource, NAMESPACE)

    def status(self, resource: str, name: str) -> Any:
        """The status of an object of the namespace."""
        return dict(self.get(resource, name).get("status") or {})

    def seconds(self, count: float) -> None:
        """Let so much time pass."""
        self.world.run_for(round(count * 1000))

    def told(self, kind: str, name: str) -> list[tuple[str, str]]:
        """(reason, message) of the events about an object, oldest first."""
        about = [
            item
            for item in self.objects("events")
            if (item["involvedObject"]["kind"], item["involvedObject"]["name"]) == (kind, name)
        ]
        about.sort(key=lambda item: int(item["metadata"]["resourceVersion"]))
        return [(item["reason"], item["message"]) for item in about]

    def set_pod(self, name: str, **status: Any) -> None:
        """Change the status of a pod."""
        pod = self.get("pods", name)
        self.client.update_status(pod, {**(pod.get("status") or {}), **status})


def template(name: str, image: str = "ok", **spec: Any) -> Obj:
    """A pod template labelled `app=<name>`."""
    container = {"name": "main", "image": image, "resources": {"requests": {"cpu": "100m"}}}
    return {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container], **spec}}


@pytest.fixture
def lab() -> Lab:
    """A small cluster of three nodes."""
    return Lab()


@pytest.fixture
def new_lab() -> Callable[..., Lab]:
    """Make small clusters."""
    return Lab


# --- the stop-watch


def _keys(world: World, change: Change) -> Iterable[str]:
    if world.cluster.store.get("nodes", "", "lab-1") is None:
        return ()  # a world of another test
    node = dig(change.obj, "spec", "nodeName")
    if node is None or str(node).startswith("lab-"):
        return (key_of(namespace_of(change.obj), name_of(change.obj)),)
    return ()


def _lab_nodes(world: World) -> list[str]:
    nodes = world.cluster.store.list("nodes")
    return [
        name_of(node)
        for node in nodes
        if name_of(node).startswith("lab-") and not dig(node, "spec", "unschedulable")
    ]


def _reconcile(world: World, key: str) -> None:
    pod = world.cluster.store.get("pods", *split_key(key))
    nodes = _lab_nodes(world)
    if pod is None or not nodes:
        return
    client = Client(world, manager="lab", trusted=True)
    if is_deleting(pod):
        client.delete("pods", *split_key(key), grace=0)
        return
    if not dig(pod, "spec", "nodeName"):
        pinned = dig(pod, "spec", "affinity", "nodeAffinity", default={})
        wanted = dig(
            pinned,
            "requiredDuringSchedulingIgnoredDuringExecution",
            "nodeSelectorTerms",
            0,
            "matchFields",
            0,
            "values",
            0,
        )
        node = wanted or nodes[world.rng.integer(0, len(nodes) - 1, "lab", key)]
        status = {**(pod.get("status") or {}), "phase": "Pending"}
        client.update({**pod, "spec": {**pod["spec"], "nodeName": node}, "status": status})
        enqueue(world, "lab-kubelet", key, 0)
        return
    _advance(world, client, key, pod)


def _advance(world: World, client: Client, key: str, pod: Obj) -> None:
    status = dict(pod.get("status") or {})
    image = pod["spec"]["containers"][0]["image"].split(":")[0]
    now, phase, due = world.time, status.get("phase"), status.get("labDue")
    if due is None:
        wait = {"slow": 10_000}.get(image, 1_000)
        client.update_status(
            pod, {**status, "phase": "Pending", "startTime": now, "labDue": world.now + wait}
        )
        enqueue(world, "lab-kubelet", key, wait)
    elif world.now < due:
        enqueue(world, "lab-kubelet", key, due - world.now)
    elif phase == "Pending":
        ready = "False" if image == "never" else "True"
        conditions = with_condition(status.get("conditions"), {"type": "Ready", "status": ready}, now)
        new = {**status, "phase": "Running", "conditions": conditions, "labDue": world.now + 2_000}
        client.update_status(pod, new)
    elif phase == "Running" and image in {"done", "fails"}:
        code = 0 if image == "done" else 1
        conditions = with_condition(status.get("conditions"), {"type": "Ready", "status": "False"}, now)
        ended = {"name": "main", "state": {"terminated": {"exitCode": code, "finishedAt": now}}}
        new = {"phase": "Succeeded" if image == "done" else "Failed", "containerStatuses": [ended]}
        client.update_status(pod, {**status, **new, "conditions": conditions})


register(
    Controller(
        name="lab-kubelet",
        component="lab-kubelet",
        watches={"pods": _keys},
        reconcile=_reconcile,
        resync=lambda _: (),
    )
)
