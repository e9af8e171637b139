"""a namespace gets a quota that leaves no CPU for what it still needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome, add, entity
from firedrill.faults.base import Fault, Parameter, register

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": args["name"], "namespace": args["namespace"]},
        "spec": {"hard": {"requests.cpu": str(args["hard"])}},
    }
    return (entity(quota), f"cluster/Namespace/{args['namespace']}"), (add(world, quota),)


FAULT = register(
    Fault(
        id="namespace-cpu-quota-exceeded",
        title="a namespace gets a quota that leaves no CPU for what it still needs",
        parameters={
            "namespace": Parameter("the namespace"),
            "name": Parameter("name of the ResourceQuota", "compute-quota"),
            "hard": Parameter("the limit", "1"),
        },
        inject=_inject,
        shows="refused",
        aliases=("namespace_cpu_quota_exceeded",),
    )
)
