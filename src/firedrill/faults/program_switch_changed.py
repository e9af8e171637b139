"""a variable that switches something in a program is set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults import fitting
from firedrill.faults._changes import CONTAINER, Outcome, edit_container
from firedrill.faults._making import add_variables
from firedrill.faults.base import Fault, Parameter, Target, register

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.app.model import Flag
    from firedrill.world.kube.objects import Obj


_AIM: Mapping[str, float] = {
    "io_ms": 3000.0,
    "delay_ms": 3000.0,
    "error_rate": 0.5,
    "work_factor": 200.0,
    "leak_mb_s": 1.0,
    "message_factor": 50.0,
}
"""How much of a change is felt, by what a switch changes, where its variable takes a number."""


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(container: Obj) -> None:
        add_variables(container, [{"name": args["variable"], "value": str(args["value"])}])

    return edit_container(world, args, change)


def _fits(world: World) -> Iterator[Target]:
    """Every variable of the graph that switches something."""
    graph = fitting.graph_of(world)
    services = {service.name: service for service in (graph.app.services if graph else ())}
    for flag in graph.app.flags if graph else ():
        reader = services.get(flag.provider or flag.service)
        if not flag.variable or reader is None or graph is None:
            continue
        owner = world.cluster.store.get(reader.workload[0], graph.app.namespace, reader.workload[1])
        if owner is not None:
            yield fitting.on_container(world, owner, variable=flag.variable, value=_value(flag))


def _value(flag: Flag) -> str:
    """On, where the graph says what that means; else as much as is felt, a duration in seconds."""
    aim = _AIM.get(flag.parameter)
    if aim is None or flag.value != 1.0:
        return "true"
    return f"{aim / 1000.0:g}s" if flag.parameter in {"io_ms", "delay_ms"} else f"{aim:g}"


FAULT = register(
    Fault(
        id="program-switch-changed",
        title="a variable that switches something in a program is set",
        parameters={
            **CONTAINER,
            "variable": Parameter("name of the environment variable"),
            "value": Parameter("what it says"),
        },
        inject=_inject,
        shows="troubled",
        within=600_000,
        family="application",
        category="Configuration Setting",
        text="A variable that is meant for tests was set where users are served: the program takes its time, "
        "goes without its cache, or whatever else the switch is for.",
        fits=_fits,
        lacks="no program of the application has a switch among its variables",
    )
)
