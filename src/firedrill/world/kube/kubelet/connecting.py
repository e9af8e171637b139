"""Programs that open their databases before they serve, and end when they cannot."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from firedrill.world.kube.kubelet import databases, running
from firedrill.world.kube.kubelet.state import PodState, Run, going_on, keep
from firedrill.world.kube.programs import logs
from firedrill.world.sim.handlers import handler

if TYPE_CHECKING:
    from firedrill.world.world import World

_PATIENCE = 30_000
_AGAIN = 3_000


def begin(world: World, state: PodState, name: str, run: Run) -> None:
    """Let a program connect in the second half of its start."""
    world.schedule(
        max(run.plan.ready_after * 6 // 10, 10), "kubelet.connect", state.uid, name, run.attempt, 0
    )


@handler("kubelet.connect")
def _connect(world: World, uid: str, name: str, attempt: int, waited: int) -> None:
    live = going_on(world, uid, name, attempt)
    if live is None:
        return
    state, found, run = live
    pod = world.cluster.store.get("pods", state.namespace, state.name)
    if pod is None:
        return
    plan = run.plan
    for login in databases.logins(run.env):
        how, _why = databases.refusal(world, pod, login)
        if not how:
            continue
        patient = how in {"timeout", "refused"} and plan.style in {"spring", "java"}
        if patient and waited < _PATIENCE:
            later = replace(plan, ready_after=plan.ready_after + _AGAIN)
            keep(world, state.having(replace(found, run=replace(run, plan=later))))
            world.schedule(_AGAIN, "kubelet.connect", uid, name, attempt, waited + _AGAIN)
            return
        at = world.now - run.started
        text = logs.no_database(
            plan.style, how, login.kind, host=login.host, port=login.port, user=login.user, ip=state.ip
        )
        run = replace(run, said=(*run.said, *((at, line) for line in text)))
        state = keep(world, state.having(replace(found, run=run)))
        running.end(world, state, state.containers[name], 1, "Error")
        return
