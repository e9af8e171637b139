"""the nodes that a workload may run on are cordoned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import LATER, WORKLOAD, Outcome, client, edit, start_anew, workload_resource
from firedrill.faults._variants import workers
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import on_workload, workloads

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    client(world).get(workload_resource(args), args["namespace"], args["name"])
    wanted = [item for item in str(args["nodes"]).split(",") if item]
    names = wanted or [obj["metadata"]["name"] for obj in client(world).list("nodes")]

    def change(obj: Obj) -> None:
        obj["spec"]["unschedulable"] = True

    undo = tuple(edit(world, "nodes", "", name, change) for name in names)
    causes = (
        f"{args['namespace']}/{args['kind']}/{args['name']}",
        *(f"cluster/Node/{name}" for name in names),
    )
    return causes, (*start_anew(world, args), *undo)


def _fits(world: World) -> Iterator[Target]:
    names = ",".join(workers(world))
    for owner in workloads(world):
        yield on_workload(owner, nodes=names, then="recycle")


FAULT = register(
    Fault(
        id="node-cordon-mismatch",
        title="the nodes that a workload may run on are cordoned",
        parameters={
            **WORKLOAD,
            **LATER,
            "nodes": Parameter("names of the nodes, separated by commas; all where empty", ""),
        },
        inject=_inject,
        shows="pending-next",
        aliases=(
            "node_cordon_mismatch",
            "cordoned-worker-node",
        ),
        family="scheduling",
        category="Resource Unavailable",
        text=(
            "All nodes that may take a workload were cordoned, and its pods were deleted "
            "afterwards. They find no node any more."
        ),
        fits=_fits,
    )
)
