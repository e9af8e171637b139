"""Worlds that the tests of the fault library share, and whether they show what a mechanism says it shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from firedrill.faults import Fault
from firedrill.world import World
from firedrill.world.app.packages import load_application, read_manifests
from firedrill.world.build import make_world
from firedrill.world.kube import effects
from firedrill.world.kube.api import ApiError, Client
from firedrill.world.kube.controllers.disruption import may_evict
from firedrill.world.kube.kubelet.nettools import route_from
from firedrill.world.kube.kubelet.state import find_pod
from firedrill.world.kube.network.services import backends_of
from firedrill.world.kube.objects import Obj, condition, dig, labels_of, name_of, namespace_of
from firedrill.world.kube.selectors import selects

APPS = Path(__file__).parent.parent / "world/data/apps"
SPACES = {"online-boutique": "boutique", "market": "market", "travel": "travel"}


def _volume(number: int) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"archive-{number}", "labels": {"tier": "archive"}},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "archive",
            "hostPath": {"path": f"/mnt/archive-{number}"},
        },
    }


@cache
def _world(app: str) -> World:
    if app in SPACES and app != "online-boutique":
        manifests = read_manifests([APPS / f"{app}.yaml"])
    else:
        manifests = load_application(app)
    claim: Obj = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "archive", "namespace": SPACES[app]},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "archive",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    return make_world(5, nodes=5, manifests=[*manifests, _volume(1), claim], namespace=SPACES[app])


@pytest.fixture
def fresh() -> Callable[[str], tuple[World, str]]:
    """A healthy world with an application, and the application's namespace."""
    return lambda app: (_world(app).fork(), SPACES[app])


Args = Mapping[str, Any]


