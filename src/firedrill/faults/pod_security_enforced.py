"""a namespace refuses pods that are not hardened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._changes import WORKLOAD, Outcome, edit
from firedrill.faults._making import cause_of, delete_pods
from firedrill.faults.base import Fault, Parameter, register
from firedrill.faults.fitting import each_missed

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


_LABEL = "pod-security.kubernetes.io/enforce"


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    def change(obj: Obj) -> None:
        labels = obj["metadata"].get("labels") or {}
        obj["metadata"]["labels"] = {**labels, _LABEL: args["level"]}

    undo = edit(world, "namespaces", "", args["namespace"], change)
    delete_pods(world, args)
    return (f"cluster/Namespace/{args['namespace']}", cause_of(args)), (undo,)


FAULT = register(
    Fault(
        id="pod-security-enforced",
        title="a namespace refuses pods that are not hardened, and a workload has to start anew",
        parameters={**WORKLOAD, "level": Parameter("the level", "restricted", ("restricted",))},
        inject=_inject,
        shows="event:FailedCreate",
        family="admission",
        category="Configuration Setting",
        text="The namespace was labelled to take hardened pods only. What runs, runs on; when the workload's "
        "pods were deleted to be made anew, the new ones were refused.",
        fits=each_missed,
    )
)
