"""an experiment lets a method throw an exception."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome
from firedrill.faults._chaos import TIMED, aim, begin, machines
from firedrill.faults._variants import one_of
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World

ID = "chaos-jvm-exception"
_NAMES = ("{}-jvm-exception", "{}-exception", "throw-{}")
_THROWN = (
    'java.io.IOException("connection reset by peer")',
    'java.lang.IllegalStateException("cache is not initialized")',
    'java.util.concurrent.TimeoutException("no answer within 1000 ms")',
)


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return begin(
        world,
        args,
        "JVMChaos",
        {
            "action": "exception",
            "class": str(args["class"]),
            "method": str(args["method"]),
            "port": 9277,
            "exception": str(args["exception"]),
        },
    )


def _fits(world: World) -> Iterator[Target]:
    for owner, kind, method in machines(world):
        where: dict[str, Any] = {"class": kind, "method": method}
        yield aim(world, ID, owner, _NAMES, **where, exception=one_of(world, ID, owner, _THROWN))


FAULT = register(
    Fault(
        id=ID,
        title="an experiment lets a method throw an exception",
        parameters={
            **TIMED,
            "class": Parameter("class in the program", None),
            "method": Parameter("method of that class", None),
            "exception": Parameter("what is thrown", 'java.io.IOException("connection reset by peer")'),
        },
        inject=_inject,
        shows="failing",
        family="chaos",
        category="Chaos",
        text=(
            "An experiment of Chaos Mesh lets a method in a Java machine throw an exception whenever "
            "it is called. The operations that run through it fail."
        ),
        spreads="workload",
        fits=_fits,
        lacks="no program there runs in a Java machine, or there is no Chaos Mesh",
    )
)
