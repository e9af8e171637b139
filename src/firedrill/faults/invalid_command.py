"""a container is told to run a program that its image does not have."""

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

_COMMANDS = ("/app/start-server", "/usr/local/bin/serve", "/opt/bin/entrypoint-v2.sh", "/app/bin/runserver")


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(container: Obj) -> None:
        container["command"] = [str(args["command"])]

    return edit_container(world, args, change)


def _fits(world: World) -> Iterator[Target]:
    for owner in workloads(world):
        command = one_of(world, "invalid-command", owner, _COMMANDS)
        yield from both_ways(on_container(world, owner, command=command))


FAULT = register(
    Fault(
        id="invalid-command",
        title="a container is told to run a program that its image does not have",
        parameters={**CONTAINER, **ANEW, "command": Parameter("the program", "/app/start-server")},
        inject=_inject,
        shows="restarts",
        aliases=(
            "invalid_command",
            "misconfigured-command",
        ),
        family="start-up",
        category="Configuration Setting",
        text=("A container was told to run a program that its image does not have. It cannot be started."),
        fits=_fits,
    )
)
