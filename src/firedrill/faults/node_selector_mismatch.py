"""a workload selects nodes by a label that none has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import WORKLOAD, Outcome, edit_pods
from firedrill.faults.base import Fault, Parameter, register

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    key, _, value = str(args["label"]).partition("=")

    def change(spec: Obj) -> None:
        spec["nodeSelector"] = {**(spec.get("nodeSelector") or {}), key: value}

    return edit_pods(world, args, change)


FAULT = register(
    Fault(
        id="node-selector-mismatch",
        title="a workload selects nodes by a label that none has",
        parameters={**WORKLOAD, "label": Parameter("key=value", "disktype=nvme")},
        inject=_inject,
        shows="event:FailedScheduling",
        aliases=("node_selector_mismatch",),
    )
)
