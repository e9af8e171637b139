"""a namespace allows containers less than they ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import WORKLOAD, Outcome, add, entity
from firedrill.faults._making import cause_of, delete_pods, owner_of
from firedrill.faults.base import Fault, Parameter, register
from firedrill.world.kube.qos import limit_of, request_of

if TYPE_CHECKING:
    from firedrill.world import World


_MIB = 1024 * 1024


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    items = owner_of(world, args)["spec"]["template"]["spec"]["containers"]
    most = max(max(limit_of(item, "memory"), request_of(item, "memory")) for item in items)
    bound = str(args["memory"] or f"{max(most // 2 // _MIB, 1)}Mi")
    made = {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": args["range"], "namespace": args["namespace"]},
        "spec": {"limits": [{"type": "Container", "max": {"memory": bound}}]},
    }
    undo = add(world, made)
    delete_pods(world, args)
    return (entity(made), cause_of(args)), (undo,)


FAULT = register(
    Fault(
        id="limit-range-too-small",
        title="a namespace allows containers less memory than those of a workload that has to start anew",
        parameters={
            **WORKLOAD,
            "range": Parameter("name of the LimitRange", "container-limits"),
            "memory": Parameter("the most that a container may have; half of the workload's where empty", ""),
        },
        inject=_inject,
        shows="event:FailedCreate",
        family="admission",
        category="Configuration Setting",
        text="The namespace got bounds for its containers that are smaller than what the workload has always "
        "had. Its pods were deleted to be made anew, and the new ones are refused.",
    )
)
