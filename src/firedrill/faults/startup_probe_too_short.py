"""a startup probe gives up before the program has started."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults import fitting
from firedrill.faults._aiming import both, programs
from firedrill.faults._changes import ANEW, CONTAINER, Outcome, edit_container, port_of
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(container: Obj) -> None:
        container["startupProbe"] = {
            "tcpSocket": {"port": port_of(container)},
            "periodSeconds": int(args["period"]),
            "failureThreshold": int(args["failures"]),
        }

    return edit_container(world, args, change)


def _fits(world: World) -> Iterator[Target]:
    """Programs with a port that take longer than two seconds to start."""
    for owner, service in programs(world):
        slow = service.start_ms is not None and service.start_ms[0] >= _SLOW_MS
        if slow and fitting.main_container(world, owner).get("ports"):
            yield fitting.on_container(world, owner)


_SLOW_MS = 2_000


FAULT = register(
    Fault(
        id="startup-probe-too-short",
        title="a startup probe gives up before the program has started",
        parameters={
            **CONTAINER,
            **ANEW,
            "period": Parameter("seconds between two probes", 1),
            "failures": Parameter("failures until the container is killed", 1),
        },
        inject=_inject,
        shows="restarts",
        within=300_000,
        family="probes",
        category="Configuration Setting",
        text="The workload got a startup probe that allows for a second. Its program takes longer, is "
        "killed before it listens, and is never given the time.",
        fits=both(_fits),
        lacks="no program of the application takes long to start",
    )
)
