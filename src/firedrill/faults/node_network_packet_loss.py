"""packets of a node get lost."""

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
    return disturb(world, args, {"loss": int(args["percent"]) * 10})


def _fits(world: World) -> Iterator[Target]:
    for target in each_node(world):
        percent = one_of(world, "node-network-packet-loss", target.args["node"], (20, 30, 40, 60))
        yield Target({**target.args, "percent": percent}, target.about)


FAULT = register(
    Fault(
        id="node-network-packet-loss",
        title="packets of a node get lost",
        parameters={**NODE, "percent": Parameter("share of the packets that are lost, in per cent", 40)},
        inject=_inject,
        shows="effect",
        aliases=("node_network_packet_loss",),
        family="network",
        category="Network",
        text="A node loses packets. Calls from and to its pods are slow, and some time out.",
        spreads="node",
        fits=_fits,
        repair=None,
        diagnosis="the network of a machine is no object of the API",
    )
)
