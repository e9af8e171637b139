"""How fast kubelets are: starting pods, an idle hour, a crash loop, a fork.

Run: python bench/bench_world_kubelet.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

from firedrill.world import World
from firedrill.world.kube import kubelet
from firedrill.world.kube.api import Client

PODS = 60


def cluster() -> World:
    """Four nodes and the little that pods need."""
    world = World(1)
    client = Client(world, trusted=True)
    for name in ("default", "kube-system", "kube-node-lease"):
        client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    world.run_for(1_000)
    meta = {"name": "default", "namespace": "default"}
    if client.find("serviceaccounts", "default", "default") is None:
        client.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
    if client.find("configmaps", "default", "kube-root-ca.crt") is None:
        root = {**meta, "name": "kube-root-ca.crt"}
        client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": root, "data": {"ca.crt": "-"}})
    for number in range(4):
        kubelet.add_node(world, f"n{number}", pods=500, cpu="64", memory="256Gi")
    return world


def start(world: World, count: int, command: list[str] | None = None) -> None:
    """Bind so many pods, and let two minutes pass."""
    client = Client(world, trusted=True)
    probe = {"tcpSocket": {"port": 80}}
    for number in range(count):
        container = {"name": "c", "image": "nginx:1.27", "livenessProbe": probe, "readinessProbe": probe}
        if command:
            container = {"name": "c", "image": "busybox:1.36", "command": command}
        meta = {"name": f"p{number:04d}", "namespace": "default"}
        spec = {"nodeName": f"n{number % 4}", "containers": [container]}
        client.create({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
    world.run_for(120_000)


def timed(work: Callable[[], object]) -> float:
    """Milliseconds of wall time."""
    begin = time.perf_counter()
    work()
    return (time.perf_counter() - begin) * 1000


def main() -> None:
    """Print the table."""
    world = cluster()
    rows = [(f"{PODS} pods to ready", 500.0, timed(lambda: start(world, PODS)))]
    rows.append((f"idle hour, {PODS} pods", 1000.0, timed(lambda: world.run_for(3_600_000))))
    rows.append(("fork", 5.0, timed(lambda: [world.fork() for _ in range(100)]) / 100))
    crash = cluster()
    rows.append(("10 crash loops, 2 min", 500.0, timed(lambda: start(crash, 10, ["sh", "-c", "exit 1"]))))
    rows.append(("10 crash loops, 20 min more", 1000.0, timed(lambda: crash.run_for(1_200_000))))
    print(f"{'what':32}{'target ms':>12}{'measured ms':>14}")
    for what, target, measured in rows:
        print(f"{what:32}{target:12.1f}{measured:14.2f}")


if __name__ == "__main__":
    main()
