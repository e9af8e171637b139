"""metrics.k8s.io: what metrics-server tells of pods and nodes, computed when it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firedrill.world.kube import quantity
from firedrill.world.kube.api import ApiError, strategy
from firedrill.world.kube.kubelet.reading import usage
from firedrill.world.kube.kubelet.state import kubelets, node_of
from firedrill.world.kube.objects import Obj, condition, dig, labels_of, name_of, namespace_of
from firedrill.world.sim.clock import epoch_ms, rfc3339

if TYPE_CHECKING:
    from firedrill.world.world import World

_API = "v1beta1.metrics.k8s.io"
_WINDOW = 15_000
_SYSTEM_CPU, _SYSTEM_MEMORY = 90, 780 * 1024 * 1024
"""What the kubelet, the runtime and the kernel of a node use besides its pods."""


def _refuse_unserved(world: World, resource: str) -> None:
    """Refuse while the metrics server cannot be reached; a cluster without it is taken to have another one.

    Raises:
        ApiError: 503.
    """
    found = world.cluster.store.get("apiservices.apiregistration.k8s.io", "", _API)
    if found is not None and (condition(found, "Available") or {}).get("status") != "True":
        text = f"the server is currently unable to handle the request (get {resource})"
        raise ApiError(503, "ServiceUnavailable", text)


def pod_metrics(world: World, namespace: str) -> list[Obj]:
    """`PodMetrics` of the running pods; a pod appears once it has been scraped twice.

    Raises:
        ApiError: the metrics server cannot be reached.
    """
    _refuse_unserved(world, "pods.metrics.k8s.io")
    moment = world.now - world.now % _WINDOW
    out = []
    for pod in world.cluster.store.list("pods", namespace or None):
        node = node_of(world, str(pod["spec"].get("nodeName") or ""))
        started = dig(pod, "status", "startTime")
        if node is None or not node.runs("kubelet") or not started:
            continue
        if world.now - epoch_ms(str(started)) < 2 * _WINDOW:
            continue
        used = usage(world, namespace_of(pod), name_of(pod))
        if not used:
            continue
        containers = [{"name": name, "usage": _quantities(*used[name])} for name in sorted(used)]
        out.append(_wrap("PodMetrics", pod, moment, {"containers": containers}))
    return out


def node_metrics(world: World, _: str) -> list[Obj]:
    """`NodeMetrics` of the nodes that report.

    Raises:
        ApiError: the metrics server cannot be reached.
    """
    _refuse_unserved(world, "nodes.metrics.k8s.io")
    moment = world.now - world.now % _WINDOW
    sums: dict[str, tuple[int, int]] = {}
    for state in kubelets(world).pods.values():
        cpu, memory = sums.get(state.node, (_SYSTEM_CPU, _SYSTEM_MEMORY))
        for one, other in usage(world, state.namespace, state.name).values():
            cpu, memory = cpu + one, memory + other
        sums[state.node] = (cpu, memory)
    out = []
    for obj in world.cluster.store.list("nodes"):
        node = node_of(world, name_of(obj))
        if node is None or not node.runs("kubelet"):
            continue
        cpu, memory = sums.get(node.name, (_SYSTEM_CPU, _SYSTEM_MEMORY))
        cpu = min(cpu, quantity.milli(dig(obj, "status", "capacity", "cpu", default="1")))
        out.append(_wrap("NodeMetrics", obj, moment, {"usage": _quantities(cpu, memory)}))
    return out


def _quantities(cpu: int, memory: int) -> Obj:
    return {"cpu": f"{cpu * 1_000_000}n", "memory": f"{memory // 1024}Ki"}


def _wrap(kind: str, about: Obj, moment: int, body: Obj) -> Obj:
    meta: Obj = {"name": name_of(about), "creationTimestamp": rfc3339(moment)}
    if namespace_of(about):
        meta["namespace"] = namespace_of(about)
    if labels_of(about):
        meta["labels"] = dict(labels_of(about))
    return {
        "apiVersion": "metrics.k8s.io/v1beta1",
        "kind": kind,
        "metadata": meta,
        "timestamp": rfc3339(moment),
        "window": "15s",
        **body,
    }


strategy.on_list("pods.metrics.k8s.io", pod_metrics)
strategy.on_list("nodes.metrics.k8s.io", node_metrics)
