"""a node runs short of process numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import NODE, Outcome, press
from firedrill.faults.base import Fault, register

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return press(world, args["node"], "pid")


FAULT = register(
    Fault(
        id="node-pid-pressure",
        title="a node runs short of process numbers",
        parameters=NODE,
        inject=_inject,
        shows="node:PIDPressure",
        aliases=("node_pid_pressure",),
    )
)
