"""a ConfigMap that a workload reads is deleted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import AGAIN, WORKLOAD, Outcome, drop, start_anew
from firedrill.faults._reading import read_by
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import on_workload, workloads
from firedrill.world.kube.objects import namespace_of

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    gone = drop(world, "configmaps", args["namespace"], args["config_map"])
    again = start_anew(world, args)
    return (f"{args['namespace']}/ConfigMap/{args['config_map']}",), (*again, gone)


def _fits(world: World) -> Iterator[Target]:
    for owner in workloads(world):
        for name in read_by(owner, "configMap"):
            if world.cluster.store.get("configmaps", namespace_of(owner), name) is not None:
                yield on_workload(owner, config_map=name, then="recycle")


FAULT = register(
    Fault(
        id="missing-config-map",
        title="a ConfigMap that a workload reads is deleted",
        parameters={**WORKLOAD, **AGAIN, "config_map": Parameter("name of the ConfigMap")},
        inject=_inject,
        shows="stuck",
        aliases=("missing_config_map",),
        family="configuration",
        category="Configuration Setting",
        text=(
            "A ConfigMap that a workload reads was deleted, and its pods were started anew. They "
            "wait for the ConfigMap and never run."
        ),
        fits=_fits,
        lacks="no workload needs a ConfigMap",
    )
)
