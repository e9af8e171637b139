"""an experiment sends a workload to wrong addresses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome
from firedrill.faults._chaos import TIMED, aim, asked_names, begin
from firedrill.faults._variants import one_of
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World

ID = "chaos-dns-random"
_NAMES = ("{}-dns-random", "{}-wrong-dns", "{}-name-resolution")


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return begin(world, args, "DNSChaos", {"action": "random", "patterns": [str(args["pattern"])]})


def _fits(world: World) -> Iterator[Target]:
    for owner, names in asked_names(world):
        pattern = one_of(world, ID, owner, ("*", *(f"{name}*" for name in names)))
        yield aim(world, ID, owner, _NAMES, pattern=pattern)


FAULT = register(
    Fault(
        id=ID,
        title="an experiment sends a workload to wrong addresses",
        parameters={
            **TIMED,
            "pattern": Parameter("names that are hit; `*` stands for anything", "*"),
        },
        inject=_inject,
        shows="failing|slow|lagging",
        family="chaos",
        category="Chaos",
        text=(
            "An experiment of Chaos Mesh answers the questions of a workload's pods for names with "
            "addresses drawn at random. Nobody answers there, and its calls wait in vain."
        ),
        spreads="edges",
        fits=_fits,
        lacks="no workload calls others by name, or there is no Chaos Mesh",
    )
)
