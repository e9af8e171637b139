"""something else burns the processor time of a workload's pods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import WORKLOAD, Outcome, disturb, workload_resource
from firedrill.faults._variants import busy_share
from firedrill.faults.base import Fault, Injection, Parameter, Step, Target, register
from firedrill.faults.fitting import on_workload, workloads
from firedrill.faults.repairing import restart_of

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return disturb(world, args, {"cpu_steal": int(args["percent"]) * 10})


def _fits(world: World) -> Iterator[Target]:
    for owner in workloads(world):
        percent = busy_share(world, "pod-cpu-overload", owner)
        if percent:
            yield on_workload(owner, percent=percent)


def _repair(_: World, injection: Injection) -> tuple[Step, ...]:
    args = injection.args
    return (restart_of(workload_resource(args), args["namespace"], args["name"]),)


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
        family="runtime",
        category="Resource Unavailable",
        text=(
            "Something else burns the processor time of a workload's pods. Requests queue and are "
            "answered late or not at all."
        ),
        fits=_fits,
        lacks="no workload is busy enough to miss its processor time",
        repair=_repair,
    )
)
