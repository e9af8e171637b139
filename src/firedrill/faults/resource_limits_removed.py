"""a container loses its limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import CONTAINER, Outcome, edit_container
from firedrill.faults.base import Fault, Target, register

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(container: Obj) -> None:
        resources = dict(container.get("resources") or {})
        resources.pop("limits", None)
        container["resources"] = resources

    return edit_container(world, args, change)


def _fits(_: World) -> Iterable[Target]:
    return ()


FAULT = register(
    Fault(
        id="unassigned-kubernetes-workload-container-resource-limits",
        title="a container loses its limits",
        parameters=CONTAINER,
        inject=_inject,
        shows="unlimited",
        aliases=("unassigned_kubernetes_workload_container_resource_limits",),
        family="runtime",
        category="Configuration Setting",
        text="The limits of the container were taken away. Nothing is seen of it until its program needs "
        "more than its share: then the whole node feels it.",
        spreads="none",
        felt="alert",
        fits=_fits,
        lacks="by itself it shows nothing: only a program under stress takes more than it should",
    )
)
