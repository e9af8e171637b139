"""a workload takes its image from a private registry with a secret that is not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import ANEW, CONTAINER, Outcome, edit_pods, pick
from firedrill.faults._variants import one_of
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import both_ways, on_container, workloads

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj

_REGISTRIES = (
    "ghcr.io/private",
    "registry.gitlab.com/platform",
    "quay.io/internal-tools",
    "ghcr.io/team-images",
)


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(spec: Obj) -> None:
        container = pick(spec["containers"], args["container"], "container")
        repository = str(container["image"]).rpartition("/")[2]
        container["image"] = f"{args['registry']}/{repository}"
        if args["secret"]:
            spec["imagePullSecrets"] = [{"name": args["secret"]}]

    return edit_pods(world, args, change)


def _fits(world: World) -> Iterator[Target]:
    for owner in workloads(world):
        registry = one_of(world, "missing-image-pull-secret", owner, _REGISTRIES)
        yield from both_ways(on_container(world, owner, registry=registry))


FAULT = register(
    Fault(
        id="missing-image-pull-secret",
        title="a workload takes its image from a private registry with a secret that is not there",
        parameters={
            **CONTAINER,
            **ANEW,
            "registry": Parameter("host and organisation of the private registry", "ghcr.io/private"),
            "secret": Parameter("name of the secret; none where empty", "registry-credentials"),
        },
        inject=_inject,
        shows="waiting:ImagePullBackOff",
        aliases=("missing_image_pull_secret",),
        family="image",
        category="Configuration Setting",
        text=(
            "The image of a workload was moved to a private registry, and the workload names a "
            "pull secret that is not there. New pods are refused the image."
        ),
        fits=_fits,
    )
)
