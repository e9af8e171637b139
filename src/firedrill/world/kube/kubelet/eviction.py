"""Eviction under node pressure. Source: the kubelet's eviction manager."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from firedrill.world.kube import quantity
from firedrill.world.kube.kubelet import files, running, sync
from firedrill.world.kube.kubelet.state import PodState, keep, kubelets, node_of
from firedrill.world.kube.objects import Obj, dig
from firedrill.world.kube.qos import qos_class, request_of
from firedrill.world.sim.handlers import handler

if TYPE_CHECKING:
    from firedrill.world.world import World

_STORAGE = "ephemeral-storage"
_SIGNALS = {"memory": "memory", "disk": "ephemeral-storage", "pid": "pids"}
_THRESHOLDS = {"pid": ("3276", "2871")}
"""(threshold, what is left) as the kubelet's message names them, where it is not memory."""


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
    evict_one(world, name, kind)


def evict_one(world: World, name: str, kind: str) -> None:
    """Evict the pod of a node that is most over what it has asked for."""
    node = node_of(world, name)
    chosen = _victim(world, name, kind) if node is not None and node.runs("kubelet") else None
    if chosen is None:
        return
    pod, state = chosen
    used = sum(running.memory(found, world.now) for found in state.containers.values())
    asked = sum(request_of(item, "memory") for item in pod["spec"].get("containers") or ())
    container = pod["spec"]["containers"][0]["name"]
    resource = _SIGNALS[kind]
    least, left = _THRESHOLDS.get(kind, ("100Mi", "61Mi"))
    message = f"The node was low on resource: {resource}. Threshold quantity: {least}, available: {left}. "
    if kind == "memory" and used > asked:
        message += (
            f"Container {container} was using {used // 1024}Ki, request is {asked // 1024 or 0}"
            f"{'Ki' if asked else ''}, has larger consumption of memory. "
        )
    _end(world, pod, state, message)


def stored(world: World, uid: str) -> None:
    """A container has written a file: where that may be too much, look at it with the next round."""
    state = kubelets(world).pods.get(uid)
    pod = world.cluster.store.get("pods", state.namespace, state.name) if state is not None else None
    if state is not None and pod is not None and _limits(pod):
        world.schedule(10_000 - (world.now - state.admitted) % 10_000, "kubelet.storage", uid)


def _limits(pod: Obj) -> bool:
    spec = pod["spec"]
    return any(dig(volume, "emptyDir", "sizeLimit") for volume in spec.get("volumes") or ()) or any(
        dig(item, "resources", "limits", _STORAGE) for item in spec.get("containers") or ()
    )


@handler("kubelet.storage")
def _look_at_storage(world: World, uid: str) -> None:
    state = kubelets(world).pods.get(uid)
    pod = world.cluster.store.get("pods", state.namespace, state.name) if state is not None else None
    if state is None or pod is None or state.verdict[0]:
        return
    message = _too_much(pod, state)
    if message:
        _end(world, pod, state, message)


def _too_much(pod: Obj, state: PodState) -> str:
    """What the kubelet says of the first limit of local storage that a pod is over; empty where of none."""
    used = files.sizes(state)
    for volume in pod["spec"].get("volumes") or ():
        limit = dig(volume, "emptyDir", "sizeLimit")
        if limit and used.get(str(volume["name"]), 0) > quantity.value(limit):
            return f'Usage of EmptyDir volume "{volume["name"]}" exceeds the limit "{limit}". '
    total = limits = 0
    for item in pod["spec"].get("containers") or ():
        limit = dig(item, "resources", "limits", _STORAGE)
        own = used.get(files.own_name(item["name"]), 0)
        total += own
        if not limit:
            return ""
        limits += quantity.value(limit)
        if own > quantity.value(limit):
            return f'Container {item["name"]} exceeded its local ephemeral storage limit "{limit}". '
    total += sum(used.get(str(v["name"]), 0) for v in pod["spec"].get("volumes") or () if "emptyDir" in v)
    if limits and total > limits:
        return f"Pod ephemeral local storage usage exceeds the total limit of containers {limits}. "
    return ""


def _end(world: World, pod: Obj, state: PodState, message: str) -> None:
    sync.tell(world, pod, "Warning", "Evicted", message)
    keep(world, replace(state, verdict=("Failed", "Evicted", message)))
    sync.request_sync(world, state, 1, 50, "evicted")


def _victim(world: World, node: str, kind: str) -> tuple[Obj, PodState] | None:
    """By priority first where process numbers are short: what a pod asks for says nothing of these."""
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
        over = kind == "pid" or used > asked or qos_class(pod["spec"]) == "BestEffort"
        found.append((not over, dig(pod, "spec", "priority", default=0), asked - used, state.uid, pod, state))
    return min(found, key=lambda item: item[:4])[4:] if found else None
