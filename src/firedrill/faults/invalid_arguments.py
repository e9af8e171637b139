"""a container gets an option that its program does not know."""

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
        container["args"] = [*(container.get("args") or ()), str(args["option"])]

    return edit_container(world, args, change)


FAULT = register(
    Fault(
        id="invalid-arguments",
        title="a container gets an option that its program does not know",
        parameters={**CONTAINER, "option": Parameter("the option", "--enable-turbo-mode")},
        inject=_inject,
        shows="restarts",
        aliases=("invalid_arguments",),
    )
)
