"""The row of a pod: what its many states come to in one word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firedrill.world.kube.objects import Obj, dig, is_deleting
from firedrill.world.kube.printers.ages import Since
from firedrill.world.kube.printers.texts import NONE, true_condition
from firedrill.world.sim.clock import epoch_ms

_Status = Mapping[str, Any]


class _Restarts:
    """How often containers were started again, and when last."""

    def __init__(self) -> None:
        self.count = 0
        self.last_ms = 0

    def add(self, status: _Status) -> None:
        self.count += int(status.get("restartCount") or 0)
        finished = dig(status, "lastState", "terminated", "finishedAt")
        if finished:
            try:
                self.last_ms = max(self.last_ms, epoch_ms(str(finished)))
            except ValueError:
                return

    def cell(self) -> str | Since:
        if self.count and self.last_ms:
            return Since(self.last_ms, f"{self.count} (", " ago)")
        return str(self.count)


def pod(obj: Obj) -> Obj:
    """Cells of a pod."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    reason = status.get("reason") or status.get("phase") or ""
    if any(
        item.get("type") == "PodScheduled" and item.get("reason") == "SchedulingGated"
        for item in status.get("conditions") or ()
    ):
        reason = "SchedulingGated"
    sidecars = {
        item.get("name") for item in spec.get("initContainers") or () if item.get("restartPolicy") == "Always"
    }
    blocked, ready, restarts, sidecar_restarts = _initial(spec, status, sidecars)
    if blocked:
        reason = blocked
    if not blocked or true_condition(obj, "Initialized"):
        restarts = sidecar_restarts
        reason, running = _main(obj, status, reason, restarts)
        ready += running
    if is_deleting(obj):
        if status.get("reason") == "NodeLost":
            reason = "Unknown"
        elif status.get("phase") not in ("Succeeded", "Failed"):
            reason = "Terminating"
    total = len(spec.get("containers") or ()) + len(sidecars)
    return {
        "Ready": f"{ready}/{total}",
        "Status": reason,
        "Restarts": restarts.cell(),
        "IP": dig(status, "podIPs", 0, "ip") or status.get("podIP") or NONE,
        "Node": spec.get("nodeName") or NONE,
        "Nominated Node": status.get("nominatedNodeName") or NONE,
        "Readiness Gates": _gates(obj, spec),
    }


def _initial(spec: Obj, status: Obj, sidecars: set[Any]) -> tuple[str, int, _Restarts, _Restarts]:
    """What the first unfinished init container waits for (empty when none does), and the counts so far."""
    restarts, of_sidecars, ready = _Restarts(), _Restarts(), 0
    for place, item in enumerate(status.get("initContainerStatuses") or ()):
        sidecar = item.get("name") in sidecars
        restarts.add(item)
        if sidecar:
            of_sidecars.add(item)
        terminated = dig(item, "state", "terminated")
        waiting = dig(item, "state", "waiting", "reason", default="")
        if terminated is not None and not terminated.get("exitCode"):
            continue
        if sidecar and item.get("started"):
            ready += bool(item.get("ready"))
            continue
        if terminated is not None:
            return f"Init:{_ended(terminated)}", ready, restarts, of_sidecars
        if waiting and waiting != "PodInitializing":
            return f"Init:{waiting}", ready, restarts, of_sidecars
        total = len(spec.get("initContainers") or ())
        return f"Init:{place}/{total}", ready, restarts, of_sidecars
    return "", ready, restarts, of_sidecars


def _main(obj: Obj, status: Obj, reason: str, restarts: _Restarts) -> tuple[str, int]:
    ready = 0
    for item in reversed(status.get("containerStatuses") or ()):
        restarts.add(item)
        state = item.get("state") or {}
        waiting, terminated = dig(state, "waiting", "reason"), state.get("terminated")
        if waiting:
            reason = waiting
        elif terminated is not None:
            reason = _ended(terminated)
        elif item.get("ready") and state.get("running") is not None:
            ready += 1
    if reason == "Completed" and ready:
        reason = "Running" if true_condition(obj, "Ready") else "NotReady"
    return reason, ready


def _ended(terminated: _Status) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _gates(obj: Obj, spec: Obj) -> str:
    gates = spec.get("readinessGates") or ()
    if not gates:
        return NONE
    passed = sum(true_condition(obj, str(gate.get("conditionType"))) for gate in gates)
    return f"{passed}/{len(gates)}"
