"""a Service is offered under another port than its callers ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import SERVICE, Outcome, edit
from firedrill.faults.base import Fault, Parameter, register

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(obj: Obj) -> None:
        ports = obj["spec"]["ports"]
        taken = {int(item["port"]) for item in ports}
        port = int(args["port"]) or int(ports[0]["port"]) + 1
        while not args["port"] and port in taken:
            port += 1
        ports[0].setdefault("targetPort", ports[0]["port"])
        ports[0]["port"] = port

    undo = edit(world, "services", args["namespace"], args["name"], change)
    return (f"{args['namespace']}/Service/{args['name']}",), (undo,)


FAULT = register(
    Fault(
        id="service-port-changed",
        title="a Service is offered under another port than its callers ask for",
        parameters={**SERVICE, "port": Parameter("the new port; the next one that is free where 0", 0)},
        inject=_inject,
        shows="gone",
        family="routing",
        category="Configuration Setting",
        text="The port of the Service was changed, but not the addresses that its callers were told. It has "
        "its endpoints, and nobody asks for them at the new port.",
        spreads="service",
    )
)
