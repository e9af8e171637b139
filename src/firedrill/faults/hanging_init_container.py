"""a step before the start waits for something that never comes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._aiming import both
from firedrill.faults._changes import ANEW, WORKLOAD, Outcome, edit_pods
from firedrill.faults.base import Fault, Parameter, register
from firedrill.faults.fitting import each_workload

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(spec: Obj) -> None:
        step = {"name": args["step"], "image": args["image"], "command": ["sh", "-c", str(args["command"])]}
        spec["initContainers"] = [*(spec.get("initContainers") or ()), step]

    return edit_pods(world, args, change)


FAULT = register(
    Fault(
        id="hanging-kubernetes-workload-init-container",
        title="a step before the start of a workload waits for something that never comes",
        parameters={
            **WORKLOAD,
            **ANEW,
            "step": Parameter("name of the step", "wait-for-migrations"),
            "image": Parameter("image of the step", "docker.io/library/busybox:1.37"),
            "command": Parameter(
                "what the step runs",
                "until nc -z -w 2 migrations 5432; do echo waiting for migrations; sleep 2; done",
            ),
        },
        inject=_inject,
        shows="waiting:PodInitializing",
        aliases=("hanging_kubernetes_workload_init_container",),
        family="start-up",
        category="Change",
        text="A new step before the start waits until somebody else is ready who is not there. It neither "
        "fails nor ends, so that new pods stay in their initialisation.",
        fits=both(each_workload),
    )
)
