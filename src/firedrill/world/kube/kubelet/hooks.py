"""What a container does right after its start and right before its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.world.kube.kubelet import checks, sync
from firedrill.world.kube.kubelet.state import Container, PodState, kubelets
from firedrill.world.kube.objects import Obj, dig
from firedrill.world.kube.programs.model import Executed
from firedrill.world.sim.handlers import handler

if TYPE_CHECKING:
    from firedrill.world.world import World

_LONGEST = 3_600_000


def post_start(world: World, pod: Obj, state: PodState, item: Mapping[str, Any]) -> None:
    """Run the hook after the start. The container is killed where it fails.

    An HTTP hook is asked for at once, when most programs do not listen yet: kubelets try no second time.
    """
    hook = dig(item, "lifecycle", "postStart")
    if not hook:
        return
    done = _run(world, pod, state, state.containers[item["name"]], hook)
    if done.code or done.failed:
        world.schedule(
            max(done.ms, 20), "kubelet.hook", state.uid, item["name"], _number(state, item["name"])
        )


def _number(state: PodState, name: str) -> int:
    run = state.containers[name].run
    return run.attempt if run is not None else -1


@handler("kubelet.hook")
def _failed(world: World, uid: str, name: str, attempt: int) -> None:
    from firedrill.world.kube.kubelet import running
    from firedrill.world.kube.kubelet.containers import spec_of

    state = kubelets(world).pods.get(uid)
    pod = world.cluster.store.get("pods", state.namespace, state.name) if state is not None else None
    item = spec_of(pod, name) if pod is not None else None
    if state is None or pod is None or item is None or _number(state, name) != attempt:
        return
    found = state.containers[name]
    if not found.running:
        return
    sync.tell(world, pod, "Warning", "FailedPostStartHook", "PostStartHook failed", name)
    sync.tell(world, pod, "Normal", "Killing", "FailedPostStartHook", name)
    running.kill(world, pod, state, found, "FailedPostStartHook", None)


def pre_stop(world: World, pod: Obj, state: PodState, found: Container, seconds: int) -> int:
    """Run the hook before the end; the ms that it takes, at most the grace period."""
    from firedrill.world.kube.kubelet.containers import spec_of

    hook = dig(spec_of(pod, found.name) or {}, "lifecycle", "preStop")
    if not hook or seconds <= 0:
        return 0
    done = _run(world, pod, state, found, hook)
    if done.code or done.failed:
        sync.tell(world, pod, "Warning", "FailedPreStopHook", "PreStopHook failed", found.name)
    return min(done.ms, seconds * 1000)


def _run(world: World, pod: Obj, state: PodState, found: Container, hook: Mapping[str, Any]) -> Executed:
    from firedrill.world.kube.kubelet.execution import run_in

    if "sleep" in hook:
        return Executed(ms=int(dig(hook, "sleep", "seconds", default=0)) * 1000)
    if "exec" in hook:
        done = run_in(
            world, pod, state, found, [str(word) for word in dig(hook, "exec", "command", default=())]
        )
        return Executed(done.stdout, done.stderr, done.code, done.failed, min(done.ms, _LONGEST))
    for key in ("httpGet", "tcpSocket"):
        if key in hook:
            outcome = checks.check(world, pod, state, found, {key: hook[key], "timeoutSeconds": 30})
            late = checks.latency(world, found)
            return Executed(stderr=outcome.message, code=0 if outcome.good else 1, ms=late)
    return Executed()
