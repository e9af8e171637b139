"""a container gets less processor time than its work takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults import fitting
from firedrill.faults._changes import CONTAINER, Outcome, edit_container
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.world.kube.objects import uid_of

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


_LEAST = 4.0
"""Thousandths of a core below which a program is idle."""
_SHARE = 0.7


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(container: Obj) -> None:
        resources = container.setdefault("resources", {})
        for part in ("limits", "requests"):
            resources[part] = {**(resources.get(part) or {}), "cpu": str(args["cpu"])}

    return edit_container(world, args, change)


def _fits(world: World) -> Iterator[Target]:
    """Programs that are not idle, with two thirds of what they use now."""
    from firedrill.world.app.traffic import sample

    try:
        last = sample(world)
    except LookupError:
        return
    used = {pod.uid: float(cpu) for pod, cpu in zip(last.pods, last.cpu, strict=True)}
    for owner in fitting.workloads(world):
        most = max((used.get(uid_of(pod), 0.0) for pod in fitting.pods_of(world, owner)), default=0.0)
        if most >= _LEAST:
            yield fitting.on_container(world, owner, cpu=f"{max(int(most * _SHARE), 1)}m")


FAULT = register(
    Fault(
        id="cpu-limit-lowered",
        title="a container may use less processor time than its work takes",
        parameters={**CONTAINER, "cpu": Parameter("the limit", "20m")},
        inject=_inject,
        shows="slow",
        within=600_000,
        family="runtime",
        category="Configuration Setting",
        text="The limit of processor time was lowered, to save money or by a mistaken unit. The program is"
        " held back in nearly every period: answers come late, and callers wait or give up.",
        fits=_fits,
        lacks="no program of the application works enough for its processor time to matter",
    )
)
