"""How fast a world keeps objects: raw store, component client, full API; forks and memory of 30 services.

Run alone: `python bench/bench_world_store.py`.
"""

from __future__ import annotations

import gc
import resource
from collections.abc import Callable
from time import perf_counter
from typing import Any

from firedrill.world.build import make_world
from firedrill.world.kube.api import Client
from firedrill.world.kube.controllers.base import stop_component
from firedrill.world.kube.objects import Obj
from firedrill.world.kube.store import Store
from firedrill.world.world import World

COUNT = 4000
SERVICES = 30


def config(number: int) -> Obj:
    """A small object."""
    given = {"name": f"c{number}", "namespace": "default", "labels": {"shard": str(number % 10)}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": given, "data": {"k": "v"}}


def application() -> list[Obj]:
    """Thirty Deployments of two pods, each with a Service."""
    out: list[Obj] = []
    for number in range(SERVICES):
        name = f"service-{number}"
        labels = {"app": name}
        container = {
            "name": "server",
            "image": f"example.com/{name}:1.0",
            "ports": [{"containerPort": 8080}],
            "env": [{"name": f"VARIABLE_{item}", "value": str(item)} for item in range(10)],
            "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
        }
        template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        spec: dict[str, Any] = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
        given = {"name": name, "namespace": "default", "labels": labels}
        out.append({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": given, "spec": spec})
        ports = [{"port": 80, "targetPort": 8080}]
        service = {"selector": labels, "ports": ports}
        out.append({"apiVersion": "v1", "kind": "Service", "metadata": given, "spec": service})
    return out


def rate(work: Callable[[int], object], count: int = COUNT) -> float:
    """Calls per second, the best of three rounds."""
    best = 0.0
    for turn in range(3):
        begun = perf_counter()
        for number in range(turn * count, (turn + 1) * count):
            work(number)
        best = max(best, count / (perf_counter() - begun))
    return best


def per_second(world: World) -> list[tuple[str, str, str]]:
    """Rows about single operations."""
    rows = []
    store = Store()
    rows.append(("store: put", "", f"{rate(lambda n: store.put('configmaps', config(n))):,.0f}/s"))
    rows.append(("store: get", "", f"{rate(lambda n: store.get('configmaps', 'default', f'c{n}')):,.0f}/s"))
    # Cheapest last: what a component does all day is to change a status or a label of its own objects.
    trusted, full = Client(world, trusted=True), Client(world)
    stop_component(world, "kube-controller-manager")
    target = "10 000/s"
    rows.append(("component client: create", target, f"{rate(lambda n: trusted.create(config(n))):,.0f}/s"))

    def change(client: Client) -> Callable[[int], object]:
        def once(number: int) -> object:
            old = client.get("configmaps", "default", f"c{number % COUNT}")
            return client.update({**old, "data": {"k": f"{client.trusted} {number}"}})

        return once

    rows.append(("component client: get and update", target, f"{rate(change(trusted)):,.0f}/s"))
    rows.append(("full API: get and update", "", f"{rate(change(full), 1000):,.0f}/s"))
    rows.append(("full API: create", "", f"{rate(lambda n: full.create(config(100_000 + n)), 1000):,.0f}/s"))
    merge = {"metadata": {"labels": {"x": "0"}}}

    def patch(number: int) -> object:
        merge["metadata"]["labels"]["x"] = str(number)
        return full.patch("configmaps", "default", f"c{number}", merge)

    rows.append(("full API: merge patch", "", f"{rate(patch, 1000):,.0f}/s"))
    rows.append(
        ("full API: delete", "", f"{rate(lambda n: full.delete('configmaps', 'default', f'c{n}')):,.0f}/s")
    )
    return rows


def main() -> None:
    """Print the table."""
    begun = perf_counter()
    world = make_world(nodes=4)
    cold = perf_counter() - begun
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    begun = perf_counter()
    shop = make_world(nodes=4, manifests=application())
    made = perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    gc.collect()
    times = []
    forks = []
    for _ in range(50):
        begun = perf_counter()
        forks.append(shop.fork())
        times.append(perf_counter() - begun)
    forked = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - after
    forks.clear()
    begun = perf_counter()
    shop.fork().run_for(3_600_000)
    hour = perf_counter() - begun
    objects = sum(shop.cluster.store.count(item) for item in shop.cluster.store.resources())
    running = [pod for pod in shop.cluster.store.list("pods") if pod["status"].get("phase") == "Running"]
    rows = [
        ("empty world of 4 nodes", "0.3 s", f"{cold:.2f} s"),
        (f"world of {SERVICES} services ({objects} objects, {len(running)} pods run)", "", f"{made:.2f} s"),
        ("fork of it: median", "5 ms", f"{sorted(times)[25] * 1000:.2f} ms"),
        ("fork of it: slowest of 50", "5 ms", f"{max(times) * 1000:.2f} ms"),
        ("memory of the process, with it", "150 MB", f"{after:.0f} MB ({after - before:+.0f} MB)"),
        ("memory of 50 forks", "", f"{forked:.1f} MB"),
        ("an idle hour of it", "1 s", f"{hour:.2f} s"),
        *per_second(world),
    ]
    for what, target, measured in [("what", "target", "measured"), *rows]:
        print(f"{what:<58} {target:>10} {measured:>20}")


if __name__ == "__main__":
    main()
