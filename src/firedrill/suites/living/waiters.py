"""What is done around an injection without being a fault: restarts, scaling, waiting."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from firedrill.core.errors import InputError
from firedrill.suites.living.case import Waiter
from firedrill.world.kube.api import ApiError, Client

if TYPE_CHECKING:
    from firedrill.world.world import World

_RESOURCES = {"Deployment": "deployments.apps", "StatefulSet": "statefulsets.apps"}
AUTOSCALE = "autoscale-workloads"
"""Not ITBench's: what its option for autoscaling does to each Deployment of a namespace."""
_GONE_MS = 120_000
_SCALED_MS = 60_000
_ROLLED_MS = 120_000
_LOOK_MS = 5_000


def wait(world: World, waiters: Sequence[Waiter], tick: Callable[[int], None] | None = None) -> None:
    """Do these one after the other, as long as they take.

    Args:
        world: where.
        waiters: in order.
        tick: lets the world run to a moment; by default `world.run_until_ms`.

    Raises:
        InputError: one is not known, or names something that is not there.
    """
    run = tick or world.run_until_ms
    for number, waiter in enumerate(waiters):
        if waiter.id not in _WAITERS:
            mend = f"take one of {', '.join(sorted(_WAITERS))}"
            raise InputError(f"there is no waiter {waiter.id!r}", field=f"waiters.{number}", mend=mend)
        try:
            _WAITERS[waiter.id](world, waiter.args, run)
        except ApiError as refusal:
            raise InputError(f"{waiter.id}: {refusal.message}", field=f"waiters.{number}") from None


def known_waiters() -> tuple[str, ...]:
    """Their ids."""
    return tuple(sorted(_WAITERS))


def _workload(args: Mapping[str, Any]) -> tuple[str, str, str]:
    kind = str(args.get("kind") or "Deployment")
    if kind not in _RESOURCES:
        raise InputError(f"{kind} cannot be scaled", field="kind", mend="take a Deployment or StatefulSet")
    return _RESOURCES[kind], str(args.get("namespace") or "default"), str(args.get("name") or "")


def _scale(world: World, args: Mapping[str, Any], replicas: int) -> int:
    """Give the workload so many pods; returns how many it had."""
    resource, namespace, name = _workload(args)
    user = Client(world, manager="kubectl")
    before = int(user.get(resource, namespace, name)["spec"].get("replicas", 1))
    user.patch(resource, namespace, name, {"spec": {"replicas": replicas}})
    return before


def _scaled(world: World, args: Mapping[str, Any], run: Callable[[int], None]) -> None:
    _scale(world, args, int(args.get("replicas", 1)))
    run(world.now + _SCALED_MS)


def _deleted(world: World, args: Mapping[str, Any], run: Callable[[int], None]) -> None:
    before = _scale(world, args, 0)
    run(world.now + _GONE_MS)
    _scale(world, args, before)


def _restarted(world: World, args: Mapping[str, Any], run: Callable[[int], None]) -> None:
    resource, namespace, name = _workload(args)
    user = Client(world, manager="kubectl")
    stamp = {"kubectl.kubernetes.io/restartedAt": world.time}
    patch = {"spec": {"template": {"metadata": {"annotations": stamp}}}}
    user.patch(resource, namespace, name, patch)
    end = world.now + _ROLLED_MS
    while world.now < end:
        run(world.now + _LOOK_MS)
        found = user.get(resource, namespace, name)
        status, wanted = found.get("status") or {}, found["spec"].get("replicas", 1)
        seen = status.get("observedGeneration") == found["metadata"].get("generation")
        if seen and status.get("updatedReplicas", 0) == wanted == status.get("availableReplicas", 0):
            return


def _paused(world: World, args: Mapping[str, Any], run: Callable[[int], None]) -> None:
    run(world.now + int(float(args.get("seconds", 0)) * 1000))


def _autoscaled(world: World, args: Mapping[str, Any], _: Callable[[int], None]) -> None:
    namespace = str(args.get("namespace") or "default")
    user = Client(world, manager="helm")
    for deployment in user.list("deployments.apps", namespace):
        name = deployment["metadata"]["name"]
        metrics = [
            {
                "type": "Resource",
                "resource": {
                    "name": resource,
                    "target": {"type": "Utilization", "averageUtilization": int(args.get(resource, usual))},
                },
            }
            for resource, usual in (("cpu", 70), ("memory", 80))
        ]
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
        spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 10, "metrics": metrics}
        meta = {"name": name, "namespace": namespace}
        scaler = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"}
        user.create({**scaler, "metadata": meta, "spec": spec})


_WAITERS: dict[str, Callable[[World, Mapping[str, Any], Callable[[int], None]], None]] = {
    AUTOSCALE: _autoscaled,
    "delete-workload-pods": _deleted,
    "pause-execution": _paused,
    "restart-kubernetes-workload": _restarted,
    "scale-kubernetes-workload": _scaled,
}

__all__ = ["AUTOSCALE", "known_waiters", "wait"]
