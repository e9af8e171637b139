"""a new release does not fit into its memory limit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from firedrill.faults import fitting
from firedrill.faults._aiming import both
from firedrill.faults._changes import ANEW, CONTAINER, Outcome, edit_pods, pick
from firedrill.faults._releases import known, publish
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.world.kube.qos import limit_of

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj
    from firedrill.world.kube.programs import Program


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(spec: Obj) -> None:
        container = pick(spec["containers"], args["container"], "container")

        def release(program: Program) -> Program:
            limit = limit_of(container, "memory")
            return replace(program, memory=max(limit * int(args["percent"]) // 100, program.memory))

        container["image"] = publish(world, str(container["image"]), release)

    return edit_pods(world, args, change)


def _fits(world: World) -> Iterator[Target]:
    for owner in fitting.workloads(world):
        item = fitting.main_container(world, owner)
        if known(world, str(item.get("image"))) and limit_of(item, "memory"):
            yield fitting.on_container(world, owner)


FAULT = register(
    Fault(
        id="release-needs-more-memory",
        title="a new release of a program does not fit into its memory limit",
        parameters={
            **CONTAINER,
            **ANEW,
            "percent": Parameter("what it uses, in per cent of the limit", 130),
        },
        inject=_inject,
        shows="ended:OOMKilled",
        family="application",
        category="Change",
        text="The next release of the program was rolled out. It keeps more in memory than older ones, "
        "more than its limit allows, and is killed when it starts.",
        fits=both(_fits),
        lacks="no program of the application has a memory limit",
    )
)
