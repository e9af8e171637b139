"""What requests make programs use: the handle by which a model of traffic reaches kubelets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firedrill.world.kube.kubelet import probes, running
from firedrill.world.kube.kubelet.containers import spec_of
from firedrill.world.kube.kubelet.state import having, keep, kubelets
from firedrill.world.kube.programs.model import Load
from firedrill.world.kube.qos import limit_of

if TYPE_CHECKING:
    from firedrill.world.world import World

_FELT = 200
"""ms of latency that no prober notices: none waits for less than a second."""


def set_load(world: World, uid: str, container: str, load: Load) -> None:
    """Say what the requests of the moment make a container use; it lasts until it is said anew.

    Metrics show it, probes wait behind the requests, and a container that outgrows its limit is killed.
    Nothing happens where the container does not run.

    Args:
        world: where.
        uid: of the pod.
        container: its name.
        load: in place of what was said before.
    """
    state = kubelets(world).pods.get(uid)
    found = state.containers.get(container) if state is not None else None
    if state is None or found is None or not found.running or found.load == load:
        return
    before = found.load
    found = having(found, "load", load)
    state = keep(world, state.having(found))
    if load.memory > before.memory:
        pod = world.cluster.store.get("pods", state.namespace, state.name)
        limit = limit_of(spec_of(pod, container) or {}, "memory") if pod is not None else 0
        if limit and running.memory(found, world.now) > limit:
            running.plan_memory(world, state, found, limit)
    if max(load.latency, before.latency) > _FELT:
        probes.wake(world, state.namespace, state.name)
