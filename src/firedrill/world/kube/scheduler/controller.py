"""The scheduler at work: it follows the cluster's changes, tries the pods that wait, and binds them.

Source: kube-scheduler 1.31 for the order of steps, events and conditions.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from firedrill.world.kube import events
from firedrill.world.kube.api.client import Client
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.api.request import Options, Request, User
from firedrill.world.kube.controllers.base import Controller, enqueue, is_up, register
from firedrill.world.kube.objects import (
    Obj,
    dig,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    with_condition,
)
from firedrill.world.kube.scheduler.binding import bind_volumes, volumes_ready
from firedrill.world.kube.scheduler.changes import (
    NAME,
    STORAGE,
    is_gated,
    is_interesting,
    is_ours,
    woken,
)
from firedrill.world.kube.scheduler.choose import Decision, choose_node
from firedrill.world.kube.scheduler.nodeinfo import (
    NodeInfo,
    Snapshot,
    is_finished,
    namespace_labels,
    node_info,
)
from firedrill.world.kube.scheduler.podinfo import PodInfo, pod_info
from firedrill.world.kube.scheduler.preemption import Candidate
from firedrill.world.kube.scheduler.queue import SchedulerState
from firedrill.world.kube.store import Change, TooOldError

if TYPE_CHECKING:
    from firedrill.world.world import World

COMPONENT = "kube-scheduler"
USER = User("system:kube-scheduler")
_KEY = "queue"
_BATCH = 10
_BATCH_MS = 20
"""A scheduler places some hundreds of pods in a second: so many at once, then a pause of so many ms."""
_BIND_TIMEOUT = 600_000


def scheduler_client(world: World) -> Client:
    """The scheduler as a user of the API."""
    return Client(world, USER, manager=COMPONENT, trusted=True)


def _reconcile(world: World, _: str) -> None:
    state = world.cluster.part(SchedulerState)
    _follow(world, state)
    _finish_assumed(world, state)
    _follow(world, state)
    state.release(world.now)
    for _attempt in range(_BATCH):
        pod = _next(world, state)
        if pod is None:
            break
        _attempt_pod(world, state, pod)
        _follow(world, state)
    if state.active:
        enqueue(world, NAME, _KEY, _BATCH_MS)
        return
    due = state.next_due()
    if due is not None:
        enqueue(world, NAME, _KEY, max(due - world.now, 1))


def _follow(world: World, state: SchedulerState) -> None:
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
            _mark_gated(world, pod)
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
        _mark_gated(world, pod)
        return
    known = state.pods.get(key)
    same = (
        known is not None and known.spec == pod["spec"] and known.labels == pod["metadata"].get("labels", {})
    )
    if key in state.waiting and not same:
        state.pods.pop(key, None)
        _info(state, key, pod)
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
        state.nodes[now] = known.with_pod(_info(state, key, pod))
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


def _info(state: SchedulerState, key: str, pod: Obj) -> PodInfo:
    """What is known of this version of a pod."""
    found = state.pods.get(key)
    if found is None or found.pod is not pod:
        found = state.pods[key] = pod_info(pod)
    return found


def _next(world: World, state: SchedulerState) -> PodInfo | None:
    """The pod to try now."""
    while (key := state.pop()) is not None:
        namespace, _, name = key.partition("/")
        pod = world.cluster.store.get("pods", namespace, name)
        if pod is not None and is_ours(pod):
            return _info(state, key, pod)
        state.forget(key)
    return None


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
            out.append(_info(state, key, pod))
    for key, (where, _) in state.assumed.items():
        namespace, _, name = key.partition("/")
        assumed = store.get("pods", namespace, name)
        if where == node and assumed is not None and is_ours(assumed):
            out.append(_info(state, key, assumed))
    return out


def _nominated(world: World, state: SchedulerState) -> dict[str, list[PodInfo]]:
    out: dict[str, list[PodInfo]] = {}
    for key, node in state.nominated.items():
        namespace, _, name = key.partition("/")
        pod = world.cluster.store.get("pods", namespace, name)
        if pod is not None and is_ours(pod):
            out.setdefault(node, []).append(_info(state, key, pod))
    return out


def _attempt_pod(world: World, state: SchedulerState, pod: PodInfo) -> None:
    state.attempts[pod.key] = state.attempts.get(pod.key, 0) + 1
    here = snapshot(world, state)
    decision = choose_node(
        pod,
        here,
        world.rng,
        attempt=state.attempts[pod.key],
        start=state.start,
        nominated=_nominated(world, state),
        nominated_node=str(dig(pod.pod, "status", "nominatedNodeName", default="")),
    )
    if len(here.nodes) > 100:
        state.start = (state.start + 100) % len(here.nodes)
    if not decision.node:
        _fail(world, state, pod, decision)
        return
    if pod.claims and not bind_volumes(scheduler_client(world), pod, here.nodes[decision.node].node):
        state.assumed[pod.key] = (decision.node, world.now + _BIND_TIMEOUT)
        state.nodes.pop(decision.node, None)
        state.snapshot = None
        return
    _bind(world, state, pod, decision.node)


def _bind(world: World, state: SchedulerState, pod: PodInfo, node: str) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
        "target": {"kind": "Node", "name": node},
    }
    try:
        _send_binding(world, pod, body)
    except ApiError as refusal:
        if refusal.code == 404:
            state.forget(pod.key)
            return
        text = f'binding rejected: running Bind plugin "DefaultBinder": {refusal.message}'
        _fail(world, state, pod, Decision(message=text, plugins=("DefaultBinder",)))
        state.wake(pod.key, world.now)
        return
    text = f"Successfully assigned {pod.key} to {node}"
    events.record(world, pod.pod, "Normal", "Scheduled", text, component=NAME)
    state.forget(pod.key)


def _send_binding(world: World, pod: PodInfo, body: Obj) -> None:
    from firedrill.world.kube.api.server import handle

    handle(
        world,
        Request(
            verb="create",
            group="",
            version="v1",
            plural="pods",
            namespace=pod.namespace,
            name=pod.name,
            subresource="binding",
            body=body,
            options=Options(field_manager=COMPONENT),
            user=USER,
            user_agent=COMPONENT,
            trusted=True,
        ),
    )


def _fail(world: World, state: SchedulerState, pod: PodInfo, decision: Decision) -> None:
    state.fail(pod.key, world.now, decision.plugins)
    events.record(world, pod.pod, "Warning", "FailedScheduling", decision.message, component=NAME)
    candidate = decision.preemption
    if candidate is not None:
        state.nominated[pod.key] = candidate.node
        _evict(world, pod, candidate)
    _mark(world, pod.pod, "Unschedulable", decision.message, candidate.node if candidate else "")


def _mark(world: World, pod: Obj, reason: str, message: str, nominated: str = "") -> None:
    """Say in the pod's status why it is not scheduled."""
    current = world.cluster.store.get("pods", namespace_of(pod), name_of(pod))
    if current is None:
        return
    status = dict(current.get("status") or {})
    item = {
        "type": "PodScheduled",
        "status": "False",
        "lastProbeTime": None,
        "reason": reason,
        "message": message,
    }
    status["conditions"] = with_condition(status.get("conditions"), item, world.time)
    status.setdefault("phase", "Pending")
    if nominated:
        status["nominatedNodeName"] = nominated
    elif not world.cluster.store.get("nodes", "", str(status.get("nominatedNodeName") or "")):
        status.pop("nominatedNodeName", None)
    if status != current.get("status"):
        # The pod may be gone, or the scheduler no longer be allowed to write: the real one logs and goes on.
        with suppress(ApiError):
            scheduler_client(world).update_status(current, status)


