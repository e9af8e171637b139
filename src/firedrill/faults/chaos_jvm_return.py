"""an experiment lets a method return something else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome
from firedrill.faults._chaos import TIMED, aim, begin, machines
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World

ID = "chaos-jvm-return"
_NAMES = ("{}-jvm-return", "{}-return-value", "{}-null-return")


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return begin(
        world,
        args,
        "JVMChaos",
        {
            "action": "return",
            "class": str(args["class"]),
            "method": str(args["method"]),
            "port": 9277,
            "returnValue": str(args["returned"]),
        },
    )


def _fits(world: World) -> Iterator[Target]:
    for owner, kind, method in machines(world):
        where: dict[str, Any] = {"class": kind, "method": method}
        yield aim(world, ID, owner, _NAMES, **where, returned="null")


FAULT = register(
    Fault(
        id=ID,
        title="an experiment lets a method return something else",
        parameters={
            **TIMED,
            "class": Parameter("class in the program", None),
            "method": Parameter("method of that class", None),
            "returned": Parameter("the value", "null"),
        },
        inject=_inject,
        shows="failing",
        family="chaos",
        category="Chaos",
        text=(
            "An experiment of Chaos Mesh lets a method in a Java machine return another value than it "
            "would. The operations that run through it fail on it."
        ),
        spreads="workload",
        fits=_fits,
        lacks="no program there runs in a Java machine, or there is no Chaos Mesh",
    )
)
