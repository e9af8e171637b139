"""a container gets an image that was built for another kind of processor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import ANEW, CONTAINER, Outcome, edit_container, wrong_architecture
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import both_ways, on_container, workloads

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(container: Obj) -> None:
        container["image"] = wrong_architecture(world, str(container["image"]), str(args["architecture"]))

    return edit_container(world, args, change)


def _fits(world: World) -> Iterator[Target]:
    for owner in workloads(world):
        yield from both_ways(on_container(world, owner))


FAULT = register(
    Fault(
        id="image-architecture-mismatch",
        title="a container gets an image that was built for another kind of processor",
        parameters={**CONTAINER, **ANEW, "architecture": Parameter("what it was built for", "arm64")},
        inject=_inject,
        shows="restarts",
        aliases=("image_architecture_mismatch",),
        family="image",
        category="Change",
        text=(
            "An image was pushed from a machine with another kind of processor, and rolled out. "
            "Its program cannot be executed here."
        ),
        fits=_fits,
    )
)
