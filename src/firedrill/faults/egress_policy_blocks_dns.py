"""a workload may speak to its own namespace only, and so to no DNS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import WORKLOAD, Outcome, add, entity
from firedrill.faults._making import owner_of, pod_labels
from firedrill.faults.base import Fault, Parameter, register
from firedrill.faults.dns_policy_default import FAULT as _POLICY

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": args["policy"] or f"{args['name']}-egress", "namespace": args["namespace"]},
        "spec": {
            "podSelector": {"matchLabels": pod_labels(owner_of(world, args))},
            "policyTypes": ["Egress"],
            "egress": [{"to": [{"podSelector": {}}]}],
        },
    }
    return (entity(policy),), (add(world, policy),)


FAULT = register(
    Fault(
        id="egress-policy-blocks-dns",
        title="a workload may speak to its own namespace only, and so to no DNS",
        parameters={
            **WORKLOAD,
            "policy": Parameter(
                "name of the NetworkPolicy; that of the workload with -egress where empty", ""
            ),
        },
        inject=_inject,
        shows="unnamed",
        family="network",
        category="Configuration Setting",
        text="A policy lets the pods of the workload speak to their own namespace only. The DNS of the "
        "cluster is in another one: names do not resolve, and every call by name fails.",
        fits=_POLICY.fits,
        lacks=_POLICY.lacks,
    )
)
