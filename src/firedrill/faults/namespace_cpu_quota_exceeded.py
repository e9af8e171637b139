"""a namespace gets a quota that leaves no CPU for what it still needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import NEXT, Outcome, add, entity, start_anew
from firedrill.faults._variants import quota_below
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import bitten, namespaces

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": args["name"], "namespace": args["namespace"]},
        "spec": {"hard": {"requests.cpu": str(args["hard"])}},
    }
    made = add(world, quota)
    return (entity(quota), f"cluster/Namespace/{args['namespace']}"), (*start_anew(world, args), made)


def _fits(world: World) -> Iterator[Target]:
    for namespace in namespaces(world):
        hard = quota_below(world, namespace, "cpu")
        if hard:
            yield from bitten(world, {"namespace": namespace, "hard": hard})


FAULT = register(
    Fault(
        id="namespace-cpu-quota-exceeded",
        title="a namespace gets a quota that leaves no CPU for what it still needs",
        parameters={
            "namespace": Parameter("the namespace"),
            "name": Parameter("name of the ResourceQuota", "compute-quota"),
            "hard": Parameter("the limit", "1"),
            **NEXT,
        },
        inject=_inject,
        shows="refused",
        aliases=("namespace_cpu_quota_exceeded",),
        family="admission",
        category="Resource Unavailable",
        text=(
            "A quota was put on the namespace that is lower than the CPU that it already needs. "
            "What runs goes on, but no pod that goes is made again."
        ),
        fits=_fits,
        lacks="no container of the application requests CPU",
    )
)
