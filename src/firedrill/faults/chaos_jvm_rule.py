"""an experiment runs a rule in a method of a Java machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome
from firedrill.faults._chaos import TIMED, aim, begin, machines
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World

ID = "chaos-jvm-rule"
_NAMES = ("{}-jvm-rule", "{}-modify-return", "{}-byteman")
_RULE = "RULE modify return value\nCLASS {class}\nMETHOD {method}\nAT ENTRY\nIF true\nDO return null\nENDRULE"


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return begin(
        world,
        args,
        "JVMChaos",
        {
            "action": "ruleData",
            "port": 9277,
            "ruleData": _RULE.format(**{key: args[key] for key in ("class", "method")}),
        },
    )


def _fits(world: World) -> Iterator[Target]:
    for owner, kind, method in machines(world):
        where: dict[str, Any] = {"class": kind, "method": method}
        yield aim(world, ID, owner, _NAMES, **where)


FAULT = register(
    Fault(
        id=ID,
        title="an experiment runs a rule in a method of a Java machine",
        parameters={
            **TIMED,
            "class": Parameter("class in the program", None),
            "method": Parameter("method of that class", None),
        },
        inject=_inject,
        shows="failing",
        family="chaos",
        category="Chaos",
        text=(
            "An experiment of Chaos Mesh runs a rule in a method of a Java machine, which leaves it "
            "at once with nothing. The operations that run through it fail on it."
        ),
        spreads="workload",
        fits=_fits,
        lacks="no program there runs in a Java machine, or there is no Chaos Mesh",
    )
)
