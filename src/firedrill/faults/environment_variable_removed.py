"""a program is not told something that it cannot start without."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.core.errors import InputError
from firedrill.faults import fitting
from firedrill.faults._aiming import both, programs
from firedrill.faults._changes import ANEW, CONTAINER, Outcome, edit_container
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(container: Obj) -> None:
        kept = [item for item in container.get("env") or () if item.get("name") != args["variable"]]
        if len(kept) == len(container.get("env") or ()):
            raise InputError(
                f"the container has no variable {args['variable']!r}", field="variable", mend="name another"
            )
        container["env"] = kept

    return edit_container(world, args, change)


def _fits(world: World) -> Iterator[Target]:
    """Variables of which the graph says that the program needs them."""
    for owner, service in programs(world):
        there = {item.get("name") for item in fitting.main_container(world, owner).get("env") or ()}
        for name in (*service.needs.env, *service.needs.secrets, *service.needs.hosts):
            if name in there:
                yield fitting.on_container(world, owner, variable=name)


FAULT = register(
    Fault(
        id="environment-variable-removed",
        title="a program is not told something that it cannot start without",
        parameters={**CONTAINER, **ANEW, "variable": Parameter("name of the environment variable")},
        inject=_inject,
        shows="troubled",
        family="configuration",
        category="Configuration Setting",
        text="A variable was dropped when the manifest was tidied up. The program looks for it at the start, "
        "does not find it, and ends.",
        fits=both(_fits),
        lacks="no program of the application says what it needs",
    )
)
