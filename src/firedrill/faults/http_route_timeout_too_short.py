"""a route of a gateway waits too short a time for answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults import _meshing
from firedrill.faults._changes import Outcome, edit
from firedrill.faults.base import Fault, Parameter, register
from firedrill.world.mesh.state import ROUTES

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(obj: Obj) -> None:
        for rule in obj["spec"]["rules"]:
            rule["timeouts"] = {**(rule.get("timeouts") or {}), "request": args["timeout"]}

    undo = edit(world, ROUTES, args["namespace"], args["name"], change)
    return (f"{args['namespace']}/HTTPRoute/{args['name']}",), (undo,)


FAULT = register(
    Fault(
        id="http-route-timeout-too-short",
        title="a route of a gateway gives up before answers can come",
        parameters={
            "namespace": Parameter("namespace of the HTTPRoute"),
            "name": Parameter("name of the HTTPRoute"),
            "timeout": Parameter("how long the gateway waits", "5ms"),
        },
        inject=_inject,
        shows="failing",
        family="mesh",
        category="Configuration Setting",
        text="The time that an HTTPRoute gives its backends is shorter than they need. The gateway answers "
        "504 while they are still at work; what it tries again only adds to that.",
        spreads="edges",
        fits=_meshing.each_route,
        lacks=_meshing.NO_GATEWAY,
    )
)
