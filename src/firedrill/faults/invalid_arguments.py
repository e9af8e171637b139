"""a container gets an option that its program does not know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import ANEW, CONTAINER, Outcome, edit_container
from firedrill.faults._variants import one_of
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import both_ways, main_container, on_container, workloads
from firedrill.world.kube.programs.catalogue import program_of
from firedrill.world.kube.programs.launch import unknown_option
from firedrill.world.kube.programs.reference import parse_reference

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj

_OPTIONS = (
    "--enable-turbo-mode",
    "--max-worker-threads=8",
    "--log-fromat=json",
    "--use-http3",
    "--tracing.sampel=1",
)


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(container: Obj) -> None:
        container["args"] = [*(container.get("args") or ()), str(args["option"])]

    return edit_container(world, args, change)


def _fits(world: World) -> Iterator[Target]:
    for owner in workloads(world):
        option = one_of(world, "invalid-arguments", owner, _OPTIONS)
        if _is_read(world, main_container(world, owner), option):
            yield from both_ways(on_container(world, owner, option=option))


def _is_read(world: World, container: Obj, option: str) -> bool:
    """Whether the program looks at its options: those that do not run on as before."""
    reference = parse_reference(str(container["image"]))
    if reference is None:
        return False
    return bool(unknown_option(program_of(world, reference), {**container, "args": [option]}))


FAULT = register(
    Fault(
        id="invalid-arguments",
        title="a container gets an option that its program does not know",
        parameters={**CONTAINER, **ANEW, "option": Parameter("the option", "--enable-turbo-mode")},
        inject=_inject,
        shows="restarts",
        aliases=("invalid_arguments",),
        family="start-up",
        category="Configuration Setting",
        text=(
            "A container was given an option that its program does not know. The program says so and ends."
        ),
        fits=_fits,
        lacks="no program of the application looks at its options",
    )
)
