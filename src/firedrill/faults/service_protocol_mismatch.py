"""a Service carries another protocol than its program speaks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import SERVICE, Outcome, edit
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import on_service, services

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(obj: Obj) -> None:
        for port in obj["spec"]["ports"]:
            port["protocol"] = args["protocol"]

    undo = edit(world, "services", args["namespace"], args["name"], change)
    return (f"{args['namespace']}/Service/{args['name']}",), (undo,)


def _fits(world: World) -> Iterator[Target]:
    for service, owner in services(world):
        for protocol in ("UDP", "SCTP"):
            yield on_service(service, owner, protocol=protocol)


FAULT = register(
    Fault(
        id="service-protocol-mismatch",
        title="a Service carries another protocol than its program speaks",
        parameters={**SERVICE, "protocol": Parameter("the protocol", "UDP", ("UDP", "SCTP"))},
        inject=_inject,
        shows="unreachable-service",
        aliases=("service_protocol_mismatch",),
        family="routing",
        category="Configuration Setting",
        text=(
            "The ports of a Service were changed to another transport protocol. Nobody listens at "
            "its address any more for what its callers speak."
        ),
        spreads="service",
        fits=_fits,
    )
)
