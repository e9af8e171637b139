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
    from firedrill.world.kube.objects import Obj


_VALUES: Mapping[str, tuple[str, ...]] = {
    "io_ms": ("3s", "2500ms"),
    "error_rate": ("0.5",),
    "cache_off": ("true",),
    "work_factor": ("20",),
    "leak_mb_s": ("1",),
    "message_factor": ("50",),
    "unreachable": ("true",),
}
"""Values that are felt, by what the switch changes."""


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(container: Obj) -> None:
        add_variables(container, [{"name": args["variable"], "value": str(args["value"])}])

    return edit_container(world, args, change)


def _fits(world: World) -> Iterator[Target]:
    """Every variable of the graph that switches something."""
    graph = fitting.graph_of(world)
    services = {service.name: service for service in (graph.app.services if graph else ())}
    for flag in graph.app.flags if graph else ():
        service = services.get(flag.service)
        if not flag.variable or service is None or graph is None:
            continue
        owner = world.cluster.store.get(service.workload[0], graph.app.namespace, service.workload[1])
        if owner is None:
            continue
        for value in _VALUES.get(flag.parameter, ()):
            yield fitting.on_container(world, owner, variable=flag.variable, value=value)


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
