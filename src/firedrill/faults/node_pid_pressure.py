"""a node runs short of process numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import NODE, Outcome, press
from firedrill.faults.base import Fault, register
from firedrill.faults.fitting import each_node

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
        family="node",
        category="Resource Unavailable",
        text="A node runs out of process numbers. It says so, takes no new pods, and its kubelet evicts one "
        "pod after the other.",
        spreads="node",
        fits=each_node,
        repair=None,
        diagnosis="no call of the API frees what a machine has run out of",
    )
)
