"""a route of a gateway leads to another Service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults import _meshing, fitting
from firedrill.faults._changes import Outcome, edit
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.world.kube.objects import name_of, namespace_of
from firedrill.world.mesh.state import ROUTES

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(obj: Obj) -> None:
        for rule in obj["spec"]["rules"]:
            for backend in rule.get("backendRefs") or ():
                backend["name"], backend["port"] = args["service"], int(args["port"])

    undo = edit(world, ROUTES, args["namespace"], args["name"], change)
    return (f"{args['namespace']}/HTTPRoute/{args['name']}",), (undo,)


def _fits(world: World) -> Iterator[Target]:
    for route, owner in _meshing.routes(world):
        used = {item.get("name") for rule in route["spec"]["rules"] for item in rule.get("backendRefs") or ()}
        for service, behind in fitting.services(world):
            if name_of(service) in used or namespace_of(service) != namespace_of(route) or behind is owner:
                continue
            args = {"namespace": namespace_of(route), "name": name_of(route), "service": name_of(service)}
            yield Target({**args, "port": int(service["spec"]["ports"][0]["port"])}, fitting.entity(owner))


FAULT = register(
    Fault(
        id="http-route-wrong-backend",
        title="a route of a gateway leads to another Service",
        parameters={
            "namespace": Parameter("namespace of the HTTPRoute"),
            "name": Parameter("name of the HTTPRoute"),
            "service": Parameter("Service that it leads to"),
            "port": Parameter("number of its port"),
        },
        inject=_inject,
        shows="failing",
        family="mesh",
        category="Configuration Setting",
        text="An HTTPRoute names the Service of another part of the application. That does not know what "
        "users ask for and answers that there is no such page.",
        spreads="edges",
        fits=_fits,
        lacks=_meshing.NO_GATEWAY,
    )
)
