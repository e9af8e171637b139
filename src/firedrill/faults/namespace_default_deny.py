"""nobody may reach the pods of a namespace any more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome, add, entity
from firedrill.faults.base import Fault, Parameter, register

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": args["policy"], "namespace": args["namespace"]},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    }
    return (entity(policy),), (add(world, policy),)


FAULT = register(
    Fault(
        id="namespace-default-deny",
        title="a namespace gets a policy under which nobody may reach its pods",
        parameters={
            "namespace": Parameter("the namespace"),
            "policy": Parameter("name of the NetworkPolicy", "default-deny"),
        },
        inject=_inject,
        shows="failing",
        family="network",
        category="Configuration Setting",
        text="A policy that denies all that is not allowed came to the namespace, as security "
        "guides advise; the policies that allow what has to be allowed did not come with it."
        "",
    )
)
