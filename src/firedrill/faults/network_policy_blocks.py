"""a network policy lets nobody reach a workload."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import WORKLOAD, Outcome, add, client, entity, workload_resource
from firedrill.faults._variants import one_of
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import on_workload, workloads
from firedrill.world.kube.objects import name_of

if TYPE_CHECKING:
    from firedrill.world import World

_NAMES = ("restrict-ingress", "{}-ingress", "default-deny-{}", "{}-allow-list")


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


def _fits(world: World) -> Iterator[Target]:
    for owner in workloads(world):
        policy = one_of(world, "network-policy-blocks", owner, _NAMES).format(name_of(owner))
        yield on_workload(owner, policy=policy)


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
        family="network",
        category="Network",
        text=(
            "A network policy was added that lets nobody reach the pods of a workload. Its "
            "callers wait until they give up."
        ),
        spreads="edges",
        fits=_fits,
    )
)
