"""a helper writes a volume full, and the pod is evicted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import WORKLOAD, Outcome, edit_pods
from firedrill.faults.base import Fault, Injection, Parameter, Step, register
from firedrill.faults.repairing import inverse
from firedrill.world.kube.objects import dig, name_of

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


_SCRIPT = (
    "n=0; while true; do n=$((n+1)); dd if=/dev/zero of=/spool/segment-$n.log bs=1M count={mb} 2>/dev/null; "
    "sleep 10; done"
)


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(spec: Obj) -> None:
        helper: Obj = {
            "name": args["sidecar"],
            "image": args["image"],
            "command": ["sh", "-c", _SCRIPT.format(mb=int(args["mb"]))],
            "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
            "volumeMounts": [{"name": "log-spool", "mountPath": "/spool"}],
        }
        volume = {"name": "log-spool", "emptyDir": {"sizeLimit": args["limit"]}}
        spec["containers"] = [*spec["containers"], helper]
        spec["volumes"] = [*(spec.get("volumes") or ()), volume]

    return edit_pods(world, args, change)


def _repair(world: World, injection: Injection) -> tuple[Step, ...]:
    """The workload as it was, and the evicted pods cleared away: nothing else removes them for hours."""
    space = injection.args["namespace"]
    left = (
        Step("clear away an evicted pod", "delete", "pods", space, name_of(pod))
        for pod in world.cluster.store.list("pods", space)
        if dig(pod, "status", "reason") == "Evicted"
    )
    return (*inverse(world, injection), *left)


FAULT = register(
    Fault(
        id="log-spool-fills-volume",
        title="a helper writes logs until their volume is full, and the pod is evicted, again and again",
        parameters={
            **WORKLOAD,
            "sidecar": Parameter("name of the helper", "log-spool"),
            "image": Parameter("its image", "docker.io/library/busybox:1.37"),
            "mb": Parameter("megabytes that it writes every ten seconds", 20),
            "limit": Parameter("size of the volume", "256Mi"),
        },
        inject=_inject,
        shows="event:Evicted",
        within=600_000,
        family="storage",
        category="Change",
        text="A helper that keeps logs was added and never removes any. When its volume is over its size, "
        "the kubelet evicts the whole pod; the next one goes the same way.",
        repair=_repair,
    )
)
