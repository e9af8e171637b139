"""an autoscaler aims at a use far below what its pods use when idle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import WORKLOAD, Outcome, add, client, edit, entity, workload_resource
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import on_workload, pods_of, workloads
from firedrill.world.kube.kubelet import usage
from firedrill.world.kube.objects import name_of, namespace_of
from firedrill.world.kube.qos import request_of

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


_SCALERS = "horizontalpodautoscalers.autoscaling"


def _metrics(args: Mapping[str, Any]) -> list[Obj]:
    wanted = (("cpu", args["cpu"]), ("memory", args["memory"]))
    return [
        {
            "type": "Resource",
            "resource": {"name": name, "target": {"type": "Utilization", "averageUtilization": int(share)}},
        }
        for name, share in wanted
    ]


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    client(world).get(workload_resource(args), args["namespace"], args["name"])
    there = [
        item
        for item in client(world).list(_SCALERS, args["namespace"])
        if (item["spec"]["scaleTargetRef"]["kind"], item["spec"]["scaleTargetRef"]["name"])
        == (args["kind"], args["name"])
    ]

    def change(obj: Obj) -> None:
        obj["spec"]["metrics"] = _metrics(args)

    if there:
        undo = edit(world, _SCALERS, args["namespace"], there[0]["metadata"]["name"], change)
        return (entity(there[0]),), (undo,)
    made = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": args["name"], "namespace": args["namespace"]},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": args["kind"], "name": args["name"]},
            "minReplicas": 1,
            "maxReplicas": int(args["most"]),
            "metrics": _metrics(args),
        },
    }
    return (entity(made),), (add(world, made),)


def _fits(world: World) -> Iterator[Target]:
    """Deployments all of whose containers ask for processor time and memory: a share needs a whole."""
    for owner in workloads(world):
        items = owner["spec"]["template"]["spec"]["containers"]
        if owner["kind"] == "Deployment" and all(
            request_of(item, "cpu") and request_of(item, "memory") for item in items
        ):
            idle = _use(world, owner)
            if idle * _BELOW >= 1:
                yield on_workload(owner, memory=min(30, int(idle * _BELOW)))


_BELOW = 0.7


def _use(world: World, owner: Obj) -> float:
    """Memory that the pods of a workload use now, in per cent of what they ask for."""
    asked = sum(request_of(item, "memory") for item in owner["spec"]["template"]["spec"]["containers"])
    used = [
        sum(memory for _cpu, memory in usage(world, namespace_of(pod), name_of(pod)).values())
        for pod in pods_of(world, owner)
    ]
    return 100.0 * sum(used) / (len(used) * asked) if used and asked else 0.0


FAULT = register(
    Fault(
        id="misconfigured-kubernetes-horizontal-pod-autoscaler",
        title="an autoscaler aims at a use far below what its pods use when idle, and makes as many as it "
        "may",
        parameters={
            **WORKLOAD,
            "cpu": Parameter("processor use that it aims at, in per cent", 20),
            "memory": Parameter("use of memory that it aims at, in per cent", 30),
            "most": Parameter("the most copies, where there was no autoscaler before", 5),
        },
        inject=_inject,
        shows="maxed",
        within=900_000,
        aliases=("misconfigured_kubernetes_horizontal_pod_autoscaler",),
        family="configuration",
        category="Configuration Setting",
        text="The autoscaler of the workload aims at a use of processors and memory that idle pods exceed."
        " It makes copies until it may make no more, which costs money and brings nothing.",
        felt="alert",
        fits=_fits,
        lacks="no Deployment of the application asks for both processor time and memory",
    )
)
