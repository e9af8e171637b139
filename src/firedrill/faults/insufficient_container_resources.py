"""a container gets next to no processor time and memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._aiming import both
from firedrill.faults._changes import ANEW, CONTAINER, Outcome, edit_container
from firedrill.faults.base import Fault, Parameter, register
from firedrill.faults.fitting import each_container

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(container: Obj) -> None:
        resources = container.setdefault("resources", {})
        for part in ("limits", "requests"):
            given = {"cpu": str(args["cpu"]), "memory": str(args["memory"])}
            resources[part] = {**(resources.get(part) or {}), **given}

    return edit_container(world, args, change)


FAULT = register(
    Fault(
        id="insufficient-kubernetes-workload-container-resources",
        title="a container gets so little processor time and memory that its program cannot start",
        parameters={
            **CONTAINER,
            **ANEW,
            "cpu": Parameter("requested and allowed processor time", "5m"),
            "memory": Parameter("requested and allowed memory", "5Mi"),
        },
        inject=_inject,
        shows="unstarted",
        aliases=("insufficient_kubernetes_workload_container_resources",),
        family="runtime",
        category="Configuration Setting",
        text="Limits of the container were set far too low: its program does not fit into the memory and is "
        "killed whenever it starts.",
        fits=both(each_container),
    )
)
