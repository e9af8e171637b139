"""a node runs short of memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import NODE, Outcome, press
from firedrill.faults.base import Fault, register
from firedrill.faults.fitting import each_node

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return press(world, args["node"], "memory")


FAULT = register(
    Fault(
        id="node-memory-pressure",
        title="a node runs short of memory",
        parameters=NODE,
        inject=_inject,
        shows="node:MemoryPressure",
        aliases=("node_memory_pressure",),
        family="node",
        category="Resource Unavailable",
        text=(
            "A node runs short of memory. Its kubelet evicts pods, those first that use more than "
            "they asked for, and takes no new ones."
        ),
        spreads="node",
        fits=each_node,
        repair=None,
        diagnosis="no call of the API frees what a machine has run out of",
    )
)
