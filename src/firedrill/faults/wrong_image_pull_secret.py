"""a workload takes its image from a private registry with the credentials of another one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import ANEW, CONTAINER, Outcome, add, edit_pods, pick, pull_secret
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
        container["image"] = f"{args['registry']}/{str(container['image']).rpartition('/')[2]}"
        spec["imagePullSecrets"] = [{"name": args["secret"]}]

    made = add(world, pull_secret(args["namespace"], args["secret"], args["other"]))
    causes, undo = edit_pods(world, args, change)
    return (f"{args['namespace']}/Secret/{args['secret']}", *causes), (*undo, made)


def _fits(world: World) -> Iterator[Target]:
    for owner in workloads(world):
        registry = one_of(world, "wrong-image-pull-secret", owner, _REGISTRIES)
        yield from both_ways(on_container(world, owner, registry=registry))


FAULT = register(
    Fault(
        id="wrong-image-pull-secret",
        title="a workload takes its image from a private registry with the credentials of another one",
        parameters={
            **CONTAINER,
            **ANEW,
            "registry": Parameter("host and organisation of the private registry", "ghcr.io/private"),
            "secret": Parameter("name of the Secret", "registry-login-2"),
            "other": Parameter("the registry that the Secret is for", "registry.gitlab.com"),
        },
        inject=_inject,
        shows="waiting:ImagePullBackOff",
        aliases=("wrong_image_pull_secret",),
        family="credentials",
        category="Configuration Setting",
        text=(
            "The image of a workload was moved to a private registry, and the workload got a pull "
            "secret with the login of another registry. New pods are refused the image."
        ),
        fits=_fits,
    )
)
