"""an autoscaler is told to scale a workload that is not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome, edit
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import namespaces
from firedrill.world.kube.objects import name_of

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(obj: Obj) -> None:
        aim = obj["spec"]["scaleTargetRef"]
        aim["name"] = args["target"] or f"{aim['name']}-v2"

    undo = edit(world, "horizontalpodautoscalers.autoscaling", args["namespace"], args["name"], change)
    return (f"{args['namespace']}/HorizontalPodAutoscaler/{args['name']}",), (undo,)


def _fits(world: World) -> Iterator[Target]:
    for namespace in namespaces(world):
        for scaler in world.cluster.store.list("horizontalpodautoscalers.autoscaling", namespace):
            aim = scaler["spec"]["scaleTargetRef"]
            args = {"namespace": namespace, "name": name_of(scaler)}
            yield Target(args, f"{namespace}/{aim['kind']}/{aim['name']}")


FAULT = register(
    Fault(
        id="autoscaler-target-missing",
        title="an autoscaler is told to scale a workload that is not there",
        parameters={
            "namespace": Parameter("namespace of the HorizontalPodAutoscaler"),
            "name": Parameter("its name"),
            "target": Parameter("the workload that it names; its own with another end where empty", ""),
        },
        inject=_inject,
        shows="event:FailedGetScale",
        within=180000,
        aliases=(
            "autoscaler_target_missing",
            "hpa-misconfigured",
        ),
        family="configuration",
        category="Configuration Setting",
        text=(
            "The autoscaler of a workload names another workload that does not exist. It scales "
            "nothing any more, and what is there keeps the copies that it has, however many users "
            "come."
        ),
        spreads="none",
        felt="alert",
        fits=_fits,
        lacks="the application has no HorizontalPodAutoscaler",
    )
)
