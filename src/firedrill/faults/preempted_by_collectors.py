"""a crowd of important pods takes the node of a workload that counts less."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.core.errors import InputError
from firedrill.faults._changes import WORKLOAD, Outcome, add, client, edit_pods, entity
from firedrill.faults._making import joined, node_of_pods, running
from firedrill.faults.base import Fault, Parameter, register
from firedrill.world.kube import quantity

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    node = args["node"] or node_of_pods(world, args)
    if not node:
        raise InputError("none of its pods is on a node", field="name", mend="name a node")
    here = {"kubernetes.io/hostname": node}
    found = client(world).get("nodes", "", node)
    copies = int(args["replicas"])
    share = quantity.milli(found["status"]["allocatable"]["cpu"]) // copies
    container = {
        "name": "main",
        "image": "registry.k8s.io/pause:3.9",
        "resources": {"requests": {"cpu": f"{share}m"}},
    }
    spec = {"priorityClassName": args["critical"], "nodeSelector": here, "containers": [container]}
    crowd = running("Deployment", args["namespace"], args["crowd"], spec, replicas=copies)

    def change(pods: Obj) -> None:
        pods["nodeSelector"] = {**(pods.get("nodeSelector") or {}), **here}
        pods["priorityClassName"] = args["other"]

    levels = [_level(args["critical"], 10_000), _level(args["other"], 1)]
    made = [(add(world, item), entity(item)) for item in levels]
    bound = edit_pods(world, args, change)
    crowded = add(world, crowd)
    more: Outcome = ((entity(crowd), made[0][1]), (crowded, made[1][0], made[0][0]))
    return joined(bound, more)


def _level(name: str, value: int) -> Obj:
    kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass"}
    return {**kind, "metadata": {"name": name}, "value": value}


FAULT = register(
    Fault(
        id="priority-kubernetes-workload-priority-preemption",
        title="a crowd of pods of a high priority fills the node that a less important workload is bound to",
        parameters={
            **WORKLOAD,
            "node": Parameter("the node; that of its first pod where empty", ""),
            "crowd": Parameter("name of the other workload", "critical-data-collector"),
            "replicas": Parameter("its copies, which together ask for all processors of the node", 20),
            "critical": Parameter("its PriorityClass", "application-critical"),
            "other": Parameter("PriorityClass of the workload", "application-non-critical"),
        },
        inject=_inject,
        shows="event:Preempted",
        aliases=("priority_kubernetes_workload_priority_preemption",),
        family="scheduling",
        category="Resource Unavailable",
        text="Priorities were introduced: the workload got a low one and was bound to a node. Another "
        "workload of a high priority then took that node whole, and drives away whoever counts less.",
    )
)
