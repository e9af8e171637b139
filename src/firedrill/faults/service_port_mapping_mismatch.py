"""a Service sends its traffic to a port on which nothing listens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.core.errors import InputError
from firedrill.faults._changes import SERVICE, Outcome, edit
from firedrill.faults._variants import wrong_port
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import main_container, on_service, services

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(obj: Obj) -> None:
        ports, wanted = obj["spec"]["ports"], str(args["existing"])
        found = [item for item in ports if not wanted or str(item.get("targetPort")) == wanted]
        if not found:
            names = ", ".join(str(item.get("targetPort")) for item in ports)
            raise InputError(f"no port has the target port {wanted}", field="existing", mend=f"take {names}")
        found[0]["targetPort"] = int(port) if (port := str(args["port"])).isdecimal() else port

    undo = edit(world, "services", args["namespace"], args["name"], change)
    return (f"{args['namespace']}/Service/{args['name']}",), (undo,)


def _fits(world: World) -> Iterator[Target]:
    for service, owner in services(world):
        port = wrong_port(world, "service-port-mapping-mismatch", owner, main_container(world, owner))
        yield on_service(service, owner, port=port)


FAULT = register(
    Fault(
        id="service-port-mapping-mismatch",
        title="a Service sends its traffic to a port on which nothing listens",
        parameters={
            **SERVICE,
            "port": Parameter("number or name of the target port", 9),
            "existing": Parameter("the target port that is changed; that of the first port where empty", ""),
        },
        inject=_inject,
        shows="unreachable-service",
        aliases=("service_port_mapping_mismatch",),
        family="routing",
        category="Configuration Setting",
        text=(
            "A Service was changed and now sends its traffic to a port of its pods on which "
            "nothing listens. Connections to it are refused."
        ),
        spreads="service",
        fits=_fits,
    )
)
