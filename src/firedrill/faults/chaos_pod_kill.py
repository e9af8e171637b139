"""an experiment kills a workload's pods every minute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome
from firedrill.faults._chaos import LACKS, TIMED, aim, begin, users_of
from firedrill.faults.base import Fault, Target, register

if TYPE_CHECKING:
    from firedrill.world import World

ID = "chaos-pod-kill"
_NAMES = ("{}-pod-kill", "kill-{}", "{}-resilience")


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return begin(world, args, "PodChaos", {"action": "pod-kill"})


def _fits(world: World) -> Iterator[Target]:
    for owner, _ in users_of(world):
        yield aim(world, ID, owner, _NAMES, lasting=False, every=("* * * * *", "@every 30s"), duration="")


FAULT = register(
    Fault(
        id=ID,
        title="an experiment kills a workload's pods every minute",
        parameters=TIMED,
        inject=_inject,
        shows="gone|failing|restarts",
        family="chaos",
        category="Chaos",
        text=(
            "A schedule of Chaos Mesh deletes the pods of a workload again and again. Requests under "
            "way break off, and there is nobody to ask until new pods have started."
        ),
        spreads="workload",
        fits=_fits,
        lacks=LACKS,
    )
)
