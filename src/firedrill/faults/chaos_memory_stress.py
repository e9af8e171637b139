"""an experiment fills the memory of a workload's containers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import Outcome
from firedrill.faults._chaos import TIMED, aim, begin, users_of
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.world.kube.objects import dig

if TYPE_CHECKING:
    from firedrill.world import World

ID = "chaos-memory-stress"
_NAMES = ("{}-memory-stress", "{}-memory-pressure", "fill-memory-{}")


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    return begin(
        world,
        args,
        "StressChaos",
        {"stressors": {"memory": {"workers": int(args["workers"]), "size": str(args["size"])}}},
    )


def _fits(world: World) -> Iterator[Target]:
    for owner, service in users_of(world):
        items = owner["spec"]["template"]["spec"]["containers"]
        first = items[0]
        if first["name"] == service.container and dig(first, "resources", "limits", "memory"):
            yield aim(world, ID, owner, _NAMES, workers=4, size="100%", lasting=False)


FAULT = register(
    Fault(
        id=ID,
        title="an experiment fills the memory of a workload's containers",
        parameters={
            **TIMED,
            "workers": Parameter("how many processes", 4),
            "size": Parameter("how much memory", "100%"),
        },
        inject=_inject,
        shows="ended:OOMKilled",
        family="chaos",
        category="Chaos",
        text=(
            "An experiment of Chaos Mesh takes as much memory in the containers of a workload as they "
            "may use. They are killed for it, and with every round of a schedule again."
        ),
        spreads="workload",
        fits=_fits,
        lacks="no container has a memory limit, or there is no Chaos Mesh",
    )
)
