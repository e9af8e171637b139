"""a new release listens at another port."""

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
            moved = tuple(
                replace(item, port=item.port + int(args["shift"]), env="") for item in program.listens
            )
            return replace(program, listens=moved)

        container["image"] = publish(world, str(container["image"]), release)

    return edit_pods(world, args, change)


def _fits(world: World) -> Iterator[Target]:
    for owner in fitting.workloads(world):
        item = fitting.main_container(world, owner)
        if known(world, str(item.get("image"))) and item.get("ports"):
            yield fitting.on_container(world, owner)


FAULT = register(
    Fault(
        id="release-listens-elsewhere",
        title="a new release of a program listens at another port",
        parameters={
            **CONTAINER,
            **ANEW,
            "shift": Parameter("how far the port is from the old one", 1),
        },
        inject=_inject,
        shows="unheard",
        family="application",
        category="Change",
        text="The next release of the program was rolled out. Its port is another one now, whatever the "
        "manifest says: probes and callers ask where nobody listens.",
        fits=both(_fits),
        lacks="no program of the application names a port",
    )
)
