"""an experiment sets the clock of a workload wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome
from firedrill.faults._chaos import TIMED, aim, begin, users_of
from firedrill.faults._variants import one_of
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World

ID = "chaos-clock-skew"
_NAMES = ("{}-time-skew", "{}-clock-skew", "{}-time-shift")


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return begin(
        world, args, "TimeChaos", {"timeOffset": str(args["offset"]), "clockIds": ["CLOCK_REALTIME"]}
    )


def _fits(world: World) -> Iterator[Target]:
    for owner, service in users_of(world):
        if any(operation.clock_ms for operation in service.operations):
            yield aim(
                world, ID, owner, _NAMES, offset=one_of(world, ID, owner, ("26280h", "43800h", "87600h"))
            )


FAULT = register(
    Fault(
        id=ID,
        title="an experiment sets the clock of a workload wrong",
        parameters={
            **TIMED,
            "offset": Parameter("by how much", "26280h"),
        },
        inject=_inject,
        shows="failing",
        family="chaos",
        category="Chaos",
        text=(
            "An experiment of Chaos Mesh shifts the clock of a workload's containers by months. What "
            "compares dates with it, such as those of cards and tokens, refuses what is good."
        ),
        spreads="workload",
        fits=_fits,
        lacks="no program there compares dates with its clock, or there is no Chaos Mesh",
    )
)
