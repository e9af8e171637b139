"""packets of a node get lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import NODE, Outcome, disturb
from firedrill.faults.base import Fault, Parameter, register

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return disturb(world, args, {"loss": int(args["percent"]) * 10})


FAULT = register(
    Fault(
        id="node-network-packet-loss",
        title="packets of a node get lost",
        parameters={**NODE, "percent": Parameter("share of the packets that are lost, in per cent", 40)},
        inject=_inject,
        shows="effect",
        aliases=("node_network_packet_loss",),
    )
)
