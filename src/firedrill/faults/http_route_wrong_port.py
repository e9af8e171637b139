"""a route of a gateway leads to a port that its Service does not have."""

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
            for backend in rule.get("backendRefs") or ():
                backend["port"] = int(args["port"])

    undo = edit(world, ROUTES, args["namespace"], args["name"], change)
    return (f"{args['namespace']}/HTTPRoute/{args['name']}",), (undo,)


FAULT = register(
    Fault(
        id="http-route-wrong-port",
        title="a route of a gateway leads to a port that its Service does not have",
        parameters={
            "namespace": Parameter("namespace of the HTTPRoute"),
            "name": Parameter("name of the HTTPRoute"),
            "port": Parameter("number of the port", 8181),
        },
        inject=_inject,
        shows="failing",
        family="mesh",
        category="Configuration Setting",
        text="The backends of an HTTPRoute name a port that their Service does not offer. The gateway has "
        "nowhere to send the requests to and answers them itself, with an error.",
        spreads="edges",
        fits=_meshing.each_route,
        lacks=_meshing.NO_GATEWAY,
    )
)
