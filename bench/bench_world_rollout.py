"""How long a whole application takes to come up and to roll, in wall time."""

from __future__ import annotations

import statistics
import time
from typing import Any

from firedrill.world import World
from firedrill.world.build import make_world
from firedrill.world.kube.api.client import Client
from table import show

COUNT, REPLICAS = 30, 2
NAMESPACE = "default"


def deployment(number: int, image: str) -> dict[str, Any]:
    """One of the application's deployments."""
    labels = {"app": f"service-{number}"}
    container = {
        "name": "server",
        "image": image,
        "ports": [{"containerPort": 8080}],
        "env": [{"name": f"PEER_{index}", "value": f"service-{index}:8080"} for index in range(8)],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10},
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"service-{number}", "namespace": NAMESPACE},
        "spec": {
            "replicas": REPLICAS,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def rolled_out(world: World) -> bool:
    """Whether every deployment has all pods new and available."""
    found = world.cluster.store.list("deployments.apps", NAMESPACE)
    return len(found) == COUNT and all(
        (item.get("status") or {}).get("observedGeneration") == item["metadata"]["generation"]
        and (item.get("status") or {}).get("updatedReplicas") == REPLICAS
        and (item.get("status") or {}).get("replicas") == REPLICAS
        and (item.get("status") or {}).get("availableReplicas") == REPLICAS
        for item in found
    )


def until_done(world: World) -> str:
    """Run until all is rolled out: wall time, virtual time, writes."""
    began, rv, now = time.perf_counter(), world.cluster.store.rv, world.now
    done = world.run_until(rolled_out, 900_000)
    wall = time.perf_counter() - began
    text = f"{wall:.2f} s ({(world.now - now) / 1000:.0f} virtual s, {world.cluster.store.rv - rv} writes)"
    return text if done else f"not within 15 virtual minutes, {text}"


def main() -> None:
    """Measure and print."""
    manifests = [deployment(number, "registry.example/shop:1") for number in range(COUNT)]
    newer = [deployment(number, "registry.example/shop:2") for number in range(COUNT)]
    from firedrill.world.kube import programs

    world = make_world(1, nodes=4)
    programs.learn(world, manifests + newer)
    client = Client(world)
    began = time.perf_counter()
    for item in manifests:
        client.create(item)
    created = time.perf_counter() - began
    rows = [
        (f"{COUNT} deployments created", "", f"{created:.2f} s"),
        ("all pods ready", "under 1 s", until_done(world)),
    ]
    forks = []
    for _ in range(20):
        began = time.perf_counter()
        world.fork()
        forks.append(time.perf_counter() - began)
    rows.append(("fork", "under 5 ms", f"{statistics.median(forks) * 1000:.2f} ms"))
    for item in newer:
        now = client.get("deployments.apps", NAMESPACE, item["metadata"]["name"])
        client.update({**now, "spec": {**now["spec"], "template": item["spec"]["template"]}})
    rows.append((f"rolling update of all {COUNT}", "", until_done(world)))
    world.run_for(60_000)
    began = time.perf_counter()
    rv = world.cluster.store.rv
    world.run_for(3_600_000)
    idle = time.perf_counter() - began
    rows.append(("idle virtual hour", "under 1 s", f"{idle:.2f} s ({world.cluster.store.rv - rv} writes)"))
    show(f"a rollout of {COUNT} deployments with {REPLICAS} pods each", rows)


if __name__ == "__main__":
    main()
