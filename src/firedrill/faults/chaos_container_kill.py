"""an experiment kills a container of a workload every minute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome
from firedrill.faults._chaos import LACKS, TIMED, aim, begin, users_of
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World

ID = "chaos-container-kill"
_NAMES = ("{}-container-kill", "restart-{}", "{}-crash")


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return begin(
        world, args, "PodChaos", {"action": "container-kill", "containerNames": [str(args["container"])]}
    )


def _fits(world: World) -> Iterator[Target]:
    for owner, service in users_of(world):
        yield aim(
            world,
            ID,
            owner,
            _NAMES,
            container=service.container,
            lasting=False,
            every=("* * * * *", "@every 30s"),
            duration="",
        )


FAULT = register(
    Fault(
        id=ID,
        title="an experiment kills a container of a workload every minute",
        parameters={
            **TIMED,
            "container": Parameter("name of the container", None),
        },
        inject=_inject,
        shows="restarts",
        family="chaos",
        category="Chaos",
        text=(
            "A schedule of Chaos Mesh kills the main container of a workload's pods again and again. "
            "The kubelet restarts it, after longer and longer pauses."
        ),
        spreads="workload",
        fits=_fits,
        lacks=LACKS,
    )
)
