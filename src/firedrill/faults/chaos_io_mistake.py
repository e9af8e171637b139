"""an experiment lets a workload read wrong bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome
from firedrill.faults._chaos import TIMED, aim, begin, disks
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World

ID = "chaos-io-mistake"
_NAMES = ("{}-io-mistake", "{}-disk-corruption", "{}-bad-reads")


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return begin(
        world,
        args,
        "IOChaos",
        {
            "action": "mistake",
            "volumePath": str(args["path"]),
            "percent": int(args["percent"]),
            "methods": ["READ"],
            "mistake": {"filling": "random", "maxOccurrences": 10, "maxLength": 64},
        },
    )


def _fits(world: World) -> Iterator[Target]:
    for owner, path in disks(world):
        yield aim(world, ID, owner, _NAMES, path=path, percent=60)


FAULT = register(
    Fault(
        id=ID,
        title="an experiment lets a workload read wrong bytes",
        parameters={
            **TIMED,
            "path": Parameter("where the volume is mounted", None),
            "percent": Parameter("share of the operations, in per cent", 100),
        },
        inject=_inject,
        shows="failing",
        family="chaos",
        category="Chaos",
        text=(
            "An experiment of Chaos Mesh fills what a workload reads from a volume with wrong bytes. "
            "It cannot make sense of its own data."
        ),
        spreads="workload",
        fits=_fits,
        lacks="no workload keeps data on a volume, or there is no Chaos Mesh",
    )
)
