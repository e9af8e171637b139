"""an experiment slows a method down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome
from firedrill.faults._chaos import TIMED, aim, begin, machines
from firedrill.faults._variants import one_of
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World

ID = "chaos-jvm-latency"
_NAMES = ("{}-jvm-latency", "{}-method-delay", "slow-{}")


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return begin(
        world,
        args,
        "JVMChaos",
        {
            "action": "latency",
            "class": str(args["class"]),
            "method": str(args["method"]),
            "port": 9277,
            "latency": int(args["latency_ms"]),
        },
    )


def _fits(world: World) -> Iterator[Target]:
    for owner, kind, method in machines(world):
        where: dict[str, Any] = {"class": kind, "method": method}
        yield aim(world, ID, owner, _NAMES, **where, latency_ms=one_of(world, ID, owner, (1500, 2500, 4000)))


FAULT = register(
    Fault(
        id=ID,
        title="an experiment slows a method down",
        parameters={
            **TIMED,
            "class": Parameter("class in the program", None),
            "method": Parameter("method of that class", None),
            "latency_ms": Parameter("how long in ms", 2000),
        },
        inject=_inject,
        shows="late",
        family="chaos",
        category="Chaos",
        text=(
            "An experiment of Chaos Mesh lets a method in a Java machine wait before it does its "
            "work. The operations that run through it are slow."
        ),
        spreads="workload",
        fits=_fits,
        lacks="no program there runs in a Java machine, or there is no Chaos Mesh",
    )
)
