"""Programs without a limit that take more memory than their node has.

Source: the kubelet's eviction manager (`memory.available<100Mi`, looked at every ten seconds, five minutes
until the pressure is over) and the kernel's choice of a victim where nothing is left at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from firedrill.world.kube import quantity
from firedrill.world.kube.kubelet import eviction, heartbeat, nodes, running
from firedrill.world.kube.kubelet.state import Container, PodState, kubelets, node_of
from firedrill.world.kube.objects import Obj, dig
from firedrill.world.kube.qos import qos_class, request_of
from firedrill.world.sim.handlers import handler

if TYPE_CHECKING:
    from firedrill.world.world import World

_THRESHOLD: Final = 100 << 20
_SYSTEM: Final = 400 << 20
"""What the machine's own programs take."""
_EVERY_MS: Final = 10_000
_OVER_MS: Final = 300_000


def grown(world: World, node: str, leak: int) -> None:
    """A program without a limit has taken memory: look whether its node has enough, now and later.

    Args:
        world: where.
        node: where the program runs.
        leak: bytes per second that it goes on to take.
    """
    if not node:
        return
    world.schedule(500, "kubelet.shortage", node)
    if leak > 0:
        left = max(available(world, node) - _THRESHOLD, 0)
        world.schedule(left * 1000 // leak + _EVERY_MS, "kubelet.shortage", node)


def available(world: World, node: str) -> int:
    """Bytes that programs on a node may still take; below 0 where they want more than there is."""
    obj = world.cluster.store.get("nodes", "", node)
    text = dig(obj, "status", "capacity", "memory")
    if text is None:
        return 1 << 62
    taken = sum(running.memory(found, world.now) for _, found in _running(world, node))
    return quantity.value(str(text)) - _SYSTEM - taken


def _running(world: World, node: str) -> list[tuple[PodState, Container]]:
    part, out = kubelets(world), []
    for pod in world.cluster.store.pods_on(node):
        state = part.pods.get(pod["metadata"]["uid"])
        if state is not None:
            out += [(state, found) for found in state.containers.values() if found.running]
    return out


@handler("kubelet.shortage")
def _look(world: World, name: str) -> None:
    node = node_of(world, name)
    left = available(world, name)
    if node is None or left >= _THRESHOLD:
        return
    if left < 0:
        _kill(world, name)
        world.schedule(500, "kubelet.shortage", name)
    elif node.runs("kubelet") and "memory" not in node.pressure:
        nodes.set_pressure(world, name, "memory", evict=False)
        world.schedule(_EVERY_MS, "kubelet.shortage.over", name, -1)


@handler("kubelet.shortage.over")
def _watch(world: World, name: str, since: int) -> None:
    """The pressure is over when there has been enough for five minutes."""
    node = node_of(world, name)
    if node is None or "memory" not in node.pressure:
        return
    if available(world, name) < _THRESHOLD:
        since = -1
        eviction.evict_one(world, name, "memory")
    elif since < 0:
        since = world.now
    elif world.now - since >= _OVER_MS:
        nodes.set_pressure(world, name, "memory", on=False)
        return
    world.schedule(_EVERY_MS, "kubelet.shortage.over", name, since)


def _kill(world: World, name: str) -> None:
    """End the container that the kernel likes least: by its memory, and by the class of its pod."""
    obj = world.cluster.store.get("nodes", "", name)
    whole = max(quantity.value(str(dig(obj, "status", "capacity", "memory", default="1"))), 1)
    worst: tuple[int, str, str] | None = None
    chosen: tuple[PodState, Container] | None = None
    for state, found in _running(world, name):
        pod = world.cluster.store.get("pods", state.namespace, state.name)
        if pod is None or dig(pod, "spec", "priority", default=0) >= 2_000_000_000:
            continue
        score = 1000 * running.memory(found, world.now) // whole + _adjusted(pod["spec"], found.name, whole)
        if worst is None or (score, state.uid, found.name) > worst:
            worst, chosen = (score, state.uid, found.name), (state, found)
    if chosen is None:
        return
    state, found = chosen
    node = node_of(world, name)
    if node is not None and node.runs("kubelet"):
        pid = world.rng.integer(2000, 60_000, "kubelet.victim", state.uid, found.name, world.now)
        words = found.run.plan.process.split() if found.run is not None else []
        process = words[0].rpartition("/")[2] if words else found.name
        text = f"System OOM encountered, victim process: {process}, pid: {pid}"
        heartbeat.tell(world, name, "Warning", "SystemOOM", text)
    running.end(world, state, found, 137, "OOMKilled")


def _adjusted(spec: Obj, container: str, whole: int) -> int:
    """`oom_score_adj` as the kubelet sets it."""
    kind = qos_class(spec)
    if kind == "Guaranteed":
        return -997
    if kind == "BestEffort":
        return 1000
    items = spec.get("containers") or ()
    own: Obj = next((item for item in items if item.get("name") == container), {})
    return min(max(1000 - 1000 * request_of(own, "memory") // whole, 3), 999)
