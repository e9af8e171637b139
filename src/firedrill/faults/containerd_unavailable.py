"""the container runtime of a node stops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import NODE, Outcome, stop_part
from firedrill.faults.base import Fault, register
from firedrill.faults.fitting import each_node

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return stop_part(world, args["node"], "containerd")


FAULT = register(
    Fault(
        id="containerd-unavailable",
        title="the container runtime of a node stops",
        parameters=NODE,
        inject=_inject,
        shows="node:NotReady",
        aliases=("containerd_unavailable",),
        family="node",
        category="Resource Unavailable",
        text=(
            "The container runtime of a node stopped. What runs there goes on for a while, but "
            "nothing can be started, the node becomes NotReady, and its pods are moved away after "
            "five minutes."
        ),
        spreads="node",
        fits=each_node,
        repair=None,
        diagnosis="no call of the API starts a part of a machine again: somebody has to log in to it",
    )
)
