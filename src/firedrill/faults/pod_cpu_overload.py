"""something else burns the processor time of a workload's pods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import WORKLOAD, Outcome, disturb
from firedrill.faults.base import Fault, Parameter, register

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return disturb(world, args, {"cpu_steal": int(args["percent"]) * 10})


FAULT = register(
    Fault(
        id="pod-cpu-overload",
        title="something else burns the processor time of a workload's pods",
        parameters={
            **WORKLOAD,
            "percent": Parameter("share of the CPU limit that it takes, in per cent", 95),
        },
        inject=_inject,
        shows="effect",
        aliases=("pod_cpu_overload",),
    )
)
