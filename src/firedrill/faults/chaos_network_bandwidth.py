"""a network experiment leaves a workload little bandwidth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome
from firedrill.faults._chaos import LACKS, TIMED, aim, begin, users_of
from firedrill.faults._variants import one_of
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World

ID = "chaos-network-bandwidth"
_NAMES = ("{}-bandwidth", "{}-rate-limit", "throttle-{}-network")


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return begin(
        world,
        args,
        "NetworkChaos",
        {
            "action": "bandwidth",
            "direction": "to",
            "bandwidth": {"rate": str(args["rate"]), "limit": 20971, "buffer": 10000},
        },
    )


def _fits(world: World) -> Iterator[Target]:
    for owner, _ in users_of(world):
        yield aim(world, ID, owner, _NAMES, rate=one_of(world, ID, owner, ("1kbps", "2kbps", "3kbps")))


FAULT = register(
    Fault(
        id=ID,
        title="a network experiment leaves a workload little bandwidth",
        parameters={
            **TIMED,
            "rate": Parameter("bytes per second", "2kbps"),
        },
        inject=_inject,
        shows="late",
        family="chaos",
        category="Chaos",
        text=(
            "An experiment of Chaos Mesh bounds what the pods of a workload may send per second. "
            "Answers queue behind each other, and what finds the queue full is lost."
        ),
        spreads="workload",
        fits=_fits,
        lacks=LACKS,
    )
)
