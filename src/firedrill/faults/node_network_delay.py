"""packets of a node arrive late."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import NODE, Outcome, disturb
from firedrill.faults._variants import one_of
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import each_node

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return disturb(world, args, {"delay_ms": int(args["delay_ms"])})


def _fits(world: World) -> Iterator[Target]:
    for target in each_node(world):
        delay = one_of(world, "node-network-delay", target.args["node"], (800, 1200, 2000))
        yield Target({**target.args, "delay_ms": delay}, target.about)


FAULT = register(
    Fault(
        id="node-network-delay",
        title="packets of a node arrive late",
        parameters={**NODE, "delay_ms": Parameter("delay of each packet in ms", 800)},
        inject=_inject,
        shows="effect",
        aliases=("node_network_delay",),
        family="network",
        category="Network",
        text=("Packets that come from or go to a node arrive late. All calls from and to its pods are slow."),
        spreads="node",
        fits=_fits,
        repair=None,
        diagnosis="the network of a machine is no object of the API",
    )
)
