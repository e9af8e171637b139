"""a workload requires nodes of a kind that is not there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import WORKLOAD, Outcome, edit_pods
from firedrill.faults.base import Fault, Parameter, register

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    term = {"matchExpressions": [{"key": args["key"], "operator": "In", "values": [args["value"]]}]}

    def change(spec: Obj) -> None:
        rule = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
        spec["affinity"] = {**(spec.get("affinity") or {}), "nodeAffinity": rule}

    return edit_pods(world, args, change)


FAULT = register(
    Fault(
        id="node-affinity-mismatch",
        title="a workload requires nodes of a kind that is not there",
        parameters={
            **WORKLOAD,
            "key": Parameter("label of the nodes", "topology.kubernetes.io/zone"),
            "value": Parameter("its value", "zone-z"),
        },
        inject=_inject,
        shows="event:FailedScheduling",
        aliases=("node_affinity_mismatch",),
    )
)
