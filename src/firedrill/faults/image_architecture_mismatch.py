"""a container gets an image that was built for another kind of processor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import CONTAINER, Outcome, edit_container, wrong_architecture
from firedrill.faults.base import Fault, Parameter, register

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(container: Obj) -> None:
        container["image"] = wrong_architecture(world, str(container["image"]), str(args["architecture"]))

    return edit_container(world, args, change)


FAULT = register(
    Fault(
        id="image-architecture-mismatch",
        title="a container gets an image that was built for another kind of processor",
        parameters={**CONTAINER, "architecture": Parameter("what it was built for", "arm64")},
        inject=_inject,
        shows="restarts",
        aliases=("image_architecture_mismatch",),
    )
)
