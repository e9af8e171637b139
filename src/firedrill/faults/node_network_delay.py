"""packets of a node arrive late."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import NODE, Outcome, disturb
from firedrill.faults.base import Fault, Parameter, register

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return disturb(world, args, {"delay_ms": int(args["delay_ms"])})


FAULT = register(
    Fault(
        id="node-network-delay",
        title="packets of a node arrive late",
        parameters={**NODE, "delay_ms": Parameter("delay of each packet in ms", 800)},
        inject=_inject,
        shows="effect",
        aliases=("node_network_delay",),
    )
)
