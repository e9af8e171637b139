"""How the scheduler's memory follows the cluster, and the snapshot of nodes that it makes of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from firedrill.world.kube.objects import Obj, dig, is_deleting, labels_of, name_of, namespace_of
from firedrill.world.kube.scheduler.changes import STORAGE, is_gated, is_ours, woken
from firedrill.world.kube.scheduler.marking import mark_gated
from firedrill.world.kube.scheduler.nodeinfo import (
    NodeInfo,
    Snapshot,
    is_finished,
    namespace_labels,
    node_info,
)
from firedrill.world.kube.scheduler.podinfo import PodInfo, pod_info
from firedrill.world.kube.scheduler.queue import SchedulerState
from firedrill.world.kube.store import Change, TooOldError

if TYPE_CHECKING:
    from firedrill.world.world import World


def follow(world: World, state: SchedulerState) -> None:
    """Take in all changes since the last look, or everything where that is not possible."""
    store = world.cluster.store
    if state.seen == store.rv:
        return
    try:
        changes = list(store.since(state.seen)) if state.seen >= 0 else None
    except TooOldError:
        changes = None
    state.seen = store.rv
    state.snapshot = None
    if changes is None:
        state.nodes.clear()
        _relist(world, state)
        return
    waiting: dict[str, tuple[PodInfo, tuple[str, ...]]] | None = None
    for change in changes:
        if change.resource == "pods":
            _follow_pod(world, state, change)
        elif change.resource == "nodes":
            state.nodes.pop(name_of(change.obj), None)
        if state.waiting and (change.resource in ("pods", "nodes") or change.resource in STORAGE):
            if waiting is None:
                waiting = {
                    key: (info, item.plugins)
                    for key, item in state.waiting.items()
                    if item.ready < 0 and (info := state.pods.get(key)) is not None
                }
            for key in woken(change, waiting):
                state.wake(key, world.now)


def _relist(world: World, state: SchedulerState) -> None:
    known = {}
    for pod in world.cluster.store.list("pods"):
        if is_ours(pod):
            known[f"{namespace_of(pod)}/{name_of(pod)}"] = pod
    for key in [*state.active, *state.waiting, *state.assumed]:
        if key not in known:
            state.forget(key)
    for key, pod in known.items():
        if is_gated(pod):
            mark_gated(world, pod)
        elif key not in state.waiting and key not in state.assumed:
            state.push(key, _priority(pod), world.now)
        if nominated := dig(pod, "status", "nominatedNodeName"):
            state.nominated[key] = str(nominated)


def _priority(pod: Obj) -> int:
    return int(dig(pod, "spec", "priority", default=0))


def _follow_pod(world: World, state: SchedulerState, change: Change) -> None:
    pod = change.obj
    key = f"{namespace_of(pod)}/{name_of(pod)}"
    _follow_node(state, change, key)
    if change.type == "DELETED" or not is_ours(pod):
        kept = state.pods.get(key)
        state.forget(key)
        if kept is not None and change.type != "DELETED" and not is_finished(pod):
            state.pods[key] = kept  # its node is added up again one day
        return
    if is_gated(pod):
        state.forget(key)
        mark_gated(world, pod)
        return
    known = state.pods.get(key)
    same = (
        known is not None and known.spec == pod["spec"] and known.labels == pod["metadata"].get("labels", {})
    )
    if key in state.waiting and not same:
        state.pods.pop(key, None)
        info_of(state, key, pod)
        state.wake(key, world.now)
    elif key not in state.waiting and key not in state.assumed:
        state.push(key, _priority(pod), world.now)


def _follow_node(state: SchedulerState, change: Change, key: str) -> None:
    """Keep what is known of a pod's node in step with the pod."""
    pod, previous = change.obj, change.previous
    was, now = dig(previous, "spec", "nodeName"), dig(pod, "spec", "nodeName")
    known = state.nodes.get(now) if now else None
    arrived = now and not was and change.type != "DELETED"
    new = known is not None and all(item.key != key for item in known.pods)
    if known is not None and new and arrived and key not in state.assumed and not is_finished(pod):
        state.nodes[now] = known.with_pod(info_of(state, key, pod))
        return
    if previous is not None and was == now and change.type != "DELETED" and _weighs_the_same(pod, previous):
        return
    for node in (was, now):
        if node:
            state.nodes.pop(node, None)


def _weighs_the_same(pod: Obj, previous: Obj) -> bool:
    """Whether nothing has changed that filters, scores or pre-emption look at."""
    return bool(
        pod.get("spec") == previous.get("spec")
        and labels_of(pod) == labels_of(previous)
        and is_deleting(pod) == is_deleting(previous)
        and is_finished(pod) == is_finished(previous)
        and dig(pod, "status", "startTime") == dig(previous, "status", "startTime")
    )


def info_of(state: SchedulerState, key: str, pod: Obj) -> PodInfo:
    """What is known of this version of a pod."""
    found = state.pods.get(key)
    if found is None or found.pod is not pod:
        found = state.pods[key] = pod_info(pod)
    return found


def snapshot(world: World, state: SchedulerState) -> Snapshot:
    """The nodes as they are now; only those that changed are added up again."""
    if state.snapshot is not None:
        return state.snapshot
    store = world.cluster.store
    nodes: dict[str, NodeInfo] = {}
    for node in store.list("nodes"):
        name = name_of(node)
        found = state.nodes.get(name)
        if found is None or found.node is not node:
            found = state.nodes[name] = node_info(node, _pods_on(world, state, name))
        nodes[name] = found
    state.snapshot = Snapshot(nodes, namespace_labels(store), store, world.cluster.settings.minor)
    return state.snapshot


def _pods_on(world: World, state: SchedulerState, node: str) -> Iterable[PodInfo]:
    out = []
    store = world.cluster.store
    for pod in store.pods_on(node):
        key = f"{namespace_of(pod)}/{name_of(pod)}"
        if is_finished(pod):
            state.pods.pop(key, None)
        else:
            out.append(info_of(state, key, pod))
    for key, (where, _) in state.assumed.items():
        namespace, _, name = key.partition("/")
        assumed = store.get("pods", namespace, name)
        if where == node and assumed is not None and is_ours(assumed):
            out.append(info_of(state, key, assumed))
    return out


def nominated_pods(world: World, state: SchedulerState) -> dict[str, list[PodInfo]]:
    """By node, the pods for which room is being made there."""
    out: dict[str, list[PodInfo]] = {}
    for key, node in state.nominated.items():
        namespace, _, name = key.partition("/")
        pod = world.cluster.store.get("pods", namespace, name)
        if pod is not None and is_ours(pod):
            out.setdefault(node, []).append(info_of(state, key, pod))
    return out
