"""the configuration of the cluster's DNS cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome, edit, restart
from firedrill.faults.base import Fault, Parameter, register

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(obj: Obj) -> None:
        head, bracket, rest = str(obj["data"]["Corefile"]).partition("{\n")
        obj["data"]["Corefile"] = f"{head}{bracket}{args['line']}\n{rest}"

    changed = edit(world, "configmaps", "kube-system", args["name"], change)
    again = restart(world, {"namespace": "kube-system", "name": "coredns", "kind": "Deployment"})
    return (f"kube-system/ConfigMap/{args['name']}",), (again, changed)


FAULT = register(
    Fault(
        id="cluster-dns-misconfigured",
        title="the configuration of the cluster's DNS cannot be read",
        parameters={
            "name": Parameter("ConfigMap of the cluster's DNS in kube-system", "coredns"),
            "line": Parameter("the line that goes wrong", "    forwrad . /etc/resolv.conf"),
        },
        inject=_inject,
        shows="restarts",
        aliases=(
            "cluster_dns_misconfigured",
            "coredns-misconfigured",
        ),
    )
)
