"""kube-proxy of a node stops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import NODE, Outcome, stop_part
from firedrill.faults.base import Fault, register

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return stop_part(world, args["node"], "kube-proxy")


FAULT = register(
    Fault(
        id="kube-proxy-unavailable",
        title="kube-proxy of a node stops",
        parameters=NODE,
        inject=_inject,
        shows="stale-node",
        aliases=("kube_proxy_unavailable",),
    )
)
