"""the nodes that a workload may run on get a taint that it does not tolerate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import WORKLOAD, Outcome, client, edit, workload_resource
from firedrill.faults.base import Fault, Parameter, register

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    head, _, effect = str(args["taint"]).partition(":")
    key, _, value = head.partition("=")
    client(world).get(workload_resource(args), args["namespace"], args["name"])
    wanted = [item for item in str(args["nodes"]).split(",") if item]
    names = wanted or [
        obj["metadata"]["name"]
        for obj in client(world).list("nodes", selector="!node-role.kubernetes.io/control-plane")
    ]

    def change(obj: Obj) -> None:
        taint = {"key": key, "value": value, "effect": effect or "NoSchedule"}
        obj["spec"]["taints"] = [*(obj["spec"].get("taints") or ()), taint]

    undo = tuple(edit(world, "nodes", "", name, change) for name in names)
    causes = (
        f"{args['namespace']}/{args['kind']}/{args['name']}",
        *(f"cluster/Node/{name}" for name in names),
    )
    return causes, undo


FAULT = register(
    Fault(
        id="taint-toleration-mismatch",
        title="the nodes that a workload may run on get a taint that it does not tolerate",
        parameters={
            **WORKLOAD,
            "nodes": Parameter("names of the nodes, separated by commas; all workers where empty", ""),
            "taint": Parameter("key=value:effect", "dedicated=batch:NoSchedule"),
        },
        inject=_inject,
        shows="pending-next",
        aliases=("taint_toleration_mismatch",),
    )
)
