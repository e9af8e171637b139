"""a workload names a priority that is not there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._aiming import both
from firedrill.faults._changes import ANEW, WORKLOAD, Outcome, edit_pods
from firedrill.faults.base import Fault, Parameter, register
from firedrill.faults.fitting import each_workload

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(spec: Obj) -> None:
        spec["priorityClassName"] = args["priority"]
        spec.pop("priority", None)

    return edit_pods(world, args, change)


FAULT = register(
    Fault(
        id="missing-priority-class",
        title="a workload names a priority class that is not there",
        parameters={
            **WORKLOAD,
            **ANEW,
            "priority": Parameter("name of the PriorityClass", "business-critical"),
        },
        inject=_inject,
        shows="event:FailedCreate",
        within=300_000,
        family="admission",
        category="Configuration Setting",
        text="The workload was given a priority class that this cluster does not have. Its new pods are "
        "refused; the old ones run on until they are gone.",
        fits=both(each_workload),
    )
)
