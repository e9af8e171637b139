"""The pod worker: brings what runs on a node one step nearer to what a pod wants, and tells the API."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from firedrill.world.kube import events
from firedrill.world.kube.api.client import Client
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.api.request import node_user
from firedrill.world.kube.controllers import base
from firedrill.world.kube.kubelet import admit, cni, containers, status, stopping, volumes
from firedrill.world.kube.kubelet.state import (
    PULLING,
    Container,
    NodeState,
    PodState,
    find_pod,
    keep,
    keep_node,
    kubelets,
    node_of,
)
from firedrill.world.kube.objects import Obj, dig, is_deleting, name_of, namespace_of, uid_of
from firedrill.world.kube.programs.model import MIB
from firedrill.world.kube.qos import pod_memory_limit
from firedrill.world.kube.store import Change
from firedrill.world.sim.handlers import handler

if TYPE_CHECKING:
    from firedrill.world.world import World

NAME = "kubelet"
_SANDBOX_MEMORY = 8 * MIB
_MOUNT_MAX = 122_000
_DIAL = (
    'rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: '
    'dial unix /run/containerd/containerd.sock: connect: no such file or directory"'
)
_OOM_SANDBOX = (
    "rpc error: code = Unknown desc = failed to create containerd task: failed to create shim task: "
    "OCI runtime create failed: runc create failed: unable to start container process: "
    "container init was OOM-killed (memory limit too low?): unknown"
)


def tell(world: World, pod: Obj, type_: str, reason: str, message: str, container: str = "") -> None:
    """Record an event about a pod, or about one of its containers, as its node's kubelet."""
    init = any(item.get("name") == container for item in pod["spec"].get("initContainers") or ())
    path = f"spec.{'initContainers' if init else 'containers'}{{{container}}}" if container else ""
    host = str(pod["spec"].get("nodeName") or "")
    events.record(world, pod, type_, reason, message, component="kubelet", host=host, field_path=path)


def request_sync(world: World, state: PodState, low: int, high: int, why: str) -> None:
    """Let the worker look at the pod after a while, unless it does so before."""
    key = base.key_of(state.namespace, state.name)
    delay = world.rng.integer(low, high, "kubelet.sync", why, state.uid, world.now)
    base.enqueue(world, NAME, key, delay)


def retry(world: World, state: PodState) -> None:
    """Let the worker look again as it does after an error: in 10 to 15 s."""
    request_sync(world, state, 10_000, 15_000, "retry")


def client_of(world: World, node: str) -> Client:
    """The API as the kubelet of a node uses it."""
    return Client(world, node_user(node), manager="kubelet", trusted=True)


def reconcile(world: World, key: str) -> None:
    """One pass over a pod."""
    namespace, name = base.split_key(key)
    pod = world.cluster.store.get("pods", namespace, name)
    known = kubelets(world).names.get((namespace, name))
    if known is not None and (pod is None or uid_of(pod) != known):
        stopping.forget(world, known)
    if pod is None:
        return
    node = node_of(world, str(pod["spec"].get("nodeName") or ""))
    if node is None or not node.runs("kubelet"):
        return
    state = find_pod(world, namespace, name)
    if state is None:
        if dig(pod, "status", "phase") in {"Succeeded", "Failed"}:
            return
        state = _admit(world, pod, node)
    if state.verdict[0] or is_deleting(pod):
        state = stopping.stop(world, pod, state)
    else:
        state = _advance(world, pod, _told(world, state), node)
        _hasten(world, pod, state)
        state = kubelets(world).pods[state.uid]
    write_status(world, pod, state)


def _told(world: World, state: PodState) -> PodState:
    for found in state.containers.values():
        news = (found.waiting, found.message)
        if found.waiting in PULLING and found.told != news:
            state = keep(world, state.having(replace(found, told=news)))
    return state


def _hasten(world: World, pod: Obj, state: PodState) -> None:
    from firedrill.world.kube.kubelet import probes

    probes.hasten(world, pod, state)


def write_status(world: World, pod: Obj, state: PodState) -> None:
    """Tell the API how the pod is, where that is news."""
    node = node_of(world, state.node)
    if node is None:
        return
    fresh = world.cluster.store.get("pods", state.namespace, state.name)
    if fresh is None or uid_of(fresh) != state.uid:
        return
    new = status.build(world, fresh, state, node)
    if fresh.get("status") == new:
        return
    try:
        client_of(world, node.name).update_status(fresh, new)
    except ApiError:
        retry(world, state)


def _admit(world: World, pod: Obj, node: NodeState) -> PodState:
    spec = pod["spec"]
    every = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    state = PodState(
        uid=uid_of(pod),
        namespace=namespace_of(pod),
        name=name_of(pod),
        node=node.name,
        admitted=world.now,
        containers={item["name"]: Container(item["name"]) for item in every},
    )
    refusal = admit.refusal(world, pod, node)
    if refusal is not None:
        reason, message = refusal
        tell(world, pod, "Warning", reason, message)
        state = replace(state, verdict=("Failed", reason, f"Pod was rejected: {message}"))
    limit = spec.get("activeDeadlineSeconds")
    if limit is not None:
        world.schedule(int(limit) * 1000, "kubelet.deadline", state.uid)
    return keep(world, state)


def _advance(world: World, pod: Obj, state: PodState, node: NodeState) -> PodState:
    for item in pod["spec"].get("ephemeralContainers") or ():
        if item["name"] not in state.containers:
            state = keep(world, state.having(Container(item["name"])))
    if not state.mounted:
        state = _mount(world, pod, state)
        if not state.mounted:
            return state
    if state.sandbox == "none":
        return _sandbox(world, pod, state, node)
    if state.sandbox == "creating":
        return state
    if not node.runs("containerd"):
        retry(world, state)
        return state
    for item in _wanted(pod, state):
        state = containers.advance(world, pod, state, node, item)
        if state.busy:
            break
    return state


