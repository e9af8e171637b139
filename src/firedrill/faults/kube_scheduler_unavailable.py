"""the scheduler stops: what is pending stays pending, and nobody says why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import NEXT, Outcome, start_anew, stop_part
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import bitten
from firedrill.world.kube.objects import labels_of

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    causes, undo = stop_part(world, args["node"], "kube-scheduler")
    return causes, (*start_anew(world, args), *undo)


def _fits(world: World) -> Iterator[Target]:
    for pod in world.cluster.store.list("pods", "kube-system"):
        if labels_of(pod).get("component") == "kube-scheduler":
            yield from bitten(world, {"node": pod["spec"]["nodeName"]})
            return


FAULT = register(
    Fault(
        id="kube-scheduler-unavailable",
        title="the scheduler stops: what is pending stays pending, and nobody says why",
        parameters={"node": Parameter("the Node that it runs on", "control-plane"), **NEXT},
        inject=_inject,
        shows="pending-next",
        aliases=("kube_scheduler_unavailable",),
        family="control-plane",
        category="Resource Unavailable",
        text=(
            "The scheduler stopped. Every new pod stays Pending without a word of why; what runs "
            "goes on until its pods have to be made anew."
        ),
        fits=_fits,
        lacks="the scheduler is nowhere to be seen as a pod",
        repair=None,
        diagnosis="the manifest of a static pod lies on its machine: somebody has to log in to it",
    )
)
