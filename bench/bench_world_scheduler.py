"""How fast pods find nodes: python bench/bench_world_scheduler.py."""

from __future__ import annotations

import time
from typing import Any

from firedrill.world.kube.network import Network, NetworkState
from firedrill.world.kube.objects import with_path
from firedrill.world.kube.scheduler.choose import choose_node
from firedrill.world.kube.scheduler.nodeinfo import take_snapshot
from firedrill.world.kube.scheduler.podinfo import pod_info
from firedrill.world.kube.store import Store
from firedrill.world.sim.rng import Rng

NODES, PODS = 100, 5_000
HOST = "kubernetes.io/hostname"


def cluster() -> Store:
    store = Store()
    store.put("namespaces", {"kind": "Namespace", "metadata": {"name": "shop"}})
    for index in range(NODES):
        name = f"node-{index:03}"
        store.put(
            "nodes",
            {
                "kind": "Node",
                "metadata": {
                    "name": name,
                    "labels": {HOST: name, "topology.kubernetes.io/zone": str(index % 3)},
                },
                "spec": {},
                "status": {"allocatable": {"cpu": "16", "memory": "64Gi", "pods": "110"}},
            },
        )
    return store


def pod(index: int, spec: dict[str, Any]) -> dict[str, Any]:
    labels = {"app": f"app-{index % 50}"}
    requests = {"cpu": "100m", "memory": "128Mi"}
    return {
        "kind": "Pod",
        "metadata": {"name": f"pod-{index}", "namespace": "shop", "uid": f"u{index}", "labels": labels},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": requests}}], **spec},
        "status": {"phase": "Pending"},
    }


def spread(index: int) -> dict[str, Any]:
    rule = {
        "topologyKey": "topology.kubernetes.io/zone",
        "maxSkew": 5,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": f"app-{index % 50}"}},
    }
    return {"topologySpreadConstraints": [rule]}


def apart(index: int) -> dict[str, Any]:
    term = {"topologyKey": HOST, "labelSelector": {"matchLabels": {"app": f"app-{index % 50}"}}}
    rules = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    return {"affinity": {"podAntiAffinity": rules}}


def place(count: int, spec: Any) -> tuple[float, int]:
    """(seconds, placed) of so many pods, one after the other."""
    store = cluster()
    view = take_snapshot(store)
    nodes = dict(view.nodes)
    placed = 0
    start = time.perf_counter()
    for index in range(count):
        item = pod(index, spec(index))
        info = pod_info(item)
        decision = choose_node(info, view, Rng(1), attempt=index)
        if decision.node:
            placed += 1
            bound = with_path(item, ("spec", "nodeName"), decision.node)
            store.put("pods", bound)
            nodes[decision.node] = nodes[decision.node].with_pod(pod_info(bound))
            view = view.__class__(nodes, view.namespaces, store)
    return time.perf_counter() - start, placed


def running_world() -> tuple[float, float, int]:
    """(seconds, virtual seconds, placed) of 500 pods in a running world with its API."""
    import firedrill.world.kube.scheduler  # noqa: F401 - its loop registers
    from firedrill.world import World
    from firedrill.world.kube.api.client import Client
    from firedrill.world.kube.controllers.base import resync_all
    from firedrill.world.kube.objects import without_path
    from firedrill.world.kube.rbac_defaults import default_objects

    world = World(1)
    client = Client(world, trusted=True)
    for name in ("shop", "default", "kube-system", "kube-public"):
        client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for item in default_objects():
        client.create(item)
    client.create(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "shop"}}
    )
    for node in cluster().list("nodes"):
        made = client.create(
            {
                "apiVersion": "v1",
                **node,
                "metadata": {k: v for k, v in node["metadata"].items() if k != "resourceVersion"},
            }
        )
        client.update(without_path(made, ("spec", "taints")))
    resync_all(world)
    for index in range(500):
        item = pod(index, {})
        client.create({"apiVersion": "v1", **item})
    start, before = time.perf_counter(), world.now
    world.run_until(
        lambda w: sum(len(w.cluster.store.pods_on(f"node-{i:03}")) for i in range(NODES)) == 500, 60_000
    )
    placed = sum(len(world.cluster.store.pods_on(f"node-{i:03}")) for i in range(NODES))
    return time.perf_counter() - start, (world.now - before) / 1000, placed


def routes() -> float:
    """Microseconds of one connection through a service of 10 endpoints, in a namespace of 50 services."""
    store = cluster()
    source = {**pod(9_999, {"nodeName": "node-000"}), "status": {"phase": "Running", "podIP": "10.244.0.9"}}
    store.put("pods", source)
    for number in range(50):
        addresses = [f"10.244.{number}.{i + 10}" for i in range(10)]
        endpoints = []
        for i, address in enumerate(addresses):
            name = f"s{number}-{i}"
            running = {"phase": "Running", "podIP": address}
            item = pod(number * 10 + i, {"nodeName": "node-001"})
            store.put("pods", {**item, "metadata": {**item["metadata"], "name": name}, "status": running})
            target = {"namespace": "shop", "name": name}
            endpoints.append(
                {
                    "addresses": [address],
                    "conditions": {"ready": True},
                    "targetRef": target,
                    "nodeName": "node-001",
                }
            )
        ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
        spec = {"clusterIP": f"10.96.0.{number + 1}", "ports": ports}
        store.put(
            "services",
            {"kind": "Service", "metadata": {"name": f"s{number}", "namespace": "shop"}, "spec": spec},
        )
        meta = {
            "name": f"s{number}-x",
            "namespace": "shop",
            "labels": {"kubernetes.io/service-name": f"s{number}"},
        }
        store.put(
            "endpointslices.discovery.k8s.io",
            {"kind": "EndpointSlice", "metadata": meta, "endpoints": endpoints, "ports": ports},
        )
    network = Network(store, Rng(1), NetworkState())
    start = time.perf_counter()
    for number in range(1_000):
        assert network.route(source, f"s{number % 50}", 80, draw=number).result == "ok"
    return (time.perf_counter() - start) * 1_000


def main() -> None:
    print(f"{'what':64} {'target':>12} {'measured':>16}")
    for what, count, target, spec in (
        ("5 000 plain pods on 100 nodes", PODS, "10 s", lambda _: {}),
        ("5 000 pods with hard spread constraints on 100 nodes", PODS, "20 s", spread),
        ("5 000 pods with hard anti-affinity on 100 nodes", PODS, "20 s", apart),
    ):
        seconds, placed = place(count, spec)
        half, _ = place(count // 2, spec)
        print(f"{what:64} {target:>12} {seconds:>10.2f} s ({placed} placed)")
        print(f"{'  twice the pods take so many times as long':64} {'< 3':>12} {seconds / half:>14.1f} x")
    wall, virtual, placed = running_world()
    what = "500 pods through the API of a running world, 100 nodes"
    print(f"{what:64} {'2 s':>12} {wall:>10.2f} s ({placed} placed, {virtual:.1f} s virtual)")
    what = "one connection among 50 services with 10 endpoints each"
    print(f"{what:64} {'500 us':>12} {routes():>13.0f} us")


if __name__ == "__main__":
    main()
