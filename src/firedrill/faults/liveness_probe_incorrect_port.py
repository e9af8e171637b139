"""a liveness probe asks a port on which nothing listens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import CONTAINER, Outcome, edit_container, port_of
from firedrill.faults._variants import wrong_port
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import main_container, on_container, workloads

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(container: Obj) -> None:
        probe = container.setdefault("livenessProbe", {"tcpSocket": {"port": port_of(container)}})
        for handler in ("httpGet", "tcpSocket", "grpc"):
            if handler in probe:
                probe[handler] = {**probe[handler], "port": int(args["port"])}

    return edit_container(world, args, change)


def _fits(world: World) -> Iterator[Target]:
    for owner in workloads(world):
        port = wrong_port(world, "liveness-probe-incorrect-port", owner, main_container(world, owner))
        yield on_container(world, owner, port=port)


FAULT = register(
    Fault(
        id="liveness-probe-incorrect-port",
        title="a liveness probe asks a port on which nothing listens",
        parameters={**CONTAINER, "port": Parameter("the port", 9)},
        inject=_inject,
        shows="restarts",
        aliases=("liveness_probe_incorrect_port",),
        family="probes",
        category="Configuration Setting",
        text=(
            "A liveness probe was changed, and now asks at a port on which nothing listens. The "
            "kubelet kills the container again and again, although its program is well."
        ),
        fits=_fits,
    )
)
