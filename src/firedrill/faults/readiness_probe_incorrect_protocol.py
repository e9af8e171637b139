"""a readiness probe speaks a protocol that the program does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import ANEW, CONTAINER, Outcome, edit_container, port_number, port_of
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import both_ways, main_container, on_container, workloads

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(container: Obj) -> None:
        probe = container.setdefault("readinessProbe", {})
        was_http = "httpGet" in probe
        port = port_of(container)
        for handler in ("httpGet", "tcpSocket", "grpc", "exec"):
            if handler in probe:
                port = probe.pop(handler).get("port", port)
        if was_http:
            probe["grpc"] = {"port": port_number(container, port)}
        else:
            probe["httpGet"] = {"path": args["path"], "port": port}

    return edit_container(world, args, change)


def _fits(world: World) -> Iterator[Target]:
    for owner in workloads(world):
        if main_container(world, owner).get("readinessProbe"):
            yield from both_ways(on_container(world, owner))


FAULT = register(
    Fault(
        id="readiness-probe-incorrect-protocol",
        title="a readiness probe speaks a protocol that the program does not",
        parameters={
            **CONTAINER,
            **ANEW,
            "path": Parameter("path that is asked for where the probe becomes an HTTP one", "/health"),
        },
        inject=_inject,
        shows="event:Unhealthy",
        aliases=("readiness_probe_incorrect_protocol",),
        family="probes",
        category="Configuration Setting",
        text=(
            "The readiness probe of a container was changed, and now speaks a protocol that the "
            "program does not. New pods run but never become ready."
        ),
        fits=_fits,
        lacks="no container of the application has a readiness probe",
    )
)
