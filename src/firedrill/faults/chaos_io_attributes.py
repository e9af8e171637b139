"""an experiment changes the permissions of a workload's files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome
from firedrill.faults._chaos import TIMED, aim, begin, disks
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World

ID = "chaos-io-attributes"
_NAMES = ("{}-io-attributes", "{}-file-permissions", "{}-readonly-files")


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return begin(
        world,
        args,
        "IOChaos",
        {
            "action": "attrOverride",
            "volumePath": str(args["path"]),
            "percent": int(args["percent"]),
            "attr": {"perm": int(args["perm"])},
        },
    )


def _fits(world: World) -> Iterator[Target]:
    for owner, path in disks(world):
        yield aim(world, ID, owner, _NAMES, path=path, percent=100, perm=72)


FAULT = register(
    Fault(
        id=ID,
        title="an experiment changes the permissions of a workload's files",
        parameters={
            **TIMED,
            "path": Parameter("where the volume is mounted", None),
            "percent": Parameter("share of the operations, in per cent", 100),
            "perm": Parameter("the permissions", 72),
        },
        inject=_inject,
        shows="failing",
        family="chaos",
        category="Chaos",
        text=(
            "An experiment of Chaos Mesh shows a workload other permissions of the files of a volume. "
            "It may no longer read them."
        ),
        spreads="workload",
        fits=_fits,
        lacks="no workload keeps data on a volume, or there is no Chaos Mesh",
    )
)
