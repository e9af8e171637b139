"""The scheduler at work: it follows the cluster's changes, tries the pods that wait, and binds them.

Source: kube-scheduler 1.31 for the order of steps, events and conditions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from firedrill.world.kube import events
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.api.request import Options, Request
from firedrill.world.kube.controllers.base import Controller, enqueue, is_up, register
from firedrill.world.kube.objects import (
    Obj,
    dig,
    with_condition,
)
from firedrill.world.kube.scheduler.binding import bind_volumes, volumes_ready
from firedrill.world.kube.scheduler.changes import (
    NAME,
    STORAGE,
    is_interesting,
    is_ours,
)
from firedrill.world.kube.scheduler.choose import Decision, choose_node
from firedrill.world.kube.scheduler.marking import COMPONENT, USER, mark, scheduler_client
from firedrill.world.kube.scheduler.memory import follow, info_of, nominated_pods, snapshot
from firedrill.world.kube.scheduler.podinfo import PodInfo
from firedrill.world.kube.scheduler.preemption import Candidate
from firedrill.world.kube.scheduler.queue import SchedulerState
from firedrill.world.kube.store import Change

if TYPE_CHECKING:
    from firedrill.world.world import World

_KEY = "queue"
_BATCH = 10
_BATCH_MS = 20
"""A scheduler places some hundreds of pods in a second: so many at once, then a pause of so many ms."""
_BIND_TIMEOUT = 600_000


def _reconcile(world: World, _: str) -> None:
    state = world.cluster.part(SchedulerState)
    follow(world, state)
    _finish_assumed(world, state)
    follow(world, state)
    state.release(world.now)
    for _attempt in range(_BATCH):
        pod = _next(world, state)
        if pod is None:
            break
        _attempt_pod(world, state, pod)
        follow(world, state)
    if state.active:
        enqueue(world, NAME, _KEY, _BATCH_MS)
        return
    due = state.next_due()
    if due is not None:
        enqueue(world, NAME, _KEY, max(due - world.now, 1))


def _next(world: World, state: SchedulerState) -> PodInfo | None:
    """The pod to try now."""
    while (key := state.pop()) is not None:
        namespace, _, name = key.partition("/")
        pod = world.cluster.store.get("pods", namespace, name)
        if pod is not None and is_ours(pod):
            return info_of(state, key, pod)
        state.forget(key)
    return None


def _attempt_pod(world: World, state: SchedulerState, pod: PodInfo) -> None:
    state.attempts[pod.key] = state.attempts.get(pod.key, 0) + 1
    here = snapshot(world, state)
    decision = choose_node(
        pod,
        here,
        world.rng,
        attempt=state.attempts[pod.key],
        start=state.start,
        nominated=nominated_pods(world, state),
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
    mark(world, pod.pod, "Unschedulable", decision.message, candidate.node if candidate else "")


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
        info = info_of(state, key, pod)
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
