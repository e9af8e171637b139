"""a disruption budget lets no pod of a workload go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import WORKLOAD, Outcome, add, client, entity, workload_resource
from firedrill.faults.base import Fault, Parameter, register

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    owner = client(world).get(workload_resource(args), args["namespace"], args["name"])
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": args["budget"], "namespace": args["namespace"]},
        "spec": {"maxUnavailable": 0, "selector": owner["spec"]["selector"]},
    }
    return (entity(budget),), (add(world, budget),)


FAULT = register(
    Fault(
        id="disruption-budget-too-strict",
        title="a disruption budget lets no pod of a workload go",
        parameters={**WORKLOAD, "budget": Parameter("name of the PodDisruptionBudget", "keep-all")},
        inject=_inject,
        shows="undrainable",
        aliases=("disruption_budget_too_strict",),
    )
)
