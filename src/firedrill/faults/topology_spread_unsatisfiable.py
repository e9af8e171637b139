"""the pods of a workload have to be spread over zones that no node names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._aiming import both
from firedrill.faults._changes import ANEW, WORKLOAD, Outcome, edit_pods
from firedrill.faults._making import owner_of, pod_labels
from firedrill.faults.base import Fault, Parameter, register
from firedrill.faults.fitting import each_workload

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(spec: Obj) -> None:
        rule = {
            "maxSkew": 1,
            "topologyKey": args["key"],
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": pod_labels(owner_of(world, args))},
        }
        spec["topologySpreadConstraints"] = [*(spec.get("topologySpreadConstraints") or ()), rule]

    return edit_pods(world, args, change)


FAULT = register(
    Fault(
        id="topology-spread-unsatisfiable",
        title="the pods of a workload have to be spread over zones that no node names",
        parameters={
            **WORKLOAD,
            **ANEW,
            "key": Parameter("label of the nodes", "topology.kubernetes.io/zone"),
        },
        inject=_inject,
        shows="event:FailedScheduling",
        within=300_000,
        family="scheduling",
        category="Configuration Setting",
        text="A rule from another cluster spreads the pods of the workload over zones. The nodes here name"
        " no zone, so that no node will do for a new pod.",
        fits=both(each_workload),
    )
)
