"""a workload asks the DNS of its node instead of that of the cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._aiming import calls
from firedrill.faults._changes import WORKLOAD, Outcome, edit_pods
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import on_workload
from firedrill.world.kube.objects import dig
from firedrill.world.mesh.view import GATEWAY_LABEL

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(spec: Obj) -> None:
        spec["dnsPolicy"] = args["policy"]

    return edit_pods(world, args, change)


def _labels(owner: Obj) -> Obj:
    return dig(owner, "spec", "template", "metadata", "labels") or {}


def _fits(world: World) -> Iterator[Target]:
    """Whoever calls others by name; a gateway of a mesh is told their addresses."""
    seen = []
    for owner, _service, _call in calls(world):
        if owner not in seen and GATEWAY_LABEL not in _labels(owner):
            seen.append(owner)
            yield on_workload(owner)


FAULT = register(
    Fault(
        id="failing-name-resolution-kubernetes-workload-dns-policy",
        title="the pods of a workload ask the DNS of their nodes, which knows no Services",
        parameters={
            **WORKLOAD,
            "policy": Parameter("the DNS policy", "Default", ("Default",)),
        },
        inject=_inject,
        shows="unnamed",
        aliases=("failing_name_resolution_kubernetes_workload_dns_policy",),
        family="network",
        category="Configuration Setting",
        text="The DNS policy of the pods was changed: they take over the settings of their node and ask its "
        "DNS, which does not know the names of Services. Every call by name fails.",
        fits=_fits,
        lacks="no workload of the application calls another one",
    )
)
