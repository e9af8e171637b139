"""Probes: when they run, what they find, and what follows.

A prober that finds what it found before, and would find it again, is not scheduled: `wake` starts it
again when something that it looks at has changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import effects
from firedrill.world.kube.kubelet import sync
from firedrill.world.kube.kubelet.checks import check
from firedrill.world.kube.kubelet.state import Container, PodState, Probing, going_on, keep, kubelets, node_of
from firedrill.world.kube.objects import Obj, dig, is_deleting
from firedrill.world.sim.handlers import handler

if TYPE_CHECKING:
    from firedrill.world.world import World

KINDS = {"startup": "startupProbe", "readiness": "readinessProbe", "liveness": "livenessProbe"}


def begin(world: World, state: PodState, item: Mapping[str, Any]) -> None:
    """Start the probers of a container that has just been started."""
    found = state.containers[item["name"]]
    waiting = bool(item.get("startupProbe"))
    probes = {}
    for kind, key in KINDS.items():
        if item.get(key):
            probes[kind] = Probing(good=kind == "liveness")
    state = keep(world, state.having(replace(found, probes=probes)))
    for kind in probes:
        if kind == "startup" or not waiting:
            _plan(world, state.uid, item, kind)


def _plan(world: World, uid: str, item: Mapping[str, Any], kind: str) -> None:
    """Schedule the next probe, on the prober's own beat."""
    state = kubelets(world).pods[uid]
    probe = item[KINDS[kind]]
    found = state.containers[item["name"]]
    memory = found.probes.get(kind)
    if found.run is None or memory is None:
        return
    period = max(int(probe.get("periodSeconds") or 10), 1) * 1000
    earliest = found.run.started + int(probe.get("initialDelaySeconds") or 0) * 1000
    beat = state.admitted + world.rng.integer(0, 999, "kubelet.probe", state.uid, found.name, kind)
    after = max(earliest, world.now + 1)
    due = beat + -(-(after - beat) // period) * period
    if memory.due > world.now and memory.due <= due:
        return
    keep(world, state.having(replace(found, probes={**found.probes, kind: replace(memory, due=due)})))
    world.schedule(due - world.now, "kubelet.probe", state.uid, found.name, kind, found.run.attempt, due)


def hasten(world: World, pod: Obj, state: PodState) -> None:
    """Probe at once whether containers are ready that are not: kubelets do so with every pass over a pod."""
    from firedrill.world.kube.kubelet.containers import spec_of

    for found in state.containers.values():
        memory = found.probes.get("readiness")
        if memory is None or memory.good or memory.held or not found.started or found.run is None:
            continue
        item = spec_of(pod, found.name)
        delay = int(dig(item or {}, KINDS["readiness"], "initialDelaySeconds") or 0) * 1000
        due = world.now + 5
        if not found.running or world.now < found.run.started + delay or world.now < memory.due <= due:
            continue
        state = state.having(replace(found, probes={**found.probes, "readiness": replace(memory, due=due)}))
        state = keep(world, state)
        world.schedule(5, "kubelet.probe", state.uid, found.name, "readiness", found.run.attempt, due)


def wake(world: World, namespace: str, name: str) -> None:
    """Let every prober of a pod look again: what it looks at may have changed."""
    from firedrill.world.kube.kubelet.containers import spec_of

    part = kubelets(world)
    uid = part.names.get((namespace, name))
    pod = world.cluster.store.get("pods", namespace, name)
    if uid is None or pod is None or uid not in part.pods:
        return
    for found in part.pods[uid].containers.values():
        item = spec_of(pod, found.name)
        if item is None or not found.running:
            continue
        for kind in found.probes:
            if (kind == "startup") != found.started or not item.get("startupProbe"):
                _plan(world, uid, item, kind)


def wake_all(world: World, node: str = "") -> None:
    """The same for all pods, of one node where one is named."""
    for state in list(kubelets(world).pods.values()):
        if not node or state.node == node:
            wake(world, state.namespace, state.name)


@handler("kubelet.probe")
def _tick(world: World, uid: str, name: str, kind: str, attempt: int, due: int) -> None:
    from firedrill.world.kube.kubelet.containers import spec_of

    live = going_on(world, uid, name, attempt)
    if live is None:
        return
    state, found, _ = live
    memory = found.probes.get(kind)
    pod = world.cluster.store.get("pods", state.namespace, state.name)
    node = node_of(world, state.node)
    item = spec_of(pod, name) if pod is not None else None
    if memory is None or memory.due != due or memory.held or pod is None or item is None:
        return
    if node is None or not node.runs("kubelet") or (is_deleting(pod) and kind != "readiness"):
        return
    found = replace(found, probes={**found.probes, kind: replace(memory, due=-1)})
    state = keep(world, state.having(found))
    outcome = check(world, pod, state, found, item[KINDS[kind]])
    if not outcome.good:
        title = kind.capitalize()
        verb = "probe failed" if not outcome.error else "probe errored"
        if outcome.error and world.cluster.settings.minor >= 32:
            verb = "probe errored and resulted in unknown state"
        sync.tell(world, pod, "Warning", "Unhealthy", f"{title} {verb}: {outcome.message}", name)
    if outcome.error:
        _plan(world, state.uid, item, kind)
        return
    _judge(world, pod, state, item, kind, outcome.good)


def _judge(world: World, pod: Obj, state: PodState, item: Mapping[str, Any], kind: str, good: bool) -> None:
    found = state.containers[item["name"]]
    probe, memory = item[KINDS[kind]], found.probes[kind]
    row = memory.row + 1 if memory.last == good and memory.row else 1
    memory = replace(memory, last=good, row=row)
    needed = int(probe.get("successThreshold") or 1) if good else int(probe.get("failureThreshold") or 3)
    turned = row >= needed and memory.good != good
    first_bad = not good and row == needed
    if row >= needed:
        memory = replace(memory, good=good)
    found = replace(found, probes={**found.probes, kind: memory})
    state = keep(world, state.having(found))
    if kind == "readiness" and turned:
        state = keep(world, state.having(replace(found, ready=good)))
        sync.request_sync(world, state, 1, 40, "readiness")
    elif kind == "startup" and turned and good:
        _has_started(world, state, item)
        return
    elif kind != "readiness" and not good and (turned or (kind == "startup" and first_bad)):
        _restart(world, pod, state, item, kind)
        return
    steady = (
        good and memory.good and row >= needed and not effects.total(world, (f"pod/{state.uid}",), "loss")
    )
    if not steady:
        _plan(world, state.uid, item, kind)


def _has_started(world: World, state: PodState, item: Mapping[str, Any]) -> None:
    found = replace(state.containers[item["name"]], started=True, ready=not item.get("readinessProbe"))
    state = keep(world, state.having(found))
    sync.request_sync(world, state, 1, 40, "startup")
    for kind in ("readiness", "liveness"):
        if kind in found.probes:
            _plan(world, state.uid, item, kind)


def _restart(world: World, pod: Obj, state: PodState, item: Mapping[str, Any], kind: str) -> None:
    from firedrill.world.kube.kubelet import running

    found = state.containers[item["name"]]
    probes = {name: replace(memory, held=name == kind) for name, memory in found.probes.items()}
    state = keep(world, state.having(replace(found, probes=probes)))
    message = f"Container {found.name} failed {kind} probe, will be restarted"
    policy = dig(pod, "spec", "restartPolicy")
    if policy == "Never":
        message = f"Stopping container {found.name}"
    sync.tell(world, pod, "Normal", "Killing", message, found.name)
    grace = dig(item, KINDS[kind], "terminationGracePeriodSeconds")
    running.kill(world, pod, state, state.containers[found.name], kind, grace)


def is_quiet(found: Container) -> bool:
    """Whether no prober of the container is scheduled."""
    return all(memory.due < 0 for memory in found.probes.values())
