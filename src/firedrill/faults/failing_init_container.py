"""a step before the start of a workload never succeeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import ANEW, WORKLOAD, Outcome, edit_pods
from firedrill.faults._variants import one_of
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import both_ways, on_workload, workloads

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj

_COMMANDS = (
    "echo 'migration 0042: relation already exists' >&2; exit 1",
    "echo 'cannot read /config/settings.yaml: no such file' >&2; exit 2",
    "echo 'schema version 17 is newer than 16' >&2; exit 1",
    "echo 'license server: connection refused' >&2; exit 3",
)


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(spec: Obj) -> None:
        step = {"name": "migrate", "image": args["image"], "command": ["sh", "-c", str(args["command"])]}
        spec["initContainers"] = [*(spec.get("initContainers") or ()), step]

    return edit_pods(world, args, change)


def _fits(world: World) -> Iterator[Target]:
    for owner in workloads(world):
        command = one_of(world, "failing-init-container", owner, _COMMANDS)
        yield from both_ways(on_workload(owner, command=command))


FAULT = register(
    Fault(
        id="failing-init-container",
        title="a step before the start of a workload never succeeds",
        parameters={
            **WORKLOAD,
            **ANEW,
            "image": Parameter("image of the step", "busybox:1.36"),
            "command": Parameter(
                "what the step runs", "echo 'migration 0042: relation already exists' >&2; exit 1"
            ),
        },
        inject=_inject,
        shows="waiting:CrashLoopBackOff",
        aliases=("failing_init_container",),
        family="start-up",
        category="Change",
        text=(
            "A step was added that runs before the program starts, and it fails every time. The "
            "new pods never get to their program."
        ),
        fits=_fits,
    )
)
