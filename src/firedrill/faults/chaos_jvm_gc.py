"""an experiment lets a Java machine collect garbage all the time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome
from firedrill.faults._chaos import TIMED, aim, begin, machines
from firedrill.faults.base import Fault, Target, register

if TYPE_CHECKING:
    from firedrill.world import World

ID = "chaos-jvm-gc"
_NAMES = ("{}-jvm-gc", "{}-gc", "gc-{}")


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return begin(world, args, "JVMChaos", {"action": "gc", "port": 9277})


def _fits(world: World) -> Iterator[Target]:
    for owner, _, _ in machines(world):
        yield aim(world, ID, owner, _NAMES)


FAULT = register(
    Fault(
        id=ID,
        title="an experiment lets a Java machine collect garbage all the time",
        parameters=TIMED,
        inject=_inject,
        shows="late",
        family="chaos",
        category="Chaos",
        text=(
            "An experiment of Chaos Mesh lets a Java machine collect garbage over and over. While it "
            "does, nothing else runs."
        ),
        spreads="workload",
        fits=_fits,
        lacks="no program there runs in a Java machine, or there is no Chaos Mesh",
    )
)
