"""a container asks for more memory than any node has."""

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
        resources["requests"] = {**(resources.get("requests") or {}), "memory": str(args["memory"])}
        if "memory" in (resources.get("limits") or {}):
            resources["limits"] = {**resources["limits"], "memory": str(args["memory"])}

    return edit_container(world, args, change)


FAULT = register(
    Fault(
        id="memory-capacity-mismatch",
        title="a container asks for more memory than any node has",
        parameters={**CONTAINER, "memory": Parameter("requested memory", "512Gi")},
        inject=_inject,
        shows="event:FailedScheduling",
        aliases=("memory_capacity_mismatch",),
    )
)
