"""The status of a deployment: counts, conditions, and whether the rollout still gets on.

Source: kube-controller-manager 1.31, `pkg/controller/deployment/progress.go` and `sync.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firedrill.world.kube.controllers.base import enqueue, key_of
from firedrill.world.kube.controllers.deployment_sets import NAME, Rollout, placed, progressing, stated
from firedrill.world.kube.controllers.replicaset import wanted_replicas
from firedrill.world.kube.objects import Obj, condition, dig, name_of, namespace_of
from firedrill.world.sim.clock import epoch_ms

_AVAILABLE = "NewReplicaSetAvailable"
_TIMED_OUT = "ProgressDeadlineExceeded"
_PAUSED, _RESUMED = "DeploymentPaused", "DeploymentResumed"


def _count(obj: Mapping[str, Any] | None, field: str) -> int:
    return int(dig(obj, "status", field, default=0))


def counted(rollout: Rollout) -> Obj:
    """The status with all counts and the condition Available brought up to date."""
    world, d, new = rollout.world, rollout.d, rollout.new
    available = sum(_count(rs, "availableReplicas") for rs in rollout.all)
    counts = {
        "replicas": sum(_count(rs, "replicas") for rs in rollout.all),
        "updatedReplicas": _count(new, "replicas"),
        "readyReplicas": sum(_count(rs, "readyReplicas") for rs in rollout.all),
        "availableReplicas": available,
        "unavailableReplicas": max(sum(map(wanted_replicas, rollout.all)) - available, 0),
    }
    status: Obj = {key: count for key, count in counts.items() if count}
    if generation := d["metadata"].get("generation"):
        status["observedGeneration"] = generation
    if collisions := _count(d, "collisionCount"):
        status["collisionCount"] = collisions
    if available >= rollout.replicas - rollout.max_unavailable:
        new_one = stated(
            world, "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability."
        )
    else:
        new_one = stated(
            world,
            "Available",
            "False",
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        )
    status["conditions"] = placed(dig(d, "status", "conditions", default=()), new_one)
    return status


def sync_counts(rollout: Rollout) -> None:
    """Write the counts, as while a deployment is paused or being scaled."""
    rollout.set_status(counted(rollout))


def is_complete(rollout: Rollout, status: Mapping[str, Any] | None) -> bool:
    """Whether that status says that all wanted pods are new and available."""
    status = status or {}
    wanted = rollout.replicas
    same = all(
        int(status.get(key) or 0) == wanted for key in ("updatedReplicas", "replicas", "availableReplicas")
    )
    return same and int(status.get("observedGeneration") or 0) >= int(
        rollout.d["metadata"].get("generation") or 0
    )


def sync_rollout(rollout: Rollout) -> None:
    """Write counts and conditions, and look again when the deadline is over."""
    status = counted(rollout)
    conditions = list(status["conditions"])
    current = condition(rollout.d, "Progressing")
    if rollout.deadline is None:
        conditions = [item for item in conditions if item.get("type") != "Progressing"]
    else:
        settled = int(status.get("replicas", 0)) == int(status.get("updatedReplicas", 0))
        if not (settled and current is not None and current.get("reason") == _AVAILABLE):
            conditions = _progress(rollout, status, conditions, current)
    failures = _failures(rollout)
    if failures is not None:
        conditions = placed(conditions, failures)
    else:
        conditions = [item for item in conditions if item.get("type") != "ReplicaFailure"]
    status["conditions"] = conditions
    if status == rollout.d.get("status"):
        _look_again(rollout, status)
    else:
        rollout.set_status(status)


def _progress(rollout: Rollout, status: Obj, conditions: list[Any], current: Any) -> list[Any]:
    new = rollout.new
    who = f'ReplicaSet "{name_of(new)}"' if new is not None else f'Deployment "{name_of(rollout.d)}"'
    world = rollout.world
    if is_complete(rollout, status):
        made = progressing(world, "True", _AVAILABLE, f"{who} has successfully progressed.")
        return placed(conditions, made)
    if _moved(rollout.d.get("status") or {}, status):
        made = progressing(world, "True", "ReplicaSetUpdated", f"{who} is progressing.")
        if current is not None and current.get("status") == "True":
            made["lastTransitionTime"] = current.get("lastTransitionTime")
        return [*(item for item in conditions if item.get("type") != "Progressing"), made]
    if _timed_out(rollout, current):
        made = progressing(world, "False", _TIMED_OUT, f"{who} has timed out progressing.")
        return placed(conditions, made)
    return conditions


def _moved(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    def of(status: Mapping[str, Any], key: str) -> int:
        return int(status.get(key) or 0)

    was_old = of(old, "replicas") - of(old, "updatedReplicas")
    is_old = of(new, "replicas") - of(new, "updatedReplicas")
    keys = ("updatedReplicas", "readyReplicas", "availableReplicas")
    return is_old < was_old or any(of(new, key) > of(old, key) for key in keys)


def _timed_out(rollout: Rollout, current: Any) -> bool:
    if rollout.deadline is None or current is None or current.get("reason") == _AVAILABLE:
        return False
    if current.get("reason") == _TIMED_OUT:
        return True
    return rollout.world.now > epoch_ms(current["lastUpdateTime"]) + rollout.deadline * 1000


def _failures(rollout: Rollout) -> Obj | None:
    """What keeps a replica set from making pods, of the new one first."""
    new = rollout.new
    for rs in ([new] if new is not None else []) + rollout.all:
        found = condition(rs, "ReplicaFailure")
        if found is not None:
            when = found.get("lastTransitionTime")
            made = stated(
                rollout.world,
                "ReplicaFailure",
                str(found.get("status")),
                str(found.get("reason", "")),
                str(found.get("message", "")),
            )
            return {**made, "lastUpdateTime": when, "lastTransitionTime": when}
    return None


def _look_again(rollout: Rollout, status: Obj) -> None:
    current = condition(rollout.d, "Progressing")
    if rollout.deadline is None or current is None or current.get("reason") == _TIMED_OUT:
        return
    if is_complete(rollout, status):
        return
    after = epoch_ms(current["lastUpdateTime"]) + rollout.deadline * 1000 - rollout.world.now
    if after > -1000:  # later than that, nothing but progress changes anything
        key = key_of(namespace_of(rollout.d), name_of(rollout.d))
        enqueue(rollout.world, NAME, key, max(after, 0) + 1000)


def sync_paused(rollout: Rollout) -> None:
    """Say that the deployment has been paused or resumed, where it has."""
    if rollout.deadline is None:
        return
    current = condition(rollout.d, "Progressing")
    if current is not None and current.get("reason") == _TIMED_OUT:
        return
    said = current is not None and current.get("reason") == _PAUSED
    paused = bool(dig(rollout.d, "spec", "paused", default=False))
    if paused and not said:
        rollout.set_condition(progressing(rollout.world, "Unknown", _PAUSED, "Deployment is paused"))
    elif not paused and said:
        rollout.set_condition(progressing(rollout.world, "Unknown", _RESUMED, "Deployment is resumed"))
