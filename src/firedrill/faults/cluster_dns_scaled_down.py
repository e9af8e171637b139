"""nobody answers for the names of the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome, edit
from firedrill.faults.base import Fault, Parameter, register

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(obj: Obj) -> None:
        obj["spec"]["replicas"] = 0

    undo = edit(world, "deployments.apps", "kube-system", args["name"], change)
    return (f"kube-system/Deployment/{args['name']}",), (undo,)


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
    )
)
