"""a Service sends its traffic to a port on which nothing listens."""

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
        obj["spec"]["ports"][0]["targetPort"] = int(port) if (port := str(args["port"])).isdecimal() else port

    undo = edit(world, "services", args["namespace"], args["name"], change)
    return (f"{args['namespace']}/Service/{args['name']}",), (undo,)


FAULT = register(
    Fault(
        id="service-port-mapping-mismatch",
        title="a Service sends its traffic to a port on which nothing listens",
        parameters={**SERVICE, "port": Parameter("number or name of the target port", 9)},
        inject=_inject,
        shows="unreachable-service",
        aliases=("service_port_mapping_mismatch",),
    )
)
