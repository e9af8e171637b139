"""Eviction under node pressure. Source: the kubelet's eviction manager."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from firedrill.world.kube.kubelet import running, sync
from firedrill.world.kube.kubelet.state import PodState, keep, kubelets, node_of
from firedrill.world.kube.objects import Obj, dig
from firedrill.world.kube.qos import qos_class, request_of
from firedrill.world.sim.handlers import handler

if TYPE_CHECKING:
    from firedrill.world.world import World

_SIGNALS = {"memory": "memory", "disk": "ephemeral-storage"}


def begin(world: World, node: str, kind: str) -> None:
    """Start to evict pods from a node, one every ten seconds while the pressure lasts."""
    if kind in _SIGNALS:
        world.schedule(10_000, "kubelet.evict", node, kind)


@handler("kubelet.evict")
def _evict(world: World, name: str, kind: str) -> None:
    node = node_of(world, name)
    if node is None or kind not in node.pressure:
        return
    world.schedule(10_000, "kubelet.evict", name, kind)
    if not node.runs("kubelet"):
        return
    chosen = _victim(world, name)
    if chosen is None:
        return
    pod, state = chosen
    used = sum(running.memory(found, world.now) for found in state.containers.values())
    asked = sum(request_of(item, "memory") for item in pod["spec"].get("containers") or ())
    container = pod["spec"]["containers"][0]["name"]
    resource = _SIGNALS[kind]
    message = f"The node was low on resource: {resource}. Threshold quantity: 100Mi, available: 61Mi. "
    if kind == "memory" and used > asked:
        message += (
            f"Container {container} was using {used // 1024}Ki, request is {asked // 1024 or 0}"
            f"{'Ki' if asked else ''}, has larger consumption of memory. "
        )
    sync.tell(world, pod, "Warning", "Evicted", message)
    keep(world, replace(state, verdict=("Failed", "Evicted", message)))
    sync.request_sync(world, state, 1, 50, "evicted")


def _victim(world: World, node: str) -> tuple[Obj, PodState] | None:
    part = kubelets(world)
    found = []
    for pod in world.cluster.store.pods_on(node):
        state = part.pods.get(pod["metadata"]["uid"])
        if state is None or state.verdict[0] or dig(pod, "spec", "priority", default=0) >= 2_000_000_000:
            continue
        if not any(item.running for item in state.containers.values()):
            continue
        used = sum(running.memory(item, world.now) for item in state.containers.values())
        asked = sum(request_of(item, "memory") for item in pod["spec"].get("containers") or ())
        over = used > asked or qos_class(pod["spec"]) == "BestEffort"
        found.append((not over, dig(pod, "spec", "priority", default=0), asked - used, state.uid, pod, state))
    return min(found, key=lambda item: item[:4])[4:] if found else None
