"""a network experiment garbles packets of a workload."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome
from firedrill.faults._chaos import LACKS, TIMED, aim, begin, users_of
from firedrill.faults._variants import one_of
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World

ID = "chaos-network-corrupt"
_NAMES = ("{}-packet-corruption", "{}-network-corrupt", "corrupt-{}")


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return begin(
        world,
        args,
        "NetworkChaos",
        {
            "action": "corrupt",
            "direction": "to",
            "corrupt": {"corrupt": str(args["percent"]), "correlation": "25"},
        },
    )


def _fits(world: World) -> Iterator[Target]:
    for owner, _ in users_of(world):
        yield aim(world, ID, owner, _NAMES, percent=one_of(world, ID, owner, (30, 40, 60)))


FAULT = register(
    Fault(
        id=ID,
        title="a network experiment garbles packets of a workload",
        parameters={
            **TIMED,
            "percent": Parameter("share of the packets, in per cent", 40),
        },
        inject=_inject,
        shows="late",
        family="chaos",
        category="Chaos",
        text=(
            "An experiment of Chaos Mesh garbles a share of the packets that the pods of a workload "
            "send. Their checksums are wrong, so that they are thrown away and sent again."
        ),
        spreads="workload",
        fits=_fits,
        lacks=LACKS,
    )
)
