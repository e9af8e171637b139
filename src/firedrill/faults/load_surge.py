"""far more users come than usual."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.core.errors import InputError
from firedrill.faults._aiming import front, load_generator
from firedrill.faults._changes import CONTAINER, Outcome, edit_container, pick
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import on_workload

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


_FACTORS = (20, 60)
"""Users are so many times as many: what the one application carries, is too much for another."""


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(container: Obj) -> None:
        entry = pick(container.get("env") or [], args["variable"], "variable")
        text = str(entry.get("value") or "")
        if not text.isdecimal():
            raise InputError(f"{text!r} is no number", field="variable", mend="name one with a number")
        entry["value"] = str(int(text) * int(args["factor"]))

    return edit_container(world, args, change)


def _fits(world: World) -> Iterator[Target]:
    found = load_generator(world)
    if found is not None:
        owner, container, variable = found
        args = on_workload(owner, container=container["name"], variable=variable).args
        for factor in _FACTORS:
            yield Target({**args, "factor": factor}, front(world))


FAULT = register(
    Fault(
        id="load-surge",
        title="far more users come than usual",
        parameters={
            **CONTAINER,
            "variable": Parameter("variable of the load generator with the number of users or the rate"),
            "factor": Parameter("how many times as many", 20),
        },
        inject=_inject,
        shows="surging",
        within=600_000,
        family="load",
        category="Load",
        text="Many times the usual number of users come, as after an advertisement. What has room carries "
        "them; what has not, gets slow and turns users away.",
        fits=_fits,
        lacks="nobody says how many users there are",
    )
)
