"""What the benchmarks of a world put into it: an application of so many services."""

from __future__ import annotations

from typing import Any

from firedrill.world import World
from firedrill.world.kube.objects import Obj

SERVICES, REPLICAS = 30, 2
NAMESPACE = "default"


def deployment(number: int, replicas: int = REPLICAS, image: str = "registry.example/shop:1") -> Obj:
    """One Deployment of the application."""
    labels = {"app": f"service-{number}"}
    container = {
        "name": "server",
        "image": image,
        "ports": [{"containerPort": 8080}],
        "env": [{"name": f"PEER_{index}", "value": f"service-{index}:8080"} for index in range(8)],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10},
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec: dict[str, Any] = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    meta = {"name": f"service-{number}", "namespace": NAMESPACE}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}


def service(number: int) -> Obj:
    """The Service before it."""
    labels = {"app": f"service-{number}"}
    meta = {"name": f"service-{number}", "namespace": NAMESPACE, "labels": labels}
    spec = {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


def application(services: int = SERVICES) -> list[Obj]:
    """Deployments of two pods each, with their Services."""
    return [make(number) for number in range(services) for make in (deployment, service)]


def config(number: int) -> Obj:
    """A small object."""
    meta = {"name": f"c{number}", "namespace": NAMESPACE, "labels": {"shard": str(number % 10)}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"k": "v"}}


def all_ready(world: World) -> bool:
    """Whether every deployment of the application has all its pods new and available."""
    return all(
        (status := item.get("status") or {}).get("observedGeneration") == item["metadata"]["generation"]
        and all(
            status.get(key) == item["spec"]["replicas"]
            for key in ("replicas", "updatedReplicas", "availableReplicas")
        )
        for item in world.cluster.store.list("deployments.apps", NAMESPACE)
    )
