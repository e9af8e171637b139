"""a namespace demands encryption of everybody, and one workload is not in the mesh."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults import _meshing
from firedrill.faults._changes import WORKLOAD, Outcome, edit, workload_resource
from firedrill.faults.base import Fault, Parameter, register
from firedrill.world.mesh.view import MODE_LABEL

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def leave(obj: Obj) -> None:
        meta = obj["spec"]["template"].setdefault("metadata", {})
        meta["labels"] = {**(meta.get("labels") or {}), MODE_LABEL: "none"}

    resource = workload_resource(args)
    left = edit(world, resource, args["namespace"], args["name"], leave)
    demanded = _meshing.demand_encryption(world, args["namespace"], args["policy"])
    causes = (
        f"{args['namespace']}/PeerAuthentication/{args['policy']}",
        f"{args['namespace']}/{args['kind']}/{args['name']}",
    )
    return causes, (demanded, left)


FAULT = register(
    Fault(
        id="strict-mutual-tls-istio-service-mesh-enforcement",
        title="a workload outside of the mesh calls others that demand encryption",
        parameters={**WORKLOAD, "policy": Parameter("name of the PeerAuthentication", "mtls-strict")},
        inject=_inject,
        shows="failing",
        family="mesh",
        category="Configuration Setting",
        text="The pods of a workload are taken out of the mesh while a PeerAuthentication demands mutual TLS"
        " in its namespace. All that the workload calls there resets its connections.",
        spreads="edges",
        fits=_meshing.each_calling,
        lacks=_meshing.NO_MESH,
    )
)
