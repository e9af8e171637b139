"""a liveness probe gives up before the program has started."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import CONTAINER, Outcome, edit_container, port_of
from firedrill.faults._variants import start_ms
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import main_container, on_container, workloads

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj

_SLOW_MS = 2500
"""A program that opens its port within the first probe or two survives."""


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(container: Obj) -> None:
        probe = container.setdefault("livenessProbe", {"tcpSocket": {"port": port_of(container)}})
        probe.update(
            initialDelaySeconds=int(args["delay"]),
            periodSeconds=int(args["period"]),
            timeoutSeconds=int(args["timeout"]),
            failureThreshold=int(args["failures"]),
        )

    return edit_container(world, args, change)


def _fits(world: World) -> Iterator[Target]:
    for owner in workloads(world):
        container = main_container(world, owner)
        if container.get("ports") and start_ms(world, owner, container["name"]) >= _SLOW_MS:
            yield on_container(world, owner)


FAULT = register(
    Fault(
        id="liveness-probe-incorrect-timing",
        title="a liveness probe gives up before the program has started",
        parameters={
            **CONTAINER,
            "period": Parameter("seconds between two probes", 1),
            "delay": Parameter("seconds before the first probe", 0),
            "timeout": Parameter("seconds that an answer may take", 1),
            "failures": Parameter("failures until the container is killed", 1),
        },
        inject=_inject,
        shows="restarts",
        aliases=("liveness_probe_incorrect_timing",),
        family="probes",
        category="Configuration Setting",
        text=(
            "A liveness probe was changed, and now gives the program no time to start. The "
            "kubelet kills the container again and again, although its program is well."
        ),
        fits=_fits,
        lacks="every program starts in less time than the probe gives it",
    )
)
