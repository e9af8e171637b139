"""an experiment takes a workload's pods out of service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome
from firedrill.faults._chaos import LACKS, TIMED, aim, begin, users_of
from firedrill.faults.base import Fault, Target, register

if TYPE_CHECKING:
    from firedrill.world import World

ID = "chaos-pod-failure"
_NAMES = ("{}-pod-failure", "{}-outage", "{}-unavailable")


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return begin(world, args, "PodChaos", {"action": "pod-failure"})


def _fits(world: World) -> Iterator[Target]:
    for owner, _ in users_of(world):
        yield aim(world, ID, owner, _NAMES)


FAULT = register(
    Fault(
        id=ID,
        title="an experiment takes a workload's pods out of service",
        parameters=TIMED,
        inject=_inject,
        shows="failing|gone|restarts",
        family="chaos",
        category="Chaos",
        text=(
            "An experiment of Chaos Mesh puts another image into the pods of a workload, which does "
            "nothing. Their containers are restarted with it, and nobody listens any more."
        ),
        spreads="workload",
        fits=_fits,
        lacks=LACKS,
    )
)
