"""packets of a workload's pods arrive late."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import WORKLOAD, Outcome, disturb, workload_resource
from firedrill.faults._variants import one_of
from firedrill.faults.base import Fault, Injection, Parameter, Step, Target, register
from firedrill.faults.fitting import on_workload, workloads
from firedrill.faults.repairing import restart_of

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return disturb(world, args, {"delay_ms": int(args["delay_ms"])})


def _fits(world: World) -> Iterator[Target]:
    for owner in workloads(world):
        delay = one_of(world, "pod-network-delay", owner, (800, 1500, 2500, 3000))
        yield on_workload(owner, delay_ms=delay)


def _repair(_: World, injection: Injection) -> tuple[Step, ...]:
    args = injection.args
    return (restart_of(workload_resource(args), args["namespace"], args["name"]),)


FAULT = register(
    Fault(
        id="pod-network-delay",
        title="packets of a workload's pods arrive late",
        parameters={**WORKLOAD, "delay_ms": Parameter("delay of each packet in ms", 3000)},
        inject=_inject,
        shows="effect",
        aliases=("pod_network_delay",),
        family="network",
        category="Network",
        text=("Packets from and to a workload's pods arrive late. Each call of it takes that much longer."),
        fits=_fits,
        repair=_repair,
    )
)
