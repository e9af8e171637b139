"""Runs of containers: their start, their memory, their end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from firedrill.world.kube.kubelet import databases, files, hooks, probes, sync, volumes
from firedrill.world.kube.kubelet.environment import ConfigError
from firedrill.world.kube.kubelet.state import (
    Container,
    NodeState,
    PodState,
    Run,
    going_on,
    keep,
    kubelets,
    node_of,
)
from firedrill.world.kube.objects import Obj, dig, name_of, namespace_of, uid_of
from firedrill.world.kube.programs import catalogue
from firedrill.world.kube.programs.launch import Setting, launch
from firedrill.world.kube.programs.model import UNLOADED, Health, Plan
from firedrill.world.kube.programs.reference import parse_reference
from firedrill.world.kube.qos import limit_of
from firedrill.world.sim.handlers import handler

if TYPE_CHECKING:
    from firedrill.world.world import World


def user_of(pod: Obj, item: Mapping[str, Any], world: World) -> int:
    """The uid that the container runs as; -1 where the image decides.

    Raises:
        ConfigError: the pod wants another user than root, and would be root.
    """
    own, shared = item.get("securityContext") or {}, dig(pod, "spec", "securityContext", default={})
    user = own.get("runAsUser", shared.get("runAsUser"))
    if own.get("runAsNonRoot", shared.get("runAsNonRoot")):
        whose = f"{name_of(pod)}_{namespace_of(pod)}({uid_of(pod)})"
        where = f'(pod: "{whose}", container: {item["name"]})'
        reference = parse_reference(str(item.get("image") or ""))
        if user == 0:
            raise ConfigError(f"container's runAsUser breaks non-root policy {where}")
        if user is None and reference and catalogue.is_root(world, reference):
            raise ConfigError(f"container has runAsNonRoot and image will run as root {where}")
    return -1 if user is None else int(user)


def start(
    world: World,
    pod: Obj,
    state: PodState,
    node: NodeState,
    item: Mapping[str, Any],
    found: Container,
    env: Mapping[str, str],
    user: int,
    number: int,
) -> None:
    """Create and start a container whose image is there."""
    name = found.name
    colon = ": " if world.cluster.settings.minor >= 32 else " "
    sync.tell(world, pod, "Normal", "Created", f"Created container{colon}{name}", name)
    setting = setting_of(world, pod, state, item, env, number, user)
    plan = launch(world, setting)
    identity = world.rng.hexadecimal(64, "container.id", state.uid, name, number)
    previous = found.run
    if plan.fails:
        sync.tell(world, pod, "Warning", "Failed", f"Error: {plan.fails}", name)
        run = Run(number, identity, -1, plan, world.now, plan.fail_code, "StartError", plan.fails)
        found = replace(
            found, run=run, previous=previous, waiting="RunContainerError", message=plan.fails, ready=False
        )
        state = keep(world, state.having(found))
        sync.write_status(world, pod, state)
        sync.request_sync(world, state, 300, 1100, "start")
        return
    sync.tell(world, pod, "Normal", "Started", f"Started container {name}", name)
    run = Run(number, identity, world.now, plan, env=env)
    databases.remember(world, pod, item, env)
    state = volumes.begin(world, pod, replace(state, written=files.forget_own(state, name)), item)
    probed = item.get("startupProbe")
    found = replace(
        found,
        run=run,
        previous=previous,
        waiting="",
        message="",
        started=not probed,
        ready=not probed and not item.get("readinessProbe"),
        probes={},
        killing="",
        renew=False,
        health=Health(),
        load=UNLOADED,
    )
    state = keep(world, state.having(found))
    follow(world, pod, state, found)
    probes.begin(world, state, item)
    hooks.post_start(world, pod, kubelets(world).pods[state.uid], item)
    sync.request_sync(world, state, 400, 1200, "start")


def follow(world: World, pod: Obj, state: PodState, found: Container) -> None:
    """See to what the plan of a run holds: its end, its script, its databases, its memory."""
    from firedrill.world.kube.api import pressure
    from firedrill.world.kube.kubelet import connecting, scripting
    from firedrill.world.kube.kubelet.containers import spec_of

    run = found.run
    if run is None:
        return
    age = world.now - run.started
    if run.plan.exit_after >= 0:
        world.schedule(run.plan.exit_after - age, "kubelet.exit", state.uid, found.name, run.attempt)
    if run.plan.asks:
        pressure.begin(world)
    if run.plan.script:
        scripting.begin(world, state, found.name, run)
    elif run.plan.connects:
        connecting.begin(world, state, found.name, run)
    plan_memory(world, state, found, limit_of(spec_of(pod, found.name) or {}, "memory"))


def setting_of(
    world: World,
    pod: Obj,
    state: PodState,
    item: Mapping[str, Any],
    env: Mapping[str, str],
    number: int,
    user: int | None = None,
) -> Setting:
    """What a container finds when its program starts."""
    if user is None:
        own, shared = item.get("securityContext") or {}, dig(pod, "spec", "securityContext", default={})
        user = int(own.get("runAsUser", shared.get("runAsUser", -1)))
    node = world.cluster.store.get("nodes", "", state.node)
    return Setting(
        key=(state.uid, item["name"], number),
        container=item,
        env=env,
        limit=limit_of(item, "memory"),
        user=user,
        denied=volumes.denied(world, pod, item, _uid(world, item, user)),
        architecture=str(dig(node, "status", "nodeInfo", "architecture", default="amd64")),
        resolves=_resolving(world, pod, env),
        ports_taken=_taken(state, item["name"]),
        files=files.shown(state, item),
    )


def _uid(world: World, item: Mapping[str, Any], user: int) -> int:
    if user >= 0:
        return user
    reference = parse_reference(str(item.get("image") or ""))
    return catalogue.program_of(world, reference).user if reference is not None else 0


def _resolving(world: World, pod: Obj, env: Mapping[str, str]) -> dict[str, bool]:
    """Whether each variable that looks like `host` or `host:port` of a Service names one that exists."""
    out = {}
    namespace = str(pod["metadata"]["namespace"])
    for name, value in env.items():
        host = value.rpartition("://")[2].partition("/")[0].partition(":")[0]
        if (
            name.endswith(("_ADDR", "_HOST", "_URL", "_ADDRESS", "_ENDPOINT"))
            and host
            and not host[0].isdigit()
        ):
            short, _, rest = host.partition(".")
            space = rest.partition(".")[0] or namespace
            out[name] = world.cluster.store.get("services", space, short) is not None
    return out


def _taken(state: PodState, name: str) -> frozenset[tuple[int, str]]:
    return frozenset(
        (port, "udp" if protocol == "udp" else "tcp")
        for other in state.containers.values()
        if other.name != name and other.running and other.run is not None
        for port, protocol, _, _ in other.run.plan.listens
    )


def plan_memory(world: World, state: PodState, found: Container, limit: int) -> None:
    """See to it that a program which outgrows its limit is killed when it does."""
    run, health = found.run, found.health
    if run is None or not run.running or not limit:
        return
    leak = run.plan.leak + health.leak
    now = memory(found, world.now)
    if now > limit:
        after = 200
    elif leak > 0:
        after = (limit - now) * 1000 // leak + 1
    else:
        return
    world.schedule(after, "kubelet.oom", state.uid, found.name, run.attempt, limit)


def memory(found: Container, now: int) -> int:
    """Bytes that a container uses at that moment."""
    run, health = found.run, found.health
    if run is None or not run.running:
        return 0
    age = now - run.started
    warm = min(age + 400, max(run.plan.ready_after, 1) + 400) / (max(run.plan.ready_after, 1) + 400)
    grown = run.plan.leak * age // 1000 + health.leak * max(now - max(health.since, run.started), 0) // 1000
    return int(run.plan.memory * warm) + grown + health.memory + found.load.memory


@handler("kubelet.oom")
def _oom(world: World, uid: str, name: str, attempt: int, limit: int) -> None:
    live = going_on(world, uid, name, attempt)
    if live is None:
        return
    state, found, _ = live
    if memory(found, world.now) >= limit:
        end(world, state, found, 137, "OOMKilled")


@handler("kubelet.exit")
def _exit(world: World, uid: str, name: str, attempt: int) -> None:
    live = going_on(world, uid, name, attempt)
    if live is None:
        return
    state, found, run = live
    end(world, state, found, run.plan.exit_code, run.plan.exit_reason)


def end(world: World, state: PodState, found: Container, code: int, reason: str = "") -> PodState:
    """A run has come to its end; the kubelet learns of it within a second."""
    run = found.run
    if run is None or not run.running:
        return state
    reason = reason or ("Completed" if code == 0 else "Error")
    done = replace(run, finished=world.now, code=code, reason=reason)
    renew = found.killing in {"liveness", "startup", "definition"}
    found = replace(
        found,
        run=done,
        started=False,
        ready=False,
        killing="",
        renew=renew,
        probes={},
        waiting="",
        message="",
    )
    state = keep(world, state.having(found))
    sync.request_sync(world, state, 5 if renew else 50, 60 if renew else 1000, "ended")
    return state


def kill(
    world: World, pod: Obj, state: PodState, found: Container, reason: str, grace: int | None
) -> PodState:
    """Send a container SIGTERM, and SIGKILL after the grace period (seconds; None for the pod's own)."""
    run = found.run
    if run is None or not run.running:
        return state
    seconds = int(dig(pod, "spec", "terminationGracePeriodSeconds", default=30)) if grace is None else grace
    hook, code = hooks.pre_stop(world, pod, state, found, seconds), run.plan.term
    state = kubelets(world).pods.get(state.uid, state)
    quick = code >= 0 and hook + run.plan.stop < seconds * 1000 and not found.health.frozen
    after = hook + run.plan.stop if quick else seconds * 1000
    found = state.containers[found.name]
    state = keep(world, state.having(replace(found, killing=reason)))
    world.schedule(after, "kubelet.killed", state.uid, found.name, run.attempt, code if quick else 137)
    return state


@handler("kubelet.killed")
def _killed(world: World, uid: str, name: str, attempt: int, code: int) -> None:
    live = going_on(world, uid, name, attempt)
    if live is None:
        return
    state, found, _ = live
    node = node_of(world, state.node)
    if node is not None and not node.runs("containerd"):
        world.schedule(10_000, "kubelet.killed", uid, name, attempt, code)
        return
    end(world, state, found, code)


def plan_of(found: Container) -> Plan | None:
    """How the container's present run goes; None where it does not run."""
    return found.run.plan if found.run is not None and found.run.running else None
