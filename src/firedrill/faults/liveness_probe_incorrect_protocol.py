"""a liveness probe speaks a protocol that the program does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import CONTAINER, Outcome, edit_container, port_number, port_of
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import main_container, on_container, workloads

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(container: Obj) -> None:
        probe = container.setdefault("livenessProbe", {})
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
        if main_container(world, owner).get("livenessProbe"):
            yield on_container(world, owner)


FAULT = register(
    Fault(
        id="liveness-probe-incorrect-protocol",
        title="a liveness probe speaks a protocol that the program does not",
        parameters={
            **CONTAINER,
            "path": Parameter("path that is asked for where the probe becomes an HTTP one", "/health"),
        },
        inject=_inject,
        shows="restarts",
        aliases=("liveness_probe_incorrect_protocol",),
        family="probes",
        category="Configuration Setting",
        text=(
            "A liveness probe was changed, and now speaks a protocol that the program does not. "
            "The kubelet kills the container again and again, although its program is well."
        ),
        fits=_fits,
        lacks="no container of the application has a liveness probe",
    )
)
