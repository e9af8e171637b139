"""Containers whose first process is a script that looks at the cluster: it goes on in steps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from firedrill.world.kube.kubelet import probes, running
from firedrill.world.kube.kubelet.execution import program_in
from firedrill.world.kube.kubelet.state import Container, PodState, Run, going_on, keep, kubelets
from firedrill.world.kube.kubelet.tools import Session
from firedrill.world.kube.objects import Obj
from firedrill.world.kube.programs import launch, shell
from firedrill.world.kube.programs.model import Plan
from firedrill.world.kube.qos import limit_of
from firedrill.world.sim.handlers import handler

if TYPE_CHECKING:
    from firedrill.world.world import World

_KEPT = 2_000
_FIRST = 40


class _First(Session):
    """The session of a container's first process: the image's own program may take its place."""

    def is_server(self, words: list[str]) -> bool:
        return launch.keeps_running(self.program, words)


def begin(world: World, state: PodState, name: str, run: Run) -> None:
    """Let the script of a run start."""
    world.schedule(_FIRST, "kubelet.script", state.uid, name, run.attempt)


@handler("kubelet.script")
def _step(world: World, uid: str, name: str, attempt: int) -> None:
    from firedrill.world.kube.kubelet.containers import spec_of

    live = going_on(world, uid, name, attempt)
    if live is None:
        return
    state, found, run = live
    pod = world.cluster.store.get("pods", state.namespace, state.name)
    if pod is None or spec_of(pod, name) is None:
        return
    host = _First(world, pod, state, found, program_in(world, pod, found))
    step = shell.advance(run.plan.script, run.script or shell.begin(run.env), host)
    _go_on(world, pod, state.written, uid, name, step)


def _go_on(world: World, pod: Obj, before: object, uid: str, name: str, step: shell.Step) -> None:
    state = kubelets(world).pods[uid]
    found = state.containers[name]
    run = found.run
    if run is None:
        return
    at = world.now - run.started
    lines = tuple((at, line) for line in step.said.splitlines())
    run = replace(run, script=step.progress, said=(*run.said, *lines)[-_KEPT:])
    if step.becomes or (step.progress.server and not run.plan.listens):
        run = replace(run, plan=_serving(world, pod, state, found, run, step))
    state = keep(world, state.having(replace(found, run=run)))
    if state.written != before:
        probes.wake(world, state.namespace, state.name)
    if step.becomes:
        running.follow(world, pod, state, state.containers[name])
    elif step.ended:
        running.end(world, state, state.containers[name], step.progress.code)
    elif step.wait >= 0:
        world.schedule(max(step.wait, 1), "kubelet.script", uid, name, run.attempt)


def _serving(world: World, pod: Obj, state: PodState, found: Container, run: Run, step: shell.Step) -> Plan:
    """The plan of the program that the script has started, reckoned from the start of the container."""
    from firedrill.world.kube.kubelet.containers import spec_of

    item = spec_of(pod, found.name) or {"name": found.name}
    setting = running.setting_of(world, pod, state, item, step.progress.env, run.attempt)
    plan = launch.served(world, setting)
    at = world.now - run.started
    return replace(
        plan,
        ready_after=at + plan.ready_after,
        exit_after=at + plan.exit_after if plan.exit_after >= 0 else -1,
        lines=(*run.plan.lines, *((at + ms, line) for ms, line in plan.lines)),
        script="" if step.becomes else run.plan.script,
        memory=max(plan.memory, limit_of(item, "memory") and run.plan.memory),
    )
