"""a workload requires nodes of a kind that is not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import ANEW, WORKLOAD, Outcome, edit_pods
from firedrill.faults._variants import one_of
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import both_ways, on_workload, workloads

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj

_PLACES = (
    ("topology.kubernetes.io/zone", "zone-z"),
    ("topology.kubernetes.io/region", "eu-north-9"),
    ("node.kubernetes.io/instance-type", "m7g.4xlarge"),
    ("node-pool", "compute-optimised"),
)


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    term = {"matchExpressions": [{"key": args["key"], "operator": "In", "values": [args["value"]]}]}

    def change(spec: Obj) -> None:
        rule = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
        spec["affinity"] = {**(spec.get("affinity") or {}), "nodeAffinity": rule}

    return edit_pods(world, args, change)


def _fits(world: World) -> Iterator[Target]:
    for owner in workloads(world):
        key, value = one_of(world, "node-affinity-mismatch", owner, _PLACES)
        yield from both_ways(on_workload(owner, key=key, value=value))


FAULT = register(
    Fault(
        id="node-affinity-mismatch",
        title="a workload requires nodes of a kind that is not there",
        parameters={
            **WORKLOAD,
            **ANEW,
            "key": Parameter("label of the nodes", "topology.kubernetes.io/zone"),
            "value": Parameter("its value", "zone-z"),
        },
        inject=_inject,
        shows="event:FailedScheduling",
        aliases=("node_affinity_mismatch",),
        family="scheduling",
        category="Configuration Setting",
        text=(
            "A workload was told to run only on nodes with a label value that no node has. Its "
            "new pods stay Pending."
        ),
        fits=_fits,
    )
)
