"""a container gets a memory limit that its program does not fit into."""

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
        for part in ("limits", "requests"):
            resources[part] = {**(resources.get(part) or {}), "memory": str(args["memory"])}

    return edit_container(world, args, change)


FAULT = register(
    Fault(
        id="oom-killed",
        title="a container gets a memory limit that its program does not fit into",
        parameters={**CONTAINER, "memory": Parameter("the limit", "16Mi")},
        inject=_inject,
        shows="ended:OOMKilled",
        aliases=("oom_killed",),
    )
)
