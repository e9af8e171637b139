"""the nodes that a workload may run on get a taint that it does not tolerate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import LATER, WORKLOAD, Outcome, client, edit, start_anew, workload_resource
from firedrill.faults._variants import one_of, workers
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import on_workload, workloads

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj

_TAINTS = (
    "dedicated=batch:NoSchedule",
    "team=data:NoSchedule",
    "node-pool=gpu:NoSchedule",
    "lifecycle=spot:NoSchedule",
)


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
    return causes, (*start_anew(world, args), *undo)


def _fits(world: World) -> Iterator[Target]:
    names = ",".join(workers(world))
    for owner in workloads(world):
        taint = one_of(world, "taint-toleration-mismatch", owner, _TAINTS)
        yield on_workload(owner, nodes=names, taint=taint, then="recycle")


FAULT = register(
    Fault(
        id="taint-toleration-mismatch",
        title="the nodes that a workload may run on get a taint that it does not tolerate",
        parameters={
            **WORKLOAD,
            **LATER,
            "nodes": Parameter("names of the nodes, separated by commas; all workers where empty", ""),
            "taint": Parameter("key=value:effect", "dedicated=batch:NoSchedule"),
        },
        inject=_inject,
        shows="pending-next",
        aliases=("taint_toleration_mismatch",),
        family="scheduling",
        category="Resource Unavailable",
        text=(
            "The nodes that take the application were given a taint that it does not tolerate. "
            "Pods that have to be made anew, or that the taint drives away, find no node."
        ),
        fits=_fits,
    )
)
