"""an experiment slows the disk of a workload down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome
from firedrill.faults._chaos import TIMED, aim, begin, disks
from firedrill.faults._variants import one_of
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World

ID = "chaos-io-latency"
_NAMES = ("{}-io-latency", "{}-slow-disk", "{}-disk-delay")


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return begin(
        world,
        args,
        "IOChaos",
        {
            "action": "latency",
            "volumePath": str(args["path"]),
            "percent": int(args["percent"]),
            "delay": str(args["delay"]),
        },
    )


def _fits(world: World) -> Iterator[Target]:
    for owner, path in disks(world):
        yield aim(
            world,
            ID,
            owner,
            _NAMES,
            path=path,
            percent=100,
            delay=one_of(world, ID, owner, ("1s", "2s", "3s")),
        )


FAULT = register(
    Fault(
        id=ID,
        title="an experiment slows the disk of a workload down",
        parameters={
            **TIMED,
            "path": Parameter("where the volume is mounted", None),
            "percent": Parameter("share of the operations, in per cent", 100),
            "delay": Parameter("how long", "1s"),
        },
        inject=_inject,
        shows="late",
        family="chaos",
        category="Chaos",
        text=(
            "An experiment of Chaos Mesh delays what a workload does to the files of a volume. Its "
            "requests wait for it."
        ),
        spreads="workload",
        fits=_fits,
        lacks="no workload keeps data on a volume, or there is no Chaos Mesh",
    )
)
