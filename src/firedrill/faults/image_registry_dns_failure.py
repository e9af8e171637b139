"""a container gets an image from a registry whose name does not resolve."""

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
        first, slash, rest = str(container["image"]).partition("/")
        path = rest if slash and ("." in first or ":" in first) else container["image"]
        container["image"] = f"{args['registry']}/{path}"

    return edit_container(world, args, change)


FAULT = register(
    Fault(
        id="image-registry-dns-failure",
        title="a container gets an image from a registry whose name does not resolve",
        parameters={**CONTAINER, "registry": Parameter("host of the registry", "registry.corp.internal")},
        inject=_inject,
        shows="waiting:ImagePullBackOff",
        aliases=("image_registry_dns_failure",),
    )
)