def _wanted(pod: Obj, state: PodState) -> Iterator[Obj]:
    """The containers that are to run now, in order: init containers one after the other."""
    spec = pod["spec"]
    for item in spec.get("initContainers") or ():
        found = state.containers[item["name"]]
        if status.is_sidecar(item):
            yield item
            if not found.started:
                return
        elif not (found.ended and found.run is not None and found.run.code == 0):
            yield item
            return
    yield from spec.get("containers") or ()
    yield from spec.get("ephemeralContainers") or ()


def _mount(world: World, pod: Obj, state: PodState) -> PodState:
    if world.now < state.mount_retry:
        base.enqueue(world, NAME, base.key_of(state.namespace, state.name), state.mount_retry - world.now)
        return state
    found = volumes.problems(world, pod)
    if not found:
        shown = volumes.shows(world, pod, state)
        return keep(world, replace(state, mounted=True, mount_retry=0, shown=shown))
    for _, message in found:
        tell(world, pod, "Warning", "FailedMount", message)
    pause = min(500 * 2 ** min(state.mount_tries, 10), _MOUNT_MAX)
    state = replace(state, mount_tries=state.mount_tries + 1, mount_retry=world.now + pause)
    base.enqueue(world, NAME, base.key_of(state.namespace, state.name), pause)
    return keep(world, state)


def _sandbox(world: World, pod: Obj, state: PodState, node: NodeState) -> PodState:
    error = ""
    if node.runs("containerd") and not node.runs("network") and not pod["spec"].get("hostNetwork"):
        tell(world, pod, "Warning", "NetworkNotReady", cni.NOT_READY)
        retry(world, state)
        return state
    limit = pod_memory_limit(pod["spec"])
    if not node.runs("containerd"):
        error = _DIAL
    elif 0 < limit < _SANDBOX_MEMORY:
        error = _OOM_SANDBOX
    elif not pod["spec"].get("hostNetwork"):
        error = cni.refusal(world, state, node)
    if node.runs("containerd") and any(item.run is not None for item in state.containers.values()):
        tell(world, pod, "Normal", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
    state = keep(world, replace(state, sandboxes=state.sandboxes + 1))
    if error:
        tell(world, pod, "Warning", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")
        retry(world, state)
        return state
    delay = world.rng.integer(150, 700, "kubelet.sandbox", state.uid, state.sandboxes)
    world.schedule(delay, "kubelet.sandbox", state.uid, state.sandboxes)
    return keep(world, replace(state, sandbox="creating"))


@handler("kubelet.sandbox")
def _sandbox_ready(world: World, uid: str, number: int) -> None:
    state = kubelets(world).pods.get(uid)
    if state is None or state.sandbox != "creating" or state.sandboxes != number:
        return
    node = node_of(world, state.node)
    pod = world.cluster.store.get("pods", state.namespace, state.name)
    if node is None or pod is None or not node.runs("containerd"):
        keep(world, replace(state, sandbox="none"))
        request_sync(world, state, 50, 500, "sandbox")
        return
    if pod["spec"].get("hostNetwork"):
        address = node.ip
    else:
        address, node = _allocate(world, node)
        keep_node(world, node)
    state = keep(world, replace(state, sandbox="ready", ip=address))
    request_sync(world, state, 5, 40, "sandbox")


def _allocate(world: World, node: NodeState) -> tuple[str, NodeState]:
    prefix = node.cidr.rpartition(".")[0]
    used = {state.ip for state in kubelets(world).pods.values() if state.node == node.name}
    number = node.next_ip
    for _ in range(253):
        if f"{prefix}.{number}" not in used:
            break
        number = number + 1 if number < 254 else 2
    return f"{prefix}.{number}", replace(node, next_ip=number + 1 if number < 254 else 2)


@handler("kubelet.deadline")
def _deadline(world: World, uid: str) -> None:
    state = kubelets(world).pods.get(uid)
    if state is None or state.verdict[0]:
        return
    pod = world.cluster.store.get("pods", state.namespace, state.name)
    if pod is None or dig(pod, "status", "phase") in {"Succeeded", "Failed"}:
        return
    message = "Pod was active on the node longer than the specified deadline"
    tell(world, pod, "Normal", "DeadlineExceeded", message)
    state = keep(world, replace(state, verdict=("Failed", "DeadlineExceeded", message)))
    request_sync(world, state, 1, 20, "deadline")


def _keys(_: World, change: Change) -> tuple[str, ...]:
    old, new = change.previous, change.obj
    if not dig(new, "spec", "nodeName"):
        return ()
    if (
        old is not None
        and change.type == "MODIFIED"
        and old.get("spec") == new.get("spec")
        and not dig(new, "spec", "readinessGates")
        and is_deleting(old) == is_deleting(new)
        and dig(old, "metadata", "deletionGracePeriodSeconds")
        == dig(new, "metadata", "deletionGracePeriodSeconds")
    ):
        return ()
    return (base.key_of(namespace_of(new), name_of(new)),)


def _all(world: World) -> list[str]:
    return [
        base.key_of(namespace_of(pod), name_of(pod))
        for pod in world.cluster.store.list("pods")
        if dig(pod, "spec", "nodeName")
    ]


base.register(base.Controller(NAME, NAME, {"pods": _keys}, reconcile, _all, delay=(10, 120)))
