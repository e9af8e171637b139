"""a ConfigMap that a workload reads is deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import WORKLOAD, Outcome, drop, restart
from firedrill.faults.base import Fault, Parameter, register

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    gone = drop(world, "configmaps", args["namespace"], args["config_map"])
    again = restart(world, args)
    return (f"{args['namespace']}/ConfigMap/{args['config_map']}",), (again, gone)


FAULT = register(
    Fault(
        id="missing-config-map",
        title="a ConfigMap that a workload reads is deleted",
        parameters={**WORKLOAD, "config_map": Parameter("name of the ConfigMap")},
        inject=_inject,
        shows="stuck",
        aliases=("missing_config_map",),
    )
)