class Look:
    """One world, looked at for the symptom of one mechanism."""

    def __init__(self, world: World, args: Args, namespace: str, healthy: World) -> None:
        self.world, self.args, self.namespace, self.healthy = world, args, namespace, healthy
        self.store = world.cluster.store
        self.space = str(args.get("namespace") or namespace)

    def pods(self, world: World | None = None) -> list[Obj]:
        store = (world or self.world).cluster.store
        return [*store.list("pods", self.namespace), *store.list("pods", "kube-system")]

    def statuses(self, world: World | None = None) -> list[Mapping[str, Any]]:
        return [
            status
            for pod in self.pods(world)
            for key in ("initContainerStatuses", "containerStatuses")
            for status in dig(pod, "status", key, default=())
        ]

    def workload(self) -> Obj:
        found = self.store.get("deployments.apps", self.space, str(self.args["name"]))
        assert found is not None
        return found

    def own(self) -> list[Obj]:
        wanted = self.workload()["spec"]["selector"]
        return [pod for pod in self.store.list("pods", self.space) if selects(wanted, labels_of(pod))]

    def stranger(self) -> Obj:
        """A running pod of another workload that may speak to anybody."""
        for pod in self.store.list("pods", "kube-system"):
            if dig(pod, "status", "podIP") and labels_of(pod).get("k8s-app") == "metrics-server":
                return pod
        raise AssertionError("no metrics-server")

    # --- kinds of symptoms

    def event(self, reason: str) -> bool:
        def count(world: World) -> int:
            told = world.cluster.store.list("events")
            return sum(int(item.get("count") or 1) for item in told if item["reason"] == reason)

        return count(self.world) > count(self.healthy)

    def waiting(self, reason: str) -> bool:
        found = [dig(item, "state", "waiting", "reason") for item in self.statuses()]
        return reason in found

    def ended(self, reason: str) -> bool:
        return any(
            dig(item, key, "terminated", "reason") == reason
            for item in self.statuses()
            for key in ("state", "lastState")
        )

    def restarts(self, _: str) -> bool:
        return max(int(item["restartCount"]) for item in self.statuses()) > max(
            int(item["restartCount"]) for item in self.statuses(self.healthy)
        )

    def stuck(self, _: str) -> bool:
        return self.waiting("CreateContainerConfigError") or self.event("FailedMount")

    def node(self, type_: str) -> bool:
        found = self.store.get("nodes", "", str(self.args["node"]))
        assert found is not None
        if type_ == "NotReady":
            return bool((condition(found, "Ready") or {}).get("status") != "True")
        return bool((condition(found, type_) or {}).get("status") == "True")

    def endpoints(self, _: str) -> bool:
        for service in self.store.list("services", self.space):
            port = service["spec"]["ports"][0]
            old = self.healthy.cluster.store.get("services", self.space, name_of(service))
            asked = (str(port.get("name") or ""), str(port.get("protocol") or "TCP"))
            had = old is not None and backends_of(self.healthy.cluster.store, old, *asked)
            if had and not backends_of(self.store, service, *asked):
                return True
        return False

    def claim(self, _: str) -> bool:
        found = self.store.get("persistentvolumeclaims", self.space, str(self.args["name"]))
        return found is not None and dig(found, "status", "phase") != "Bound"

    def effect(self, _: str) -> bool:
        on = [f"node/{self.args['node']}"] if "node" in self.args else []
        if not on:
            on = [f"pod/{pod['metadata']['uid']}" for pod in self.own()]
        kinds: tuple[effects.Parameter, ...] = ("delay_ms", "loss", "cpu_steal")
        return all(any(effects.total(self.world, (item,), kind) for kind in kinds) for item in on)

    def dns(self, _: str) -> bool:
        pod = next(pod for pod in self.store.list("pods", self.namespace) if dig(pod, "status", "podIP"))
        service = self.store.list("services", self.namespace)[0]
        return route_from(self.world, pod, name_of(service), 80).result == "dns_timeout"

    def refused(self, _: str) -> bool:
        client = Client(self.world.fork())
        wanted = [
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "next"},
                "spec": {
                    "containers": [
                        {
                            "name": "c",
                            "image": "nginx:1.27",
                            "resources": {
                                "requests": {"cpu": "1", "memory": "1Gi"},
                                "limits": {"cpu": "1", "memory": "1Gi"},
                            },
                        }
                    ]
                },
            },
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "next"},
                "spec": {"ports": [{"port": 80}]},
            },
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": "next"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "9Gi"}}},
            },
        ]
        for obj in wanted:
            try:
                client.create({**obj, "metadata": {"name": "next", "namespace": self.space}}, dry_run=True)
            except ApiError as refusal:
                if refusal.code == 403 and "exceeded quota" in refusal.message:
                    return True
        return False

    def forbidden(self, _: str) -> bool:
        found = self.healthy.cluster.store.get(
            "rolebindings.rbac.authorization.k8s.io", self.space, str(self.args["name"])
        )
        assert found is not None
        account = f"system:serviceaccount:{self.space}:{found['subjects'][0]['name']}"
        return not may(self.world, account, self.space) and may(self.healthy, account, self.space)

    def pending_next(self, _: str) -> bool:
        """One copy more of the workload finds no node."""
        twin = self.world.fork()
        name = str(self.args.get("name") or name_of(self.store.list("deployments.apps", self.namespace)[0]))
        owner = Client(twin).get("deployments.apps", self.space, name)
        more = int(dig(owner, "spec", "replicas", default=1)) + 1
        Client(twin).patch("deployments.apps", self.space, name, {"spec": {"replicas": more}})
        twin.run_for(20_000)
        return any(
            not dig(pod, "spec", "nodeName")
            for pod in twin.cluster.store.list("pods", self.space)
            if dig(pod, "status", "phase") == "Pending"
        )

    def undrainable(self, _: str) -> bool:
        refusal = may_evict(self.world.fork(), self.own()[0])
        return refusal is not None and refusal.code == 429

    def stale_node(self, _: str) -> bool:
        """A Service that is made now cannot be reached from the node."""
        return any(
            self._late(self.world).get(name) != "ok" == good
            for name, good in self._late(self.healthy).items()
        )

    def _late(self, world: World) -> dict[str, str]:
        """By pod of the node: what comes of a connection to a Service that is made now."""
        twin = world.fork()
        target = next(
            pod
            for pod in twin.cluster.store.list("pods", self.namespace)
            if pod["spec"]["containers"][0].get("ports")
            and (condition(pod, "Ready") or {}).get("status") == "True"
        )
        port = int(target["spec"]["containers"][0]["ports"][0]["containerPort"])
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "late", "namespace": self.namespace},
            "spec": {"selector": dict(labels_of(target)), "ports": [{"port": port}]},
        }
        Client(twin).create(service)
        twin.run_for(10_000)
        return {
            name_of(pod): route_from(twin, pod, "late", port).result
            for pod in twin.cluster.store.pods_on(str(self.args["node"]))
            if namespace_of(pod) == self.namespace
        }

    def unreachable_service(self, _: str) -> bool:
        service = self.healthy.cluster.store.get("services", self.space, str(self.args["name"]))
        assert service is not None
        port = int(service["spec"]["ports"][0]["port"])
        for world, good in ((self.healthy, True), (self.world, False)):
            pod = next(
                p
                for p in world.cluster.store.list("pods", self.space)
                if (condition(p, "Ready") or {}).get("status") == "True"
            )
            if (route_from(world, pod, name_of(service), port).result == "ok") != good:
                return False
        return True

    def unreachable_workload(self, _: str) -> bool:
        target = self.own()[0]
        source = next(
            p
            for p in self.store.list("pods", self.space)
            if p not in self.own() and dig(p, "status", "podIP")
        )
        port = int(target["spec"]["containers"][0]["ports"][0]["containerPort"])
        return route_from(self.world, source, str(target["status"]["podIP"]), port).result == "dropped"

    def unreachable_address(self, _: str) -> bool:
        for pod in self.own():
            state = find_pod(self.world, self.space, name_of(pod))
            for found in state.containers.values() if state is not None else ():
                text = found.run.env.get(str(self.args["variable"]), "") if found.run is not None else ""
                host, _colon, port = text.rpartition("://")[2].partition("/")[0].rpartition(":")
                if host and port.isdecimal() and route_from(self.world, pod, host, int(port)).result != "ok":
                    return True
        return False


def may(world: World, account: str, namespace: str) -> bool:
    """Whether an account may list ConfigMaps."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": account,
            "resourceAttributes": {"namespace": namespace, "verb": "list", "resource": "configmaps"},
        },
    }
    return bool(dig(Client(world.fork()).create(review), "status", "allowed"))


def seen(world: World, fault: Fault, args: Args, namespace: str, healthy: World, within: int) -> bool:
    """Whether the symptom comes within so many ms; the world stands at the moment it does."""
    kind, _, detail = fault.shows.partition(":")
    look: Callable[[str], bool] = getattr(Look(world, args, namespace, healthy), kind.replace("-", "_"))
    step = 5_000
    for _ in range(within // step + 1):
        if look(detail):
            return True
        if within:
            world.run_for(step)
    return False


@pytest.fixture
def seen_in() -> Callable[..., bool]:
    """`seen`, for the tests."""
    return seen
