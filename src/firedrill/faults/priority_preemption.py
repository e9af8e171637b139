"""a greedy workload of a high priority drives others from their nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome, add, entity, greedy
from firedrill.faults.base import Fault, Parameter, register

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    level = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": args["priority"]},
        "value": 900_000_000,
    }
    workload = greedy(args)
    first = add(world, level)
    return (entity(workload), f"cluster/PriorityClass/{args['priority']}"), (add(world, workload), first)


FAULT = register(
    Fault(
        id="priority-preemption",
        title="a greedy workload of a high priority drives others from their nodes",
        parameters={
            "namespace": Parameter("namespace of the greedy workload"),
            "name": Parameter("its name", "report-builder"),
            "priority": Parameter("name of its PriorityClass", "reports-first"),
            "cpu": Parameter("what each copy asks for", "6"),
            "replicas": Parameter("copies", 4),
        },
        inject=_inject,
        shows="event:Preempted",
        aliases=("priority_preemption",),
    )
)