def _mark_gated(world: World, pod: Obj) -> None:
    conditions = dig(pod, "status", "conditions", default=())
    if not any(item.get("reason") == "SchedulingGated" for item in conditions):
        _mark(world, pod, "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates")


def _evict(world: World, pod: PodInfo, candidate: Candidate) -> None:
    """Make room: tell each victim, mark it, and delete it with its own grace."""
    client = scheduler_client(world)
    for victim in candidate.victims:
        current = client.find("pods", victim.namespace, victim.name)
        if current is None:
            continue
        item = {
            "type": "DisruptionTarget",
            "status": "True",
            "lastProbeTime": None,
            "reason": "PreemptionByScheduler",
            "message": f"{NAME}: preempting to accommodate a higher priority pod",
        }
        status = dict(current.get("status") or {})
        status["conditions"] = with_condition(status.get("conditions"), item, world.time)
        client.update_status(current, status)
        text = f"Preempted by pod {pod.uid} on node {candidate.node}"
        events.record(world, current, "Normal", "Preempted", text, component=NAME)
        client.delete("pods", victim.namespace, victim.name, uid=victim.uid)


def _finish_assumed(world: World, state: SchedulerState) -> None:
    """Bind the pods whose volumes have become ready; give up on those that waited too long."""
    for key, (node, deadline) in list(state.assumed.items()):
        namespace, _, name = key.partition("/")
        pod = world.cluster.store.get("pods", namespace, name)
        if pod is None or not is_ours(pod):
            state.forget(key)
            state.nodes.pop(node, None)
            continue
        info = _info(state, key, pod)
        if volumes_ready(scheduler_client(world), info):
            _bind(world, state, info, node)
        elif world.now >= deadline:
            del state.assumed[key]
            state.nodes.pop(node, None)
            text = 'running PreBind plugin "VolumeBinding": binding volumes: context deadline exceeded'
            _fail(world, state, info, Decision(message=text, plugins=("VolumeBinding",)))
            state.wake(key, world.now)


def _resync(world: World) -> Iterable[str]:
    """A scheduler that starts knows nothing of what an earlier one has tried."""
    state = world.cluster.part(SchedulerState)
    fresh = SchedulerState()
    for field in SchedulerState.__slots__:
        setattr(state, field, getattr(fresh, field))
    return (_KEY,)


def _keys(world: World, change: Change) -> Iterable[str]:
    return (_KEY,) if is_up(world, COMPONENT) and is_interesting(change) else ()


SCHEDULER = register(
    Controller(
        name=NAME,
        component=COMPONENT,
        watches=dict.fromkeys(("pods", "nodes", *STORAGE), _keys),
        reconcile=_reconcile,
        resync=_resync,
        delay=(2, 20),
    )
)
