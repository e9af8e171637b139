"""a readiness probe asks for a path that the program does not serve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import ANEW, CONTAINER, Outcome, edit_container, port_of
from firedrill.faults._variants import one_of
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import both_ways, main_container, on_container, workloads

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj

_PATHS = ("/status/ready-v2", "/internal/readyz", "/api/v2/health/ready", "/actuator/health/readines")


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(container: Obj) -> None:
        probe = dict(container.get("readinessProbe") or {})
        before = probe.get("httpGet") or {"port": port_of(container)}
        for handler in ("exec", "grpc", "tcpSocket"):
            probe.pop(handler, None)
        container["readinessProbe"] = {**probe, "httpGet": {**before, "path": str(args["path"])}}

    return edit_container(world, args, change)


def _fits(world: World) -> Iterator[Target]:
    for owner in workloads(world):
        if not main_container(world, owner).get("readinessProbe"):
            continue  # a program that nobody asks may answer whatever it is asked for
        path = one_of(world, "readiness-probe-incorrect-path", owner, _PATHS)
        yield from both_ways(on_container(world, owner, path=path))


FAULT = register(
    Fault(
        id="readiness-probe-incorrect-path",
        title="a readiness probe asks for a path that the program does not serve",
        parameters={**CONTAINER, **ANEW, "path": Parameter("the path", "/status/ready-v2")},
        inject=_inject,
        shows="event:Unhealthy",
        aliases=("readiness_probe_incorrect_path",),
        family="probes",
        category="Configuration Setting",
        text=(
            "The readiness probe of a container was changed, and now asks for a path that the "
            "program does not serve. New pods run but never become ready."
        ),
        fits=_fits,
        lacks="no container of the application has a readiness probe",
    )
)
