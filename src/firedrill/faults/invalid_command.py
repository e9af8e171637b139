"""a container is told to run a program that its image does not have."""

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
        container["command"] = [str(args["command"])]

    return edit_container(world, args, change)


FAULT = register(
    Fault(
        id="invalid-command",
        title="a container is told to run a program that its image does not have",
        parameters={**CONTAINER, "command": Parameter("the program", "/app/start-server")},
        inject=_inject,
        shows="restarts",
        aliases=(
            "invalid_command",
            "misconfigured-command",
        ),
    )
)
