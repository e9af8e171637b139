"""nobody answers for the names of the cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome, edit
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import entity, front

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(obj: Obj) -> None:
        obj["spec"]["replicas"] = 0

    undo = edit(world, "deployments.apps", "kube-system", args["name"], change)
    return (f"kube-system/Deployment/{args['name']}",), (undo,)


def _fits(world: World) -> Iterator[Target]:
    about = front(world)
    if (
        about is not None
        and world.cluster.store.get("deployments.apps", "kube-system", "coredns") is not None
    ):
        yield Target({}, entity(about))


FAULT = register(
    Fault(
        id="cluster-dns-scaled-down",
        title="nobody answers for the names of the cluster",
        parameters={"name": Parameter("Deployment of the cluster's DNS in kube-system", "coredns")},
        inject=_inject,
        shows="dns",
        aliases=(
            "cluster_dns_scaled_down",
            "coredns-scaled-down",
        ),
        family="control-plane",
        category="Change",
        text=(
            "The DNS of the cluster was scaled to nothing. No program can look up the name of a "
            "service any more; connections that are open stay."
        ),
        spreads="edges",
        fits=_fits,
        lacks="the cluster has no CoreDNS",
    )
)
