"""a policy of a gateway denies the requests of users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults import _meshing
from firedrill.faults._changes import Outcome, add, client
from firedrill.faults.base import Fault, Parameter, register
from firedrill.world.mesh.state import GATEWAYS

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    client(world).get(GATEWAYS, args["namespace"], args["name"])
    name = args["policy"] or f"{args['name']}-deny"
    told = args["methods"]
    methods = told.split(",") if isinstance(told, str) else list(told)
    spec = {
        "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": args["name"]}],
        "action": "DENY",
        "rules": [{"to": [{"operation": {"methods": [str(item).strip() for item in methods]}}]}],
    }
    made = add(world, _meshing.authorization(args["namespace"], name, spec))
    return (f"{args['namespace']}/AuthorizationPolicy/{name}",), (made,)


FAULT = register(
    Fault(
        id="traffic-denying-istio-gateway-authorization-policy",
        title="a policy of a gateway denies the requests of users",
        parameters={
            "namespace": Parameter("namespace of the Gateway"),
            "name": Parameter("name of the Gateway"),
            "methods": Parameter("HTTP methods that are denied, with commas between them", "GET"),
            "policy": Parameter(
                "name of the AuthorizationPolicy; that of the Gateway and `-deny` where empty", ""
            ),
        },
        inject=_inject,
        shows="failing",
        family="mesh",
        category="Configuration Setting",
        text="An AuthorizationPolicy that names the Gateway denies the methods that users need. The gateway "
        "answers them with 403; nothing behind it hears of them any more.",
        spreads="edges",
        fits=_meshing.each_gateway,
        lacks=_meshing.NO_GATEWAY,
    )
)
