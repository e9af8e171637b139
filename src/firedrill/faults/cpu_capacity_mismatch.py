"""a container asks for more CPU than any node has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import ANEW, CONTAINER, Outcome, edit_container
from firedrill.faults._variants import too_much
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import both_ways, on_container, workloads

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


def _fits(world: World) -> Iterator[Target]:
    for owner in workloads(world):
        cpu = too_much(world, "cpu-capacity-mismatch", owner, "cpu")
        yield from both_ways(on_container(world, owner, cpu=cpu))


FAULT = register(
    Fault(
        id="cpu-capacity-mismatch",
        title="a container asks for more CPU than any node has",
        parameters={**CONTAINER, **ANEW, "cpu": Parameter("requested CPU", "64")},
        inject=_inject,
        shows="event:FailedScheduling",
        aliases=("cpu_capacity_mismatch",),
        family="scheduling",
        category="Configuration Setting",
        text=(
            "A container was given a request for more CPU than any node of the cluster has. Its "
            "new pods fit nowhere and stay Pending."
        ),
        fits=_fits,
    )
)
