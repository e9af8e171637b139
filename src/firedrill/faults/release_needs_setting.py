"""a new release needs a variable that nobody has set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from firedrill.faults import fitting
from firedrill.faults._aiming import both
from firedrill.faults._changes import ANEW, CONTAINER, Outcome, edit_pods, pick
from firedrill.faults._releases import known, publish
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj
    from firedrill.world.kube.programs import Program


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(spec: Obj) -> None:
        container = pick(spec["containers"], args["container"], "container")

        def release(program: Program) -> Program:
            return replace(program, needs_env=(*program.needs_env, str(args["variable"])))

        container["image"] = publish(world, str(container["image"]), release)

    return edit_pods(world, args, change)


def _fits(world: World) -> Iterator[Target]:
    for owner in fitting.workloads(world):
        item = fitting.main_container(world, owner)
        if known(world, str(item.get("image"))):
            yield fitting.on_container(world, owner)


FAULT = register(
    Fault(
        id="release-needs-new-setting",
        title="a new release of a program needs a variable that nobody has set",
        parameters={
            **CONTAINER,
            **ANEW,
            "variable": Parameter("name of the variable", "DATA_REGION"),
        },
        inject=_inject,
        shows="restarts",
        family="application",
        category="Change",
        text="The next release of the program was rolled out. It wants to be told something that older "
        "ones did not, nobody set it, and the program ends as soon as it starts.",
        fits=both(_fits),
        lacks="no image of the application is known",
    )
)
