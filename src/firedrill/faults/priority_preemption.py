"""a greedy workload of a high priority drives others from their nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome, add, entity, greedy
from firedrill.faults._variants import whole_node, workers
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import front
from firedrill.world.kube.objects import namespace_of

if TYPE_CHECKING:
    from firedrill.world import World

_NAMES = ("report-builder", "index-rebuild", "batch-scoring")


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


def _fits(world: World) -> Iterator[Target]:
    about, cpu = front(world), whole_node(world)
    if about is not None and cpu:
        for name in _NAMES:
            more = {"name": name, "cpu": cpu, "replicas": len(workers(world))}
            yield Target({"namespace": namespace_of(about), **more}, entity(about))


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
        family="scheduling",
        category="Resource Unavailable",
        text=(
            "A new workload of a high priority asks for nearly all that the nodes have. The "
            "scheduler drives pods of the application away, and they find no room."
        ),
        spreads="node",
        fits=_fits,
        lacks="the cluster has no workers",
    )
)
