"""a container gets an image that its registry does not have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import ANEW, CONTAINER, Outcome, edit_container
from firedrill.faults._variants import wrong_image
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import both_ways, main_container, on_container, workloads

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(container: Obj) -> None:
        head, _, tail = str(container["image"]).rpartition("/")
        repository = tail.partition("@")[0].partition(":")[0]
        container["image"] = args["image"] or f"{head}/{repository}:v9.9.9-rc.1".lstrip("/")

    return edit_container(world, args, change)


def _fits(world: World) -> Iterator[Target]:
    for owner in workloads(world):
        now = str(main_container(world, owner)["image"])
        image = wrong_image(world, "incorrect-image-reference", owner, now)
        yield from both_ways(on_container(world, owner, image=image))


FAULT = register(
    Fault(
        id="incorrect-image-reference",
        title="a container gets an image that its registry does not have",
        parameters={
            **CONTAINER,
            **ANEW,
            "image": Parameter("the image; a tag that nobody pushed where empty", ""),
        },
        inject=_inject,
        shows="waiting:ImagePullBackOff",
        aliases=(
            "incorrect_image_reference",
            "nonexistent-workload-container-image",
        ),
        family="image",
        category="Change",
        text=(
            "A container was given an image that its registry does not have: a slip in its name "
            "or its tag. New pods cannot pull it."
        ),
        fits=_fits,
    )
)
