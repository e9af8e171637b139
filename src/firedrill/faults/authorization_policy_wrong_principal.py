"""a policy allows an identity that nobody has, and not the one that calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults import _meshing
from firedrill.faults._changes import Outcome, edit
from firedrill.faults.base import Fault, Parameter, register
from firedrill.world.mesh.state import AUTHORIZATIONS

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(obj: Obj) -> None:
        _meshing.allow_only(obj, args["principal"])

    undo = edit(world, AUTHORIZATIONS, args["namespace"], args["name"], change)
    return (f"{args['namespace']}/AuthorizationPolicy/{args['name']}",), (undo,)


FAULT = register(
    Fault(
        id="authorization-policy-wrong-principal",
        title="a policy of the mesh allows another identity than the one that calls",
        parameters={
            "namespace": Parameter("namespace of the AuthorizationPolicy"),
            "name": Parameter("name of the AuthorizationPolicy"),
            "principal": Parameter("identity that it allows", "cluster.local/ns/default/sa/frontend"),
        },
        inject=_inject,
        shows="failing",
        family="mesh",
        category="Configuration Setting",
        text="An AuthorizationPolicy is edited so that it allows an identity that none of the callers has. "
        "The proxy in front of the workload ends their connections.",
        spreads="edges",
        fits=_meshing.each_allowing,
        lacks="no policy of a mesh says by identity who may reach the application",
    )
)
