"""a Service sends callers to pods of their own node only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults import fitting
from firedrill.faults._aiming import calls
from firedrill.faults._aiming import programs as _owners
from firedrill.faults._changes import SERVICE, Outcome, edit
from firedrill.faults.base import Fault, Target, register
from firedrill.world.kube.objects import dig, name_of, namespace_of

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(obj: Obj) -> None:
        obj["spec"]["internalTrafficPolicy"] = "Local"

    undo = edit(world, "services", args["namespace"], args["name"], change)
    return (f"{args['namespace']}/Service/{args['name']}",), (undo,)


def _fits(world: World) -> Iterator[Target]:
    """Services some of whose callers are on nodes without a pod behind them."""
    by_name = {service.name: owner for owner, service in _owners(world)}
    asking: dict[str, set[str]] = {}
    for owner, _service, call in calls(world):
        target = by_name.get(call.service)
        if target is not None:
            asking.setdefault(fitting.entity(target), set()).update(_nodes(world, owner))
    for service, owner in fitting.services(world):
        if asking.get(fitting.entity(owner), set()) - _nodes(world, owner):
            yield Target(
                {"namespace": namespace_of(service), "name": name_of(service)}, fitting.entity(owner)
            )


def _nodes(world: World, owner: Obj) -> set[str]:
    return {str(dig(pod, "spec", "nodeName") or "") for pod in fitting.pods_of(world, owner)}


FAULT = register(
    Fault(
        id="service-internal-traffic-local",
        title="a Service sends callers to pods of their own node only, where there is none",
        parameters=SERVICE,
        inject=_inject,
        shows="failing",
        family="routing",
        category="Configuration Setting",
        text="To save traffic between nodes, the Service was told to use pods of the caller's own node only. "
        "Callers on other nodes find nobody, although all pods are ready.",
        spreads="service",
        fits=_fits,
        lacks="all callers share a node with whom they call",
    )
)
