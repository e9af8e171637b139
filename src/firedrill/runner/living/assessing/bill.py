"""What an hour of a cluster costs, by what its workloads ask for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import yaml

from firedrill.runner.living.assessing.relations import WORKLOADS
from firedrill.runner.living.assessing.whole import capacity
from firedrill.world.kube import quantity
from firedrill.world.kube.objects import Obj, controller_of, dig, namespace_of
from firedrill.world.kube.objects import name_of as name

if TYPE_CHECKING:
    from firedrill.world.world import World

_GIB = 1024**3


@cache
def prices() -> Mapping[str, float]:
    """US dollars per hour, by what is paid for."""
    text = (
        resources.files("firedrill.runner.living.assessing")
        .joinpath("data", "prices.yaml")
        .read_text("utf-8")
    )
    found: Mapping[str, float] = yaml.safe_load(text)
    return found


def hourly(world: World) -> float:
    """US dollars for an hour of what people ask for; what autoscalers add counts as their least."""
    cost = prices()
    scaled = _scaled(world)
    total = 0.0
    for resource in (*WORKLOADS, "replicationcontrollers", "replicasets.apps"):
        for workload in world.cluster.store.list(resource):
            if controller_of(workload) is not None:
                continue
            key = (namespace_of(workload), str(workload["kind"]), name(workload))
            count = scaled.get(key, capacity(world, workload))
            total += count * _pod(dig(workload, "spec", "template", "spec", default={}), cost)
    for pod in world.cluster.store.list("pods"):
        over = dig(pod, "status", "phase") in {"Succeeded", "Failed"}
        if controller_of(pod) is None and not over:
            total += _pod(pod.get("spec") or {}, cost)
    for claim in world.cluster.store.list("persistentvolumeclaims"):
        size = dig(claim, "spec", "resources", "requests", "storage", default="0")
        total += quantity.value(size) / _GIB * cost["storage"]
    for service in world.cluster.store.list("services"):
        total += cost["load_balancer"] * (dig(service, "spec", "type") == "LoadBalancer")
    return round(total, 6)


def _pod(spec: Obj, cost: Mapping[str, float]) -> float:
    total = 0.0
    for container in spec.get("containers") or ():
        asked: Mapping[str, Any] = dig(container, "resources", "requests", default={})
        total += quantity.milli(asked.get("cpu", "0")) / 1000 * cost["cpu"]
        total += quantity.value(asked.get("memory", "0")) / _GIB * cost["memory"]
    return total


def _scaled(world: World) -> dict[tuple[str, str, str], int]:
    out = {}
    for scaler in world.cluster.store.list("horizontalpodautoscalers.autoscaling"):
        target = dig(scaler, "spec", "scaleTargetRef", default={})
        key = (namespace_of(scaler), str(target.get("kind")), str(target.get("name")))
        out[key] = int(dig(scaler, "spec", "minReplicas", default=1))
    return out


__all__ = ["hourly", "prices"]
