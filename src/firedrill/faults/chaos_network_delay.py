"""a network experiment makes packets of a workload late."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome
from firedrill.faults._chaos import LACKS, TIMED, aim, begin, users_of
from firedrill.faults._variants import one_of
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World

ID = "chaos-network-delay"
_NAMES = ("{}-network-delay", "{}-latency", "delay-{}", "{}-slow-network")


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return begin(
        world,
        args,
        "NetworkChaos",
        {
            "action": "delay",
            "direction": "to",
            "delay": {"latency": str(args["latency"]), "jitter": str(args["jitter"]), "correlation": "25"},
        },
    )


def _fits(world: World) -> Iterator[Target]:
    for owner, _ in users_of(world):
        yield aim(
            world,
            ID,
            owner,
            _NAMES,
            latency=one_of(world, ID, owner, ("500ms", "800ms", "1500ms", "3s")),
            jitter="50ms",
        )


FAULT = register(
    Fault(
        id=ID,
        title="a network experiment makes packets of a workload late",
        parameters={
            **TIMED,
            "latency": Parameter("delay of each packet", "800ms"),
            "jitter": Parameter("by how much that varies", "50ms"),
        },
        inject=_inject,
        shows="late",
        family="chaos",
        category="Chaos",
        text=(
            "An experiment of Chaos Mesh delays every packet that the pods of a workload send. All "
            "that they answer, and all that they ask for, takes longer."
        ),
        spreads="workload",
        fits=_fits,
        lacks=LACKS,
    )
)
