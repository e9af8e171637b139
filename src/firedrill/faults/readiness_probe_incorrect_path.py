"""a readiness probe asks for a path that the program does not serve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import CONTAINER, Outcome, edit_container, port_of
from firedrill.faults.base import Fault, Parameter, register

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(container: Obj) -> None:
        probe = dict(container.get("readinessProbe") or {})
        before = probe.get("httpGet") or {"port": port_of(container)}
        for handler in ("exec", "grpc", "tcpSocket"):
            probe.pop(handler, None)
        container["readinessProbe"] = {**probe, "httpGet": {**before, "path": str(args["path"])}}

    return edit_container(world, args, change)


FAULT = register(
    Fault(
        id="readiness-probe-incorrect-path",
        title="a readiness probe asks for a path that the program does not serve",
        parameters={**CONTAINER, "path": Parameter("the path", "/status/ready-v2")},
        inject=_inject,
        shows="event:Unhealthy",
        aliases=("readiness_probe_incorrect_path",),
    )
)
