"""a workload shuns nodes with a daemon that runs on every node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._aiming import both
from firedrill.faults._changes import ANEW, WORKLOAD, Outcome, add, edit_pods, entity
from firedrill.faults._making import joined, running
from firedrill.faults.base import Fault, Parameter, register
from firedrill.faults.fitting import each_workload

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


_LABEL = "app.kubernetes.io/name"


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    container = {
        "name": "worker",
        "image": args["image"],
        "command": ["/bin/sh", "-c", "sleep infinity"],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "32Mi"}},
    }
    daemon = running(
        "DaemonSet", args["namespace"], args["daemon"], {"containers": [container]}, label=_LABEL
    )
    wanted = {"matchExpressions": [{"key": _LABEL, "operator": "In", "values": [args["daemon"]]}]}
    rule = [{"labelSelector": wanted, "topologyKey": "kubernetes.io/hostname"}]

    def change(spec: Obj) -> None:
        shunned = {"requiredDuringSchedulingIgnoredDuringExecution": rule}
        spec["affinity"] = {**(spec.get("affinity") or {}), "podAntiAffinity": shunned}

    made = add(world, daemon)
    return joined(edit_pods(world, args, change), ((entity(daemon),), (made,)))


FAULT = register(
    Fault(
        id="unschedulable-kubernetes-workload-pod-anti-affinity-rule",
        title="a workload shuns nodes on which a daemon runs that runs on every node",
        parameters={
            **WORKLOAD,
            **ANEW,
            "daemon": Parameter("name of the DaemonSet", "application-operator"),
            "image": Parameter("its image", "docker.io/library/busybox:1.37"),
        },
        inject=_inject,
        shows="event:FailedScheduling",
        aliases=("unschedulable_kubernetes_workload_pod_anti_affinity_rule",),
        family="scheduling",
        category="Configuration Setting",
        text="A daemon came to every node, and the workload got a rule that keeps it away from that daemon. "
        "There is no node left for its new pods.",
        fits=both(each_workload),
    )
)
