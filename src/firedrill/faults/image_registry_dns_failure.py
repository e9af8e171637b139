"""a container gets an image from a registry whose name does not resolve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import ANEW, CONTAINER, Outcome, edit_container
from firedrill.faults._variants import one_of
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import both_ways, on_container, workloads

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj

_REGISTRIES = (
    "registry.corp.internal",
    "images.build.lan",
    "docker-mirror.infra.local",
    "harbor.platform.internal",
)


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(container: Obj) -> None:
        first, slash, rest = str(container["image"]).partition("/")
        path = rest if slash and ("." in first or ":" in first) else container["image"]
        container["image"] = f"{args['registry']}/{path}"

    return edit_container(world, args, change)


def _fits(world: World) -> Iterator[Target]:
    for owner in workloads(world):
        registry = one_of(world, "image-registry-dns-failure", owner, _REGISTRIES)
        yield from both_ways(on_container(world, owner, registry=registry))


FAULT = register(
    Fault(
        id="image-registry-dns-failure",
        title="a container gets an image from a registry whose name does not resolve",
        parameters={
            **CONTAINER,
            **ANEW,
            "registry": Parameter("host of the registry", "registry.corp.internal"),
        },
        inject=_inject,
        shows="waiting:ImagePullBackOff",
        aliases=("image_registry_dns_failure",),
        family="image",
        category="Network",
        text=(
            "The image of a container was moved to a registry whose name does not resolve from "
            "the nodes. New pods cannot pull it."
        ),
        fits=_fits,
    )
)
