"""a gateway listens on another port than the one that users come to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults import _meshing
from firedrill.faults._changes import Outcome, edit
from firedrill.faults.base import Fault, Parameter, register
from firedrill.world.mesh.state import GATEWAYS

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(obj: Obj) -> None:
        obj["spec"]["listeners"][0]["port"] = int(args["port"])

    undo = edit(world, GATEWAYS, args["namespace"], args["name"], change)
    return (f"{args['namespace']}/Gateway/{args['name']}",), (undo,)


FAULT = register(
    Fault(
        id="gateway-listener-wrong-port",
        title="a gateway listens on another port than the one that users come to",
        parameters={
            "namespace": Parameter("namespace of the Gateway"),
            "name": Parameter("name of the Gateway"),
            "port": Parameter("number of the port", 8008),
        },
        inject=_inject,
        shows="failing",
        family="mesh",
        category="Configuration Setting",
        text="The listener of a Gateway gets another port, and its controller moves the Service along. "
        "Whoever still comes to the old port gets no answer.",
        spreads="edges",
        fits=_meshing.each_gateway,
        lacks=_meshing.NO_GATEWAY,
    )
)
