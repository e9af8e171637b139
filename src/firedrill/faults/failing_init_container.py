"""a step before the start of a workload never succeeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import WORKLOAD, Outcome, edit_pods
from firedrill.faults.base import Fault, Parameter, register

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(spec: Obj) -> None:
        step = {"name": "migrate", "image": args["image"], "command": ["sh", "-c", str(args["command"])]}
        spec["initContainers"] = [*(spec.get("initContainers") or ()), step]

    return edit_pods(world, args, change)


FAULT = register(
    Fault(
        id="failing-init-container",
        title="a step before the start of a workload never succeeds",
        parameters={
            **WORKLOAD,
            "image": Parameter("image of the step", "busybox:1.36"),
            "command": Parameter(
                "what the step runs", "echo 'migration 0042: relation already exists' >&2; exit 1"
            ),
        },
        inject=_inject,
        shows="waiting:CrashLoopBackOff",
        aliases=("failing_init_container",),
    )
)
