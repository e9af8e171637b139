"""the scheduler stops: what is pending stays pending, and nobody says why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome, stop_part
from firedrill.faults.base import Fault, Parameter, register

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return stop_part(world, args["node"], "kube-scheduler")


FAULT = register(
    Fault(
        id="kube-scheduler-unavailable",
        title="the scheduler stops: what is pending stays pending, and nobody says why",
        parameters={"node": Parameter("the Node that it runs on", "control-plane")},
        inject=_inject,
        shows="pending-next",
        aliases=("kube_scheduler_unavailable",),
    )
)
