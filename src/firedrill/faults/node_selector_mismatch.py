"""a workload selects nodes by a label that none has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import ANEW, WORKLOAD, Outcome, edit_pods
from firedrill.faults._variants import one_of
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.faults.fitting import both_ways, on_workload, workloads

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj

_LABELS = (
    "disktype=nvme",
    "node-pool=highmem",
    "kubernetes.io/arch=s390x",
    "workload-class=latency-critical",
)


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    key, _, value = str(args["label"]).partition("=")

    def change(spec: Obj) -> None:
        spec["nodeSelector"] = {**(spec.get("nodeSelector") or {}), key: value}

    return edit_pods(world, args, change)


def _fits(world: World) -> Iterator[Target]:
    for owner in workloads(world):
        label = one_of(world, "node-selector-mismatch", owner, _LABELS)
        yield from both_ways(on_workload(owner, label=label))


FAULT = register(
    Fault(
        id="node-selector-mismatch",
        title="a workload selects nodes by a label that none has",
        parameters={**WORKLOAD, **ANEW, "label": Parameter("key=value", "disktype=nvme")},
        inject=_inject,
        shows="event:FailedScheduling",
        aliases=("node_selector_mismatch",),
        family="scheduling",
        category="Configuration Setting",
        text=(
            "A workload was told to run on nodes with a label that no node has. Its new pods stay Pending."
        ),
        fits=_fits,
    )
)
