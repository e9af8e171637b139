"""a workload is bound to a node that takes no more pods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.core.errors import InputError
from firedrill.faults._changes import WORKLOAD, Outcome, edit
from firedrill.faults._making import edit_owner, joined, node_of_pods
from firedrill.faults.base import Fault, Parameter, register

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    node = args["node"] or node_of_pods(world, args)
    if not node:
        raise InputError("none of its pods is on a node", field="name", mend="name a node")

    def bind(obj: Obj) -> None:
        spec = obj["spec"]["template"]["spec"]
        spec["nodeSelector"] = {**(spec.get("nodeSelector") or {}), "kubernetes.io/hostname": node}
        obj["spec"]["replicas"] = int(obj["spec"].get("replicas") or 0) + 1

    def cordon(obj: Obj) -> None:
        obj["spec"]["unschedulable"] = True

    cordoned = edit(world, "nodes", "", node, cordon)
    return joined(edit_owner(world, args, bind), ((f"cluster/Node/{node}",), (cordoned,)))


FAULT = register(
    Fault(
        id="cordoned-kubernetes-worker-node",
        title="a workload is bound to a node that is cordoned, and asked for one copy more",
        parameters={
            **WORKLOAD,
            "node": Parameter("the node; that of its first pod where empty", ""),
        },
        inject=_inject,
        shows="event:FailedScheduling",
        aliases=("cordoned_kubernetes_worker_node",),
        family="scheduling",
        category="Change",
        text="Somebody bound the workload to one node by its host name. The node was cordoned for "
        "maintenance, and the next copy finds no node that it may run on.",
        felt="alert",
    )
)
