"""a workload is scaled down to nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import WORKLOAD, Outcome, edit, workload_resource
from firedrill.faults.base import Fault, register
from firedrill.faults.fitting import each_missed

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(obj: Obj) -> None:
        obj["spec"]["replicas"] = 0

    undo = edit(world, workload_resource(args), args["namespace"], args["name"], change)
    return (f"{args['namespace']}/{args['kind']}/{args['name']}",), (undo,)


FAULT = register(
    Fault(
        id="workload-scaled-to-zero",
        title="a workload is scaled down to nothing",
        parameters=WORKLOAD,
        inject=_inject,
        shows="endpoints",
        aliases=(
            "workload_scaled_to_zero",
            "scale-pods-to-zero",
        ),
        family="runtime",
        category="Change",
        text="A workload was scaled to no copies. Nobody answers for it any more.",
        fits=each_missed,
    )
)
