"""kube-proxy of a node stops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import NEXT, NODE, Outcome, start_anew, stop_part
from firedrill.faults.base import Fault, Target, register
from firedrill.faults.fitting import bitten, callers_of, entity, nodes, nodes_of, workloads

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    causes, undo = stop_part(world, args["node"], "kube-proxy")
    return causes, (*start_anew(world, args), *undo)


def _fits(world: World) -> Iterator[Target]:
    for node, _ in nodes(world):
        here = {entity(owner) for owner in workloads(world) if node in nodes_of(world, owner)}
        for target in bitten(world, {"node": node}):
            if here.intersection(callers_of(world, target.about)):
                yield target


FAULT = register(
    Fault(
        id="kube-proxy-unavailable",
        title="kube-proxy of a node stops",
        parameters={**NODE, **NEXT},
        inject=_inject,
        shows="stale-node",
        aliases=("kube_proxy_unavailable",),
        family="network",
        category="Network",
        text=(
            "kube-proxy of a node stopped, and its rules stay as they were. Pods of that node "
            "keep calling addresses of pods that are gone: after the next rollout of a service, "
            "its callers there get no answer."
        ),
        spreads="edges",
        fits=_fits,
        repair=None,
        diagnosis="no call of the API starts a part of a machine again: somebody has to log in to it",
    )
)
