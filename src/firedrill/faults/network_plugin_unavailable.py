"""the network plugin of a node stops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import NODE, Outcome, stop_part
from firedrill.faults.base import Fault, register
from firedrill.faults.fitting import each_node

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return stop_part(world, args["node"], "network")


FAULT = register(
    Fault(
        id="network-plugin-unavailable",
        title="the network plugin of a node stops",
        parameters=NODE,
        inject=_inject,
        shows="node:NotReady",
        aliases=(
            "network_plugin_unavailable",
            "cni-unavailable",
        ),
        family="network",
        category="Network",
        text=(
            "The network plugin of a node stopped. The node says that its network is not ready, "
            "new pods get no address there, and its pods leave their Services."
        ),
        spreads="node",
        fits=each_node,
        repair=None,
        diagnosis="no call of the API starts a part of a machine again: somebody has to log in to it",
    )
)
