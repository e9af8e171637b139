"""a workload gets DNS settings of its own that lack the search domains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import WORKLOAD, Outcome, client, edit_pods
from firedrill.faults.base import Fault, Parameter, register
from firedrill.faults.dns_policy_default import FAULT as _POLICY

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    found = client(world).find("services", "kube-system", "kube-dns")
    server = args["server"] or (found["spec"]["clusterIP"] if found is not None else "10.96.0.10")

    def change(spec: Obj) -> None:
        spec["dnsPolicy"] = "None"
        spec["dnsConfig"] = {"nameservers": [server], "options": [{"name": "timeout", "value": "1"}]}

    return edit_pods(world, args, change)


FAULT = register(
    Fault(
        id="dns-search-domains-missing",
        title="the pods of a workload get DNS settings of their own, without search domains",
        parameters={
            **WORKLOAD,
            "server": Parameter("the DNS server; that of the cluster where empty", ""),
        },
        inject=_inject,
        shows="unnamed",
        family="network",
        category="Configuration Setting",
        text="Somebody tuned the DNS of the workload and wrote its settings out in full, but forgot the "
        "search domains: short names of Services do not resolve any more.",
        fits=_POLICY.fits,
        lacks=_POLICY.lacks,
    )
)
