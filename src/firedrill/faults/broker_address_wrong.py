"""a consumer looks for its broker where it is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults import fitting
from firedrill.faults._aiming import consumers, variable
from firedrill.faults._changes import CONTAINER, Outcome, edit_container, pick
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(container: Obj) -> None:
        entry = pick(container.get("env") or [], args["variable"], "variable")
        host, colon, port = str(entry.get("value") or "").rpartition(":")
        moved = f"{host or port}:{args['port']}" if colon or port else ""
        entry["value"] = args["value"] or moved
        entry.pop("valueFrom", None)

    return edit_container(world, args, change)


def _fits(world: World) -> Iterator[Target]:
    for owner, call in consumers(world):
        if call.address and variable(fitting.main_container(world, owner), call.address):
            yield fitting.on_container(world, owner, variable=call.address)


FAULT = register(
    Fault(
        id="consumer-broker-address-mismatch",
        title="a consumer looks for its broker at an address where it is not, and messages pile up",
        parameters={
            **CONTAINER,
            "variable": Parameter("variable with the address of the broker"),
            "value": Parameter("what it says; the host with the port below where empty", ""),
            "port": Parameter("the wrong port", 9095),
        },
        inject=_inject,
        shows="lagging",
        within=900_000,
        family="configuration",
        category="Configuration Setting",
        text="The consumer was told a wrong address of the broker. It runs and tries to connect; meanwhile "
        "nobody takes its messages, and they pile up.",
        fits=_fits,
        lacks="the application has no consumer of a queue",
    )
)
