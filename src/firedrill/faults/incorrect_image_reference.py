"""a container gets an image that its registry does not have."""

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
        head, _, tail = str(container["image"]).rpartition("/")
        repository = tail.partition("@")[0].partition(":")[0]
        container["image"] = args["image"] or f"{head}/{repository}:v9.9.9-rc.1".lstrip("/")

    return edit_container(world, args, change)


FAULT = register(
    Fault(
        id="incorrect-image-reference",
        title="a container gets an image that its registry does not have",
        parameters={**CONTAINER, "image": Parameter("the image; a tag that nobody pushed where empty", "")},
        inject=_inject,
        shows="waiting:ImagePullBackOff",
        aliases=(
            "incorrect_image_reference",
            "nonexistent-workload-container-image",
        ),
    )
)
