"""a namespace gets a quota that leaves no pod for what it still needs."""

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
        "spec": {"hard": {"pods": str(args["hard"])}},
    }
    made = add(world, quota)
    return (entity(quota), f"cluster/Namespace/{args['namespace']}"), (*start_anew(world, args), made)


def _fits(world: World) -> Iterator[Target]:
    for namespace in namespaces(world):
        hard = quota_below(world, namespace, "pods")
        if hard:
            yield from bitten(world, {"namespace": namespace, "hard": hard})


FAULT = register(
    Fault(
        id="namespace-pod-quota-exceeded",
        title="a namespace gets a quota that leaves no pod for what it still needs",
        parameters={
            "namespace": Parameter("the namespace"),
            "name": Parameter("name of the ResourceQuota", "pod-quota"),
            "hard": Parameter("the limit", "10"),
            **NEXT,
        },
        inject=_inject,
        shows="refused",
        aliases=("namespace_pod_quota_exceeded",),
        family="admission",
        category="Resource Unavailable",
        text=(
            "A quota was put on the namespace that is lower than the pods that it already needs. "
            "What runs goes on, but no pod that goes is made again."
        ),
        fits=_fits,
        lacks="no container of the application requests pods",
    )
)
