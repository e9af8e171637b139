"""a network experiment throws packets of a workload away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome
from firedrill.faults._chaos import LACKS, TIMED, aim, begin, users_of
from firedrill.faults._variants import one_of
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World

ID = "chaos-network-loss"
_NAMES = ("{}-packet-loss", "{}-network-loss", "lossy-{}")


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return begin(
        world,
        args,
        "NetworkChaos",
        {"action": "loss", "direction": "to", "loss": {"loss": str(args["percent"]), "correlation": "25"}},
    )


def _fits(world: World) -> Iterator[Target]:
    for owner, _ in users_of(world):
        yield aim(world, ID, owner, _NAMES, percent=one_of(world, ID, owner, (30, 40, 60)))


FAULT = register(
    Fault(
        id=ID,
        title="a network experiment throws packets of a workload away",
        parameters={
            **TIMED,
            "percent": Parameter("share of the packets, in per cent", 40),
        },
        inject=_inject,
        shows="late",
        family="chaos",
        category="Chaos",
        text=(
            "An experiment of Chaos Mesh throws a share of the packets away that the pods of a "
            "workload send. They are sent again after longer and longer pauses, and some calls take "
            "seconds."
        ),
        spreads="workload",
        fits=_fits,
        lacks=LACKS,
    )
)
