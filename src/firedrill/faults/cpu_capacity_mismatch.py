"""a container asks for more CPU than any node has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import CONTAINER, Outcome, edit_container
from firedrill.faults.base import Fault, Parameter, register

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(container: Obj) -> None:
        resources = container.setdefault("resources", {})
        resources["requests"] = {**(resources.get("requests") or {}), "cpu": str(args["cpu"])}
        if "cpu" in (resources.get("limits") or {}):
            resources["limits"] = {**resources["limits"], "cpu": str(args["cpu"])}

    return edit_container(world, args, change)


FAULT = register(
    Fault(
        id="cpu-capacity-mismatch",
        title="a container asks for more CPU than any node has",
        parameters={**CONTAINER, "cpu": Parameter("requested CPU", "64")},
        inject=_inject,
        shows="event:FailedScheduling",
        aliases=("cpu_capacity_mismatch",),
    )
)
