"""an experiment keeps the processors of a workload's pods busy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome
from firedrill.faults._chaos import LACKS, TIMED, aim, begin, users_of
from firedrill.faults._variants import one_of
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World

ID = "chaos-cpu-stress"
_NAMES = ("{}-cpu-stress", "burn-cpu-{}", "{}-cpu-load")


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return begin(
        world,
        args,
        "StressChaos",
        {"stressors": {"cpu": {"workers": int(args["workers"]), "load": int(args["load"])}}},
    )


def _fits(world: World) -> Iterator[Target]:
    for owner, _ in users_of(world):
        yield aim(world, ID, owner, _NAMES, workers=one_of(world, ID, owner, (10, 20, 30)), load=100)


FAULT = register(
    Fault(
        id=ID,
        title="an experiment keeps the processors of a workload's pods busy",
        parameters={
            **TIMED,
            "workers": Parameter("how many threads", 30),
            "load": Parameter("how busy each is, in per cent", 100),
        },
        inject=_inject,
        shows="late",
        family="chaos",
        category="Chaos",
        text=(
            "An experiment of Chaos Mesh runs threads in the containers of a workload that do nothing "
            "but compute. The program itself gets what they leave of its share, and answers late."
        ),
        spreads="workload",
        fits=_fits,
        lacks=LACKS,
    )
)
