"""a workload shuns nodes that run what runs everywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import WORKLOAD, Outcome, edit
from firedrill.faults._variants import workers
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import on_workload, workloads

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    resource = "deployments.apps" if args["kind"] == "Deployment" else f"{args['kind'].lower()}s.apps"

    def change(obj: Obj) -> None:
        key, _, value = str(args["label"]).partition("=")
        labels = {key: value} if key else dict(obj["spec"]["template"]["metadata"]["labels"])
        shunned: Obj = {"matchLabels": labels}
        if key and not value:
            shunned = {"matchExpressions": [{"key": key, "operator": "Exists"}]}
        term = {"labelSelector": shunned, "topologyKey": "kubernetes.io/hostname"}
        rule = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
        spec = obj["spec"]["template"]["spec"]
        spec["affinity"] = {**(spec.get("affinity") or {}), "podAntiAffinity": rule}
        if args["replicas"]:
            obj["spec"]["replicas"] = int(args["replicas"])

    undo = edit(world, resource, args["namespace"], args["name"], change)
    return (f"{args['namespace']}/{args['kind']}/{args['name']}",), (undo,)


def _fits(world: World) -> Iterator[Target]:
    for owner in workloads(world):
        yield on_workload(owner, replicas=len(workers(world)) + 2)


FAULT = register(
    Fault(
        id="pod-anti-affinity-conflict",
        title="a workload shuns nodes that run what runs everywhere",
        parameters={
            **WORKLOAD,
            "label": Parameter("key=value (or key) of the pods that it shuns; its own where empty", ""),
            "replicas": Parameter("copies that it wants afterwards; unchanged where 0", 0),
        },
        inject=_inject,
        shows="event:FailedScheduling",
        aliases=("pod_anti_affinity_conflict",),
        family="scheduling",
        category="Configuration Setting",
        text=(
            "A workload was told to keep its pods apart, one to a node, and to have more of them "
            "than there are nodes. The rest stays Pending."
        ),
        felt="alert",
        fits=_fits,
    )
)
