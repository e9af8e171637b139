"""a container is killed since what it does after its start fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._aiming import both
from firedrill.faults._changes import ANEW, CONTAINER, Outcome, edit_container
from firedrill.faults.base import Fault, Parameter, register
from firedrill.faults.fitting import each_container

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(container: Obj) -> None:
        hook = {"exec": {"command": ["/bin/sh", "-c", str(args["command"])]}}
        container["lifecycle"] = {**(container.get("lifecycle") or {}), "postStart": hook}

    return edit_container(world, args, change)


FAULT = register(
    Fault(
        id="post-start-hook-fails",
        title="a container is killed right after its start, since its hook fails",
        parameters={
            **CONTAINER,
            **ANEW,
            "command": Parameter("what the hook runs", "/usr/local/bin/register-instance --wait"),
        },
        inject=_inject,
        shows="event:FailedPostStartHook",
        within=300_000,
        family="start-up",
        category="Configuration Setting",
        text="A hook that registers the instance after its start was added. Its program is not in the "
        "image: the hook fails, and the container is killed each time.",
        fits=both(each_container),
    )
)
