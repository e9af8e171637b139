"""a policy lets callers in at a port at which nothing listens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults import fitting
from firedrill.faults._aiming import programs
from firedrill.faults._changes import WORKLOAD, Outcome, add, entity
from firedrill.faults._making import owner_of, pod_labels
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": args["policy"] or f"{args['name']}-ingress", "namespace": args["namespace"]},
        "spec": {
            "podSelector": {"matchLabels": pod_labels(owner_of(world, args))},
            "policyTypes": ["Ingress"],
            "ingress": [{"ports": [{"protocol": "TCP", "port": int(args["port"])}]}],
        },
    }
    return (entity(policy),), (add(world, policy),)


def _fits(world: World) -> Iterator[Target]:
    """Whoever is called, with two digits of the port in the wrong order, or the next port."""
    for owner, service in programs(world):
        if service.operations and not _consumes(world, service.name):
            digits = str(service.port)
            swapped = int(digits[:-2] + digits[-1] + digits[-2])
            port = swapped if swapped != service.port else service.port + 1
            yield fitting.on_workload(owner, port=port)


def _consumes(world: World, name: str) -> bool:
    graph = fitting.graph_of(world)
    return any(
        call.service == name for queue in (graph.app.queues if graph else ()) for call in queue.consumers
    )


FAULT = register(
    Fault(
        id="network-policy-wrong-port",
        title="a network policy lets callers in at a port at which nothing listens",
        parameters={
            **WORKLOAD,
            "port": Parameter("the port that it names"),
            "policy": Parameter(
                "name of the NetworkPolicy; that of the workload with -ingress where empty", ""
            ),
        },
        inject=_inject,
        shows="unreachable-workload",
        family="network",
        category="Configuration Setting",
        text="The workload got a policy that lets callers in at one port. The port was mistyped, or is "
        "that of the Service where that of the pod was meant: callers get no answer.",
        fits=_fits,
        lacks="no workload of the application is called",
    )
)
