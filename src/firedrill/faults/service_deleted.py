"""a Service is gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import SERVICE, Outcome, drop
from firedrill.faults.base import Fault, register

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    gone = drop(world, "services", args["namespace"], args["name"])
    return (f"{args['namespace']}/Service/{args['name']}",), (gone,)


FAULT = register(
    Fault(
        id="deleted-kubernetes-service",
        title="a Service is deleted, and its name resolves no more",
        parameters=SERVICE,
        inject=_inject,
        shows="gone",
        aliases=("deleted_kubernetes_service", "deleted-service"),
        family="routing",
        category="Resource Unavailable",
        text="The Service was deleted, as happens when old manifests are cleaned up. The pods behind it run "
        "and are well, but their callers find no address under the name.",
        spreads="service",
    )
)
