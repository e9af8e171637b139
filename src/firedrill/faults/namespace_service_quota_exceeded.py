"""a namespace gets a quota that leaves no service for what it still needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome, add, entity
from firedrill.faults._variants import quota_below
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import each_namespace

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": args["name"], "namespace": args["namespace"]},
        "spec": {"hard": {"services": str(args["hard"])}},
    }
    return (entity(quota), f"cluster/Namespace/{args['namespace']}"), (add(world, quota),)


def _fits(world: World) -> Iterator[Target]:
    for target in each_namespace(world):
        hard = quota_below(world, target.args["namespace"], "services")
        if hard:
            yield Target({**target.args, "hard": hard}, target.about)


FAULT = register(
    Fault(
        id="namespace-service-quota-exceeded",
        title="a namespace gets a quota that leaves no service for what it still needs",
        parameters={
            "namespace": Parameter("the namespace"),
            "name": Parameter("name of the ResourceQuota", "service-quota"),
            "hard": Parameter("the limit", "11"),
        },
        inject=_inject,
        shows="refused",
        aliases=("namespace_service_quota_exceeded",),
        family="admission",
        category="Resource Unavailable",
        text=(
            "A quota was put on the namespace that allows fewer Services than it has. Nobody can "
            "add another one."
        ),
        spreads="none",
        felt="alert",
        fits=_fits,
        lacks="the application has no Services",
    )
)
