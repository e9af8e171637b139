"""Whether a kubelet takes a pod that was bound to its node. Source: the kubelet's predicate admit handler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firedrill.world.kube import node_selectors, quantity
from firedrill.world.kube.kubelet.state import NodeState, kubelets
from firedrill.world.kube.objects import Obj, dig, labels_of, uid_of
from firedrill.world.kube.qos import request_of

if TYPE_CHECKING:
    from firedrill.world.world import World

_CONDITIONS = (("disk", "DiskPressure"), ("pid", "PIDPressure"), ("memory", "MemoryPressure"))


def refusal(world: World, pod: Obj, node: NodeState) -> tuple[str, str] | None:
    """(reason, message) of the refusal; None where the pod is taken."""
    stored = world.cluster.store.get("nodes", "", node.name)
    if stored is None or "kubernetes.io/config.mirror" in (pod["metadata"].get("annotations") or {}):
        return None
    if node.pressure and dig(pod, "spec", "priority", default=0) < 2_000_000_000:
        best_effort = not any(request_of(c, "memory") for c in pod["spec"].get("containers") or ())
        if node.pressure != {"memory"} or best_effort:
            kind = next(words for name, words in _CONDITIONS if name in node.pressure)
            return "Evicted", f"The node had condition: [{kind}]. "
    wanted = pod["spec"].get("nodeSelector") or {}
    labels = labels_of(stored)
    affinity = dig(pod, "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    if any(labels.get(key) != value for key, value in wanted.items()) or (
        affinity and not node_selectors.node_selector_matches(affinity, stored)
    ):
        return (
            "NodeAffinity",
            "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
        )
    return _resources(world, pod, node, stored)


def _resources(world: World, pod: Obj, node: NodeState, stored: Obj) -> tuple[str, str] | None:
    part = kubelets(world)
    others = [
        other
        for other in world.cluster.store.pods_on(node.name)
        if uid_of(other) != uid_of(pod)
        and uid_of(other) in part.pods
        and dig(other, "status", "phase") not in {"Succeeded", "Failed"}
    ]
    allocatable = dig(stored, "status", "allocatable", default={})
    if len(others) + 1 > quantity.value(allocatable.get("pods", "110")):
        return "OutOfpods", (
            f"Node didn't have enough resource: pods, requested: 1, used: {len(others)}, "
            f"capacity: {allocatable.get('pods')}"
        )
    for resource in ("cpu", "memory"):
        asked = _asked(pod, resource)
        used = sum(_asked(other, resource) for other in others)
        there = (quantity.milli if resource == "cpu" else quantity.value)(allocatable.get(resource, "0"))
        if asked and asked + used > there:
            return f"OutOf{resource}", (
                f"Node didn't have enough resource: {resource}, requested: {asked}, used: {used}, "
                f"capacity: {there}"
            )
    return None


def _asked(pod: Obj, resource: str) -> int:
    main = sum(request_of(item, resource) for item in pod["spec"].get("containers") or ())
    inits = [request_of(item, resource) for item in pod["spec"].get("initContainers") or ()]
    return max([main, *inits])
