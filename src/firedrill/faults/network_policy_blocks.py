"""a network policy lets nobody reach a workload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import WORKLOAD, Outcome, add, client, entity, workload_resource
from firedrill.faults.base import Fault, Parameter, register

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    owner = client(world).get(workload_resource(args), args["namespace"], args["name"])
    labels = dict(owner["spec"]["selector"].get("matchLabels") or {})
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": args["policy"], "namespace": args["namespace"]},
        "spec": {"podSelector": {"matchLabels": labels}, "policyTypes": ["Ingress"]},
    }
    return (entity(policy),), (add(world, policy),)


FAULT = register(
    Fault(
        id="network-policy-blocks",
        title="a network policy lets nobody reach a workload",
        parameters={**WORKLOAD, "policy": Parameter("name of the NetworkPolicy", "restrict-ingress")},
        inject=_inject,
        shows="unreachable-workload",
        aliases=(
            "network_policy_blocks",
            "network-policy-block",
        ),
    )
)
