"""a readiness probe asks a port on which nothing listens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import ANEW, CONTAINER, Outcome, edit_container, port_of
from firedrill.faults._variants import wrong_port
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import both_ways, main_container, on_container, workloads

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(container: Obj) -> None:
        probe = container.setdefault("readinessProbe", {"tcpSocket": {"port": port_of(container)}})
        for handler in ("httpGet", "tcpSocket", "grpc"):
            if handler in probe:
                probe[handler] = {**probe[handler], "port": int(args["port"])}

    return edit_container(world, args, change)


def _fits(world: World) -> Iterator[Target]:
    for owner in workloads(world):
        port = wrong_port(world, "readiness-probe-incorrect-port", owner, main_container(world, owner))
        yield from both_ways(on_container(world, owner, port=port))


FAULT = register(
    Fault(
        id="readiness-probe-incorrect-port",
        title="a readiness probe asks a port on which nothing listens",
        parameters={**CONTAINER, **ANEW, "port": Parameter("the port", 9)},
        inject=_inject,
        shows="event:Unhealthy",
        aliases=("readiness_probe_incorrect_port",),
        family="probes",
        category="Configuration Setting",
        text=(
            "The readiness probe of a container was changed, and now asks at a port on which "
            "nothing listens. New pods run but never become ready."
        ),
        fits=_fits,
    )
)
