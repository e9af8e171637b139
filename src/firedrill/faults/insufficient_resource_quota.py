"""a namespace gets a quota for memory, and a workload has to start anew under it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import WORKLOAD, Outcome, add, client, entity
from firedrill.faults._making import cause_of, delete_pods
from firedrill.faults.base import Fault, Parameter, register
from firedrill.world.kube.qos import request_of

if TYPE_CHECKING:
    from firedrill.world import World


_MIB = 1024 * 1024


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    hard = str(args["hard"] or _half(world, args["namespace"]))
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": args["quota"], "namespace": args["namespace"]},
        "spec": {"hard": {"memory": hard}},
    }
    undo = add(world, quota)
    delete_pods(world, args)
    return (entity(quota), cause_of(args)), (undo,)


def _half(world: World, namespace: str) -> str:
    """Half of what the pods of the namespace ask for."""
    pods = client(world).list("pods", namespace)
    asked = sum(request_of(item, "memory") for pod in pods for item in pod["spec"]["containers"])
    return f"{max(asked // 2 // _MIB, 1)}Mi"


FAULT = register(
    Fault(
        id="insufficient-kubernetes-resource-quota",
        title="a namespace gets a quota for memory under which a workload cannot start anew",
        parameters={
            **WORKLOAD,
            "quota": Parameter("name of the ResourceQuota", "memory"),
            "hard": Parameter("the limit; half of what the namespace asks for where empty", ""),
        },
        inject=_inject,
        shows="event:FailedCreate",
        aliases=("insufficient_kubernetes_resource_quota",),
        family="admission",
        category="Configuration Setting",
        text="The namespace got a quota for memory that is smaller than what already runs in it. Running "
        "pods stay, but the workload's pods were deleted to be made anew, and the quota refuses the "
        "new ones.",
    )
)
