"""The end of pods: deletion, deadlines and evictions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.kubelet import history, running, static, sync
from firedrill.world.kube.kubelet.state import PodState, keep, kubelets, node_of
from firedrill.world.kube.kubelet.status import is_sidecar
from firedrill.world.kube.objects import Obj, dig, is_deleting, uid_of
from firedrill.world.sim.handlers import handler

if TYPE_CHECKING:
    from firedrill.world.world import World


def forget(world: World, uid: str) -> None:
    """A pod is gone from the API: whatever of it still runs is killed at once."""
    part = kubelets(world)
    state = part.pods.pop(uid, None)
    if state is not None:
        history.close(world, state)
    node = node_of(world, state.node) if state is not None else None
    if state is not None and node is not None and node.control_plane and state.namespace == "kube-system":
        static.restore(world, node, state.name)
    if state is not None and part.names.get((state.namespace, state.name)) == uid:
        del part.names[state.namespace, state.name]


def stop(world: World, pod: Obj, state: PodState) -> PodState:
    """Stop the containers of a pod; once they have ended, let a deleted pod go."""
    grace = _grace(pod)
    due = world.now + grace * 1000
    sooner = state.stopping and due < state.stopping
    if not state.stopping or sooner:
        state = keep(world, replace(state, stopping=due, busy=""))
    side = {item["name"] for item in pod["spec"].get("initContainers") or () if is_sidecar(item)}
    main = [found for found in state.containers.values() if found.running and found.name not in side]
    for found in main or [item for item in state.containers.values() if item.running]:
        if found.killing and not sooner:
            continue
        if not found.killing:
            sync.tell(world, pod, "Normal", "Killing", f"Stopping container {found.name}", found.name)
        left = max((state.stopping - world.now) // 1000, 0) if not sooner else grace
        state = running.kill(world, pod, state, state.containers[found.name], "deletion", left)
    if any(found.running for found in state.containers.values()):
        return state
    if is_deleting(pod) and not state.gone:
        state = keep(world, replace(state, gone=True))
        delay = world.rng.integer(100, 900, "kubelet.remove", state.uid)
        world.schedule(delay, "kubelet.remove", state.uid)
    return state


def _grace(pod: Obj) -> int:
    told = dig(pod, "metadata", "deletionGracePeriodSeconds")
    if is_deleting(pod) and told is not None:
        return int(told)
    return int(dig(pod, "spec", "terminationGracePeriodSeconds", default=30))


@handler("kubelet.remove")
def _remove(world: World, uid: str) -> None:
    state = kubelets(world).pods.get(uid)
    node = node_of(world, state.node) if state is not None else None
    if state is None or node is None:
        return
    if not node.runs("kubelet"):
        keep(world, replace(state, gone=False))
        return
    pod = world.cluster.store.get("pods", state.namespace, state.name)
    if pod is None or uid_of(pod) != uid:
        forget(world, uid)
        return
    try:
        sync.client_of(world, node.name).delete("pods", state.namespace, state.name, grace=0, uid=uid)
    except ApiError:
        world.schedule(1000, "kubelet.remove", uid)
