"""a Service carries another protocol than its program speaks."""

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
        for port in obj["spec"]["ports"]:
            port["protocol"] = args["protocol"]

    undo = edit(world, "services", args["namespace"], args["name"], change)
    return (f"{args['namespace']}/Service/{args['name']}",), (undo,)


FAULT = register(
    Fault(
        id="service-protocol-mismatch",
        title="a Service carries another protocol than its program speaks",
        parameters={**SERVICE, "protocol": Parameter("the protocol", "UDP", ("UDP", "SCTP"))},
        inject=_inject,
        shows="unreachable-service",
        aliases=("service_protocol_mismatch",),
    )
)
