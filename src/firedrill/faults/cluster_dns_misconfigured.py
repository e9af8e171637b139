"""the configuration of the cluster's DNS cannot be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import AGAIN, Outcome, edit, start_anew
from firedrill.faults.base import Fault, Injection, Parameter, Step, Target, register
from firedrill.faults.fitting import entity, front
from firedrill.faults.repairing import inverse, restart_of

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(obj: Obj) -> None:
        head, bracket, rest = str(obj["data"]["Corefile"]).partition("{\n")
        obj["data"]["Corefile"] = f"{head}{bracket}{args['line']}\n{rest}"

    changed = edit(world, "configmaps", "kube-system", args["name"], change)
    place = {"namespace": "kube-system", "name": "coredns", "kind": "Deployment"}
    again = start_anew(world, {**place, "then": args["then"]})
    return (f"kube-system/ConfigMap/{args['name']}",), (*again, changed)


def _fits(world: World) -> Iterator[Target]:
    about = front(world)
    if about is not None and world.cluster.store.get("configmaps", "kube-system", "coredns") is not None:
        yield Target({"then": "recycle"}, entity(about))


def _repair(world: World, injection: Injection) -> tuple[Step, ...]:
    again = restart_of("deployments.apps", "kube-system", "coredns")
    return (*(step for step in inverse(world, injection) if step.verb != "restart"), again)


FAULT = register(
    Fault(
        id="cluster-dns-misconfigured",
        title="the configuration of the cluster's DNS cannot be read",
        parameters={
            "name": Parameter("ConfigMap of the cluster's DNS in kube-system", "coredns"),
            "line": Parameter("the line that goes wrong", "    forwrad . /etc/resolv.conf"),
            **AGAIN,
        },
        inject=_inject,
        shows="restarts",
        aliases=(
            "cluster_dns_misconfigured",
            "coredns-misconfigured",
        ),
        family="control-plane",
        category="Configuration Setting",
        text=(
            "Somebody edited the configuration of CoreDNS, and what stands there now cannot be "
            "parsed. The DNS pods that start with it crash; once none is left, no name resolves "
            "in the whole cluster."
        ),
        spreads="edges",
        fits=_fits,
        lacks="the cluster has no CoreDNS",
        repair=_repair,
    )
)
