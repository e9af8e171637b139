"""a policy lets only another namespace reach a workload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults import _meshing
from firedrill.faults._changes import WORKLOAD, Outcome, add
from firedrill.faults._making import owner_of
from firedrill.faults.base import Fault, Parameter, register

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    labels = _meshing.labels_of_pods(owner_of(world, args))
    name = args["policy"] or f"{args['name']}-callers"
    spec = {
        "selector": {"matchLabels": labels},
        "action": "ALLOW",
        "rules": [{"from": [{"source": {"namespaces": [args["allowed"]]}}]}],
    }
    made = add(world, _meshing.authorization(args["namespace"], name, spec))
    return (f"{args['namespace']}/AuthorizationPolicy/{name}",), (made,)


FAULT = register(
    Fault(
        id="authorization-policy-wrong-namespace",
        title="a policy of the mesh lets only another namespace reach a workload",
        parameters={
            **WORKLOAD,
            "allowed": Parameter("namespace that is allowed", "ingress"),
            "policy": Parameter(
                "name of the AuthorizationPolicy; `-callers` behind the workload's where empty", ""
            ),
        },
        inject=_inject,
        shows="failing",
        family="mesh",
        category="Configuration Setting",
        text="A new AuthorizationPolicy allows one namespace to reach a workload, and it is not the one that"
        " its callers are in. Their connections are reset.",
        spreads="edges",
        fits=_meshing.each_open,
        lacks=_meshing.NO_MESH,
    )
)
