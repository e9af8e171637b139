"""The parts of nodes: stopping and starting them, reboots, pressure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from firedrill.world.kube.controllers import base
from firedrill.world.kube.kubelet import heartbeat, static
from firedrill.world.kube.kubelet.state import PARTS, NodeState, PodState, keep_node, kubelets, node_of
from firedrill.world.kube.network.state import NetworkState
from firedrill.world.kube.objects import dig, name_of, namespace_of
from firedrill.world.sim.handlers import handler

if TYPE_CHECKING:
    from firedrill.world.world import World

_GC_FAILED = (
    'rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: '
    'dial unix /run/containerd/containerd.sock: connect: no such file or directory"'
)
_RUNTIME_MISSED = (30_000, 41_000)
"""A kubelet calls its runtime down after 30 s without an answer, and reports every 10 s."""


# --- parts that stop and start


def stop(world: World, name: str, part: str) -> None:
    """Let a part of a node stop working.

    Args:
        world: where.
        name: of the node.
        part: `kubelet`, `containerd`, `kube-proxy`, `network`, or a static pod of the control plane
            such as `kube-scheduler`.

    Raises:
        LookupError: there is no such node or part.
    """
    from firedrill.world.kube.kubelet import lifecycle

    node = _known(world, name)
    if part not in PARTS:
        static.stop(world, name, part)
        return
    if not node.runs(part):
        return
    node = keep_node(world, replace(node, down=node.down | {part}))
    if part == "kubelet":
        keep_node(world, replace(node, silent_since=world.now))
        lifecycle.silent(world, name)
    elif part == "containerd":
        delay = world.rng.integer(*_RUNTIME_MISSED, "node.down", name, world.now)
        world.schedule(delay, "kubelet.report", name)
        first = world.rng.integer(0, 60_000, "node.gc", name, world.now)
        world.schedule(first, "kubelet.gc", name)
    elif part == "kube-proxy":
        world.cluster.part(NetworkState).stop_proxy(name, world.cluster.store)
    elif part == "network":
        world.schedule(world.rng.integer(500, 5_000, "node.down", name, world.now), "kubelet.report", name)


def start(world: World, name: str, part: str) -> None:
    """Let a stopped part of a node work again.

    Raises:
        LookupError: there is no such node or part.
    """
    node = _known(world, name)
    if part not in PARTS:
        static.start(world, name, part)
        return
    if node.runs(part):
        return
    node = keep_node(world, replace(node, down=node.down - {part}))
    if part == "kubelet":
        _kubelet_starts(world, name)
    elif part == "kube-proxy":
        world.cluster.part(NetworkState).start_proxy(name)
        heartbeat.say(world, name, "Normal", "Starting", "", "kube-proxy")
    else:
        world.schedule(world.rng.integer(500, 4_000, "node.up", name, world.now), "kubelet.resume", name)


def _kubelet_starts(world: World, name: str) -> None:
    keep_node(world, replace(_known(world, name), silent_since=-1, unschedulable=False))
    heartbeat.say_starting(world, name)
    base.enqueue(world, "kubelet-node", base.key_of("", name))
    world.schedule(world.rng.integer(300, 1_500, "node.up", name, world.now), "kubelet.resume", name)


@handler("kubelet.resume")
def _resume(world: World, name: str) -> None:
    """The kubelet reports again and looks at all of its pods."""
    from firedrill.world.kube.kubelet import probes, sync

    node = node_of(world, name)
    if node is None or not node.runs("kubelet"):
        return
    heartbeat.report(world, name)
    for pod in world.cluster.store.pods_on(name):
        base.enqueue(world, sync.NAME, base.key_of(namespace_of(pod), name_of(pod)))
    probes.wake_all(world, name)


@handler("kubelet.gc")
def _gc(world: World, name: str) -> None:
    """The garbage collector of containers runs once a minute and tells of its failure."""
    node = node_of(world, name)
    if node is None or not node.runs("kubelet") or node.runs("containerd"):
        return
    heartbeat.tell(world, name, "Warning", "ContainerGCFailed", _GC_FAILED)
    world.schedule(60_000, "kubelet.gc", name)


def reboot(world: World, name: str) -> None:
    """Restart a machine: every container on it starts again.

    Raises:
        LookupError: there is no such node.
    """
    from firedrill.world.kube.kubelet import lifecycle, running

    node = _known(world, name)
    part = kubelets(world)
    for state in list(part.pods.values()):
        if state.node == name:
            now = state
            for found in state.containers.values():
                now = running.end(world, now, found, 255, "Unknown")
            now = _prepared_anew(world, now)
            part.pods[state.uid] = replace(now, sandbox="none", ip="", busy="")
    static.machine_down(world, node)
    boots = node.boots + 1
    node = replace(node, boots=boots, booted=world.now, down=frozenset(PARTS), silent_since=world.now)
    keep_node(world, node)
    lifecycle.silent(world, name)
    world.schedule(world.rng.integer(20_000, 45_000, "node.boot", name, node.boots), "kubelet.boot", name)


def _prepared_anew(world: World, state: PodState) -> PodState:
    """What the init containers have done is lost with the sandbox: they will run once more."""
    pod = world.cluster.store.get("pods", state.namespace, state.name)
    for item in dig(pod or {}, "spec", "initContainers", default=()):
        found = state.containers.get(item["name"])
        if found is not None and found.ended and found.run is not None:
            lost = replace(found.run, code=255, reason="Unknown")
            state = state.having(replace(found, run=lost))
    return state


@handler("kubelet.boot")
def _boot(world: World, name: str) -> None:
    node = _known(world, name)
    keep_node(world, replace(node, down=frozenset(), silent_since=-1, unschedulable=False))
    heartbeat.say_starting(world, name)
    base.enqueue(world, "kubelet-node", base.key_of("", name))
    boot = world.rng.uuid("node.boot", name, node.boots)
    heartbeat.tell(world, name, "Warning", "Rebooted", f"Node {name} has been rebooted, boot id: {boot}")
    heartbeat.say(world, name, "Normal", "Starting", "", "kube-proxy")
    static.machine_up(world, name)
    world.schedule(800, "kubelet.resume", name)


def set_pressure(world: World, name: str, kind: str, *, on: bool = True, evict: bool = True) -> None:
    """Let a node run short of `memory`, `disk` or `pid`, or no longer; pods are evicted as long as it lasts.

    Args:
        world: where.
        name: of the node.
        kind: of the pressure.
        on: it begins, or is over.
        evict: pods are evicted as long as it lasts.

    Raises:
        LookupError: there is no such node or kind.
    """
    from firedrill.world.kube.kubelet import eviction

    node = _known(world, name)
    if kind not in heartbeat.PRESSURE_EVENTS:
        raise LookupError(f"nodes know no pressure of {kind!r}")
    node = keep_node(world, replace(node, pressure=node.pressure | {kind} if on else node.pressure - {kind}))
    good, bad = heartbeat.PRESSURE_EVENTS[kind]
    reason = bad if on else good
    if node.runs("kubelet"):
        heartbeat.tell(world, name, "Normal", reason, f"Node {name} status is now: {reason}")
    heartbeat.report(world, name)
    if on and evict:
        eviction.begin(world, name, kind)


def _known(world: World, name: str) -> NodeState:
    node = node_of(world, name)
    if node is None:
        raise LookupError(f"no node is called {name!r}")
    return node
