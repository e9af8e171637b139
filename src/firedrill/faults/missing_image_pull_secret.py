"""a workload takes its image from a private registry with a secret that is not there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import CONTAINER, Outcome, edit_pods, pick
from firedrill.faults.base import Fault, Parameter, register

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(spec: Obj) -> None:
        container = pick(spec["containers"], args["container"], "container")
        repository = str(container["image"]).rpartition("/")[2]
        container["image"] = f"{args['registry']}/{repository}"
        if args["secret"]:
            spec["imagePullSecrets"] = [{"name": args["secret"]}]

    return edit_pods(world, args, change)


FAULT = register(
    Fault(
        id="missing-image-pull-secret",
        title="a workload takes its image from a private registry with a secret that is not there",
        parameters={
            **CONTAINER,
            "registry": Parameter("host and organisation of the private registry", "ghcr.io/private"),
            "secret": Parameter("name of the secret; none where empty", "registry-credentials"),
        },
        inject=_inject,
        shows="waiting:ImagePullBackOff",
        aliases=("missing_image_pull_secret",),
    )
)
