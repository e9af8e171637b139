"""an experiment lets the disk of a workload fail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome
from firedrill.faults._chaos import TIMED, aim, begin, disks
from firedrill.faults._variants import one_of
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World

ID = "chaos-io-errors"
_NAMES = ("{}-io-errors", "{}-disk-errors", "{}-disk")


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return begin(
        world,
        args,
        "IOChaos",
        {
            "action": "fault",
            "volumePath": str(args["path"]),
            "percent": int(args["percent"]),
            "errno": int(args["errno"]),
        },
    )


def _fits(world: World) -> Iterator[Target]:
    for owner, path in disks(world):
        yield aim(world, ID, owner, _NAMES, path=path, percent=50, errno=one_of(world, ID, owner, (5, 28)))


FAULT = register(
    Fault(
        id=ID,
        title="an experiment lets the disk of a workload fail",
        parameters={
            **TIMED,
            "path": Parameter("where the volume is mounted", None),
            "percent": Parameter("share of the operations, in per cent", 100),
            "errno": Parameter("number of the error", 5),
        },
        inject=_inject,
        shows="failing",
        family="chaos",
        category="Chaos",
        text=(
            "An experiment of Chaos Mesh lets what a workload does to the files of a volume fail with "
            "an error of the system."
        ),
        spreads="workload",
        fits=_fits,
        lacks="no workload keeps data on a volume, or there is no Chaos Mesh",
    )
)
