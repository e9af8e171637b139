"""a container gets a memory limit that its program does not fit into."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import ANEW, CONTAINER, Outcome, edit_container
from firedrill.faults._variants import too_little
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import both_ways, main_container, on_container, workloads

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(container: Obj) -> None:
        resources = container.setdefault("resources", {})
        for part in ("limits", "requests"):
            resources[part] = {**(resources.get(part) or {}), "memory": str(args["memory"])}

    return edit_container(world, args, change)


def _fits(world: World) -> Iterator[Target]:
    for owner in workloads(world):
        memory = too_little(world, "oom-killed", owner, main_container(world, owner)["name"])
        if memory:
            yield from both_ways(on_container(world, owner, memory=memory))


FAULT = register(
    Fault(
        id="oom-killed",
        title="a container gets a memory limit that its program does not fit into",
        parameters={**CONTAINER, **ANEW, "memory": Parameter("the limit", "16Mi")},
        inject=_inject,
        shows="ended:OOMKilled",
        aliases=("oom_killed",),
        family="runtime",
        category="Configuration Setting",
        text=(
            "The memory limit of a container was set below what its program needs. The kernel "
            "kills it again and again."
        ),
        fits=_fits,
    )
)
