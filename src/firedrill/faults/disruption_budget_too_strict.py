"""a disruption budget lets no pod of a workload go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import WORKLOAD, Outcome, add, client, entity, workload_resource
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import on_workload, workloads
from firedrill.world.kube.objects import dig, name_of

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    owner = client(world).get(workload_resource(args), args["namespace"], args["name"])
    kept = {"minAvailable": int(args["least"])} if args["least"] else {"maxUnavailable": 0}
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": args["budget"], "namespace": args["namespace"]},
        "spec": {**kept, "selector": owner["spec"]["selector"]},
    }
    return (entity(budget),), (add(world, budget),)


def _fits(world: World) -> Iterator[Target]:
    for owner in workloads(world):
        copies = int(dig(owner, "spec", "replicas", default=1))
        yield on_workload(owner, budget=f"{name_of(owner)}-pdb", least=copies + 1)


FAULT = register(
    Fault(
        id="disruption-budget-too-strict",
        title="a disruption budget lets no pod of a workload go",
        parameters={
            **WORKLOAD,
            "least": Parameter("pods that must stay; none may go where 0", 0),
            "budget": Parameter("name of the PodDisruptionBudget", "keep-all"),
        },
        inject=_inject,
        shows="undrainable",
        aliases=("disruption_budget_too_strict",),
        family="admission",
        category="Configuration Setting",
        text=(
            "A disruption budget asks for more healthy pods than the workload has, or lets none "
            "go. Whoever drains a node waits for ever."
        ),
        spreads="none",
        felt="alert",
        fits=_fits,
    )
)
