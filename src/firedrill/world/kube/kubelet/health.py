"""How running programs are: the handle by which faults and load reach them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from firedrill.world.kube.kubelet import probes, running, shortage
from firedrill.world.kube.kubelet.containers import spec_of
from firedrill.world.kube.kubelet.state import find_pod, keep
from firedrill.world.kube.programs.model import Health
from firedrill.world.kube.qos import limit_of

if TYPE_CHECKING:
    from firedrill.world.world import World


def set_health(world: World, namespace: str, pod: str, container: str, **changes: Any) -> Health:
    """Change how a running program is; it lasts until the container is restarted.

    Args:
        world: where.
        namespace, pod, container: which one.
        changes: fields of `programs.Health`, such as `latency=3000`, `leak=1_000_000`, `frozen=True`.

    Returns:
        Its health now.

    Raises:
        LookupError: no such container runs.
        TypeError: there is no such field.
    """
    state = find_pod(world, namespace, pod)
    found = state.containers.get(container) if state is not None else None
    obj = world.cluster.store.get("pods", namespace, pod)
    if state is None or found is None or obj is None or not found.running:
        raise LookupError(f"no container {container!r} of pod {namespace}/{pod} runs")
    old = found.health
    grown = old.memory + old.leak * max(world.now - old.since, 0) // 1000
    health = replace(old, **{"memory": grown, "since": world.now, **changes})
    found = replace(found, health=health)
    state = keep(world, state.having(found))
    limit = limit_of(spec_of(obj, container) or {}, "memory")
    running.plan_memory(world, state, found, limit)
    if not limit and (health.memory > grown or health.leak > old.leak):
        shortage.grown(world, state.node, health.leak)
    probes.wake(world, namespace, pod)
    return health
