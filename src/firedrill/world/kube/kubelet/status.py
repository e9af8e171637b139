"""The status that a kubelet writes for a pod: a function of the pod and of what is so on the node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from firedrill.world.kube.kubelet.state import PULLING, Container, NodeState, PodState, Run
from firedrill.world.kube.objects import Obj, condition, dig, with_condition
from firedrill.world.kube.programs.reference import parse_reference
from firedrill.world.kube.qos import qos_class
from firedrill.world.sim.clock import rfc3339

if TYPE_CHECKING:
    from firedrill.world.world import World

_OURS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
_EPOCH = "1970-01-01T00:00:00Z"


def is_sidecar(container: Mapping[str, Any]) -> bool:
    """Whether an init container keeps running beside the others."""
    return container.get("restartPolicy") == "Always"


def build(world: World, pod: Obj, state: PodState, node: NodeState) -> Obj:
    """The status of a pod."""
    spec = pod["spec"]
    inits = list(spec.get("initContainers") or ())
    phase = _phase(spec, state)
    status: Obj = {"phase": phase, "conditions": _conditions(world, pod, state, phase)}
    old = pod.get("status") or {}
    for key in ("nominatedNodeName", "resourceClaimStatuses"):
        if old.get(key):
            status[key] = old[key]
    if state.verdict[1]:
        status |= {"reason": state.verdict[1], "message": state.verdict[2]}
    status |= {"hostIP": node.ip, "hostIPs": [{"ip": node.ip}]}
    if state.ip:
        status |= {"podIP": state.ip, "podIPs": [{"ip": state.ip}]}
    status["startTime"] = rfc3339(state.admitted)
    if state.verdict[0] and state.sandboxes == 0:
        return status | {"qosClass": qos_class(spec)}
    if inits:
        status["initContainerStatuses"] = [_container(pod, state, c, init=True) for c in inits]
    status["containerStatuses"] = [_container(pod, state, c) for c in spec.get("containers") or ()]
    if spec.get("ephemeralContainers"):
        status["ephemeralContainerStatuses"] = [
            _container(pod, state, c) for c in spec["ephemeralContainers"]
        ]
    status["qosClass"] = qos_class(spec)
    return status


def initialized(spec: Mapping[str, Any], state: PodState) -> list[str]:
    """The init containers that are not done."""
    out = []
    for item in spec.get("initContainers") or ():
        found = state.containers.get(item["name"])
        if found is None:
            out.append(item["name"])
        elif is_sidecar(item):
            if not found.started:
                out.append(item["name"])
        elif not _was_done(found):
            out.append(item["name"])
    return out


def _was_done(found: Container) -> bool:
    return found.ended and found.run is not None and found.run.code == 0


def _phase(spec: Mapping[str, Any], state: PodState) -> str:
    if state.verdict[0]:
        return state.verdict[0]
    policy = spec.get("restartPolicy") or "Always"
    inits = [item for item in spec.get("initContainers") or () if not is_sidecar(item)]
    for item in inits:
        found = state.containers.get(item["name"])
        if found is None or not _was_done(found):
            failed = found is not None and found.ended and not found.waiting and policy == "Never"
            return "Failed" if failed else "Pending"
    running = waiting = stopped = good = 0
    for item in spec.get("containers") or ():
        found = state.containers.get(item["name"])
        if found is None or found.run is None:
            waiting += 1
        elif found.running:
            running += 1
        elif found.waiting and found.waiting != "CrashLoopBackOff":
            stopped += 1 if found.run.attempt or policy != "Never" else 0
            waiting += 0 if found.run.attempt or policy != "Never" else 1
        else:
            stopped += 1
            good += found.run.code == 0
    if waiting:
        return "Pending"
    if running:
        return "Running"
    if state.stopping and stopped:
        return "Succeeded" if stopped == good else "Failed"
    if stopped and policy == "Always":
        return "Running"
    if stopped:
        if stopped == good:
            return "Succeeded"
        return "Failed" if policy == "Never" else "Running"
    return "Pending"


def _conditions(world: World, pod: Obj, state: PodState, phase: str) -> list[Any]:
    spec = pod["spec"]
    old: Sequence[Mapping[str, Any]] = dig(pod, "status", "conditions", default=())
    over = phase in {"Succeeded", "Failed"}
    pending = initialized(spec, state)
    unready = [
        item["name"]
        for item in _judged(spec)
        if not (found := state.containers.get(item["name"])) or not found.ready
    ]
    start = _truth("PodReadyToStartContainers", state.sandbox == "ready" and not over)
    init = _truth("Initialized", not pending)
    if pending:
        init |= _why("ContainersNotInitialized", "containers with incomplete status", pending)
    if phase == "Succeeded":
        init = _truth("Initialized", True) | {"reason": "PodCompleted"}
    inner = _truth("ContainersReady", not unready and not pending)
    if over:
        reason = "PodCompleted" if phase == "Succeeded" else "PodFailed"
        inner = _truth("ContainersReady", False) | {"reason": reason}
    elif unready:
        inner |= _why("ContainersNotReady", "containers with unready status", unready)
    ready = {**inner, "type": "Ready"}
    gates = [] if over or unready else _gates(pod)
    if gates:
        ready = _truth("Ready", False) | {"reason": "ReadinessGatesNotReady", "message": "; ".join(gates)}
    conditions: list[Any] = [item for item in old if item.get("type") not in _OURS]
    kept = {item.get("type"): item for item in old}
    for new in (start, init, ready, inner):
        before = [kept[new["type"]]] if new["type"] in kept else []
        conditions += with_condition(before, new, world.time)
    scheduled = kept.get("PodScheduled")
    if scheduled is None or scheduled.get("status") != "True":
        scheduled = _truth("PodScheduled", True) | {"lastTransitionTime": world.time}
    conditions.append(scheduled)
    order = {name: number for number, name in enumerate(_OURS)}
    return sorted(conditions, key=lambda item: order.get(str(item.get("type")), -1))


def _judged(spec: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    yield from (item for item in spec.get("initContainers") or () if is_sidecar(item))
    yield from spec.get("containers") or ()


def _truth(type_: str, value: bool) -> Obj:
    return {"type": type_, "status": "True" if value else "False", "lastProbeTime": None}


def _why(reason: str, text: str, names: Sequence[str]) -> Obj:
    return {"reason": reason, "message": f"{text}: [{' '.join(names)}]"}


def _gates(pod: Obj) -> list[str]:
    out = []
    for gate in pod["spec"].get("readinessGates") or ():
        type_ = gate.get("conditionType")
        found = condition(pod, str(type_))
        if found is None:
            out.append(f'corresponding condition of pod readiness gate "{type_}" does not exist.')
        elif found.get("status") != "True":
            out.append(f'the status of pod readiness gate "{type_}" is not "True", but {found.get("status")}')
    return out


def _container(pod: Obj, state: PodState, item: Mapping[str, Any], *, init: bool = False) -> Obj:
    found = state.containers.get(item["name"]) or Container(item["name"])
    run, last = found.run, found.previous
    image = str(item.get("image") or "")
    reference = parse_reference(image)
    out: Obj = {"name": item["name"], "state": {}, "lastState": {}, "ready": found.ready}
    if init and not is_sidecar(item):
        out["ready"] = _was_done(found)
    if found.waiting:
        reason, message = found.waiting, found.message
        if reason in PULLING:
            reason, message = found.told if found.told[0] else ("ContainerCreating", "")
        if reason == "ContainerCreating" and pod["spec"].get("initContainers"):
            reason = "PodInitializing"
        waiting: Obj = {"reason": reason}
        if message:
            waiting["message"] = message
        out["state"] = {"waiting": waiting}
        last = run if run is not None and not run.running else last
    elif run is not None and run.running:
        out["state"] = {"running": {"startedAt": rfc3339(run.started)}}
    elif run is not None:
        out["state"] = {"terminated": _terminated(run)}
    if last is not None:
        out["lastState"] = {"terminated": _terminated(last)}
    out["restartCount"] = run.attempt if run is not None else 0
    created = run is not None and bool(found.image_id)
    out["image"] = reference.full if reference is not None and created else image
    out["imageID"] = found.image_id if created else ""
    if run is not None:
        out["containerID"] = f"containerd://{run.id}"
    out["started"] = found.started if run is not None and run.running else False
    mounts = [_mount(mount) for mount in item.get("volumeMounts") or ()]
    if mounts and run is not None:
        out["volumeMounts"] = mounts
    return out


def _mount(mount: Mapping[str, Any]) -> Obj:
    out: Obj = {"mountPath": mount.get("mountPath"), "name": mount.get("name")}
    if mount.get("readOnly"):
        out |= {"readOnly": True, "recursiveReadOnly": "Disabled"}
    return out


def _terminated(run: Run) -> Obj:
    out: Obj = {"exitCode": run.code}
    if run.reason:
        out["reason"] = run.reason
    if run.message:
        out["message"] = run.message
    out["startedAt"] = rfc3339(run.started) if run.started >= 0 else _EPOCH
    out["finishedAt"] = rfc3339(run.finished)
    out["containerID"] = f"containerd://{run.id}"
    return out
