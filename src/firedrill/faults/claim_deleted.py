"""a claim goes while a workload still uses its volume."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults import fitting
from firedrill.faults._changes import WORKLOAD, Outcome, drop
from firedrill.faults._making import delete_pods
from firedrill.faults.base import Fault, Parameter, Target, register
from firedrill.world.kube.objects import name_of

if TYPE_CHECKING:
    from firedrill.world import World


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    gone = drop(world, "persistentvolumeclaims", args["namespace"], args["claim"])
    delete_pods(world, args)
    return (f"{args['namespace']}/PersistentVolumeClaim/{args['claim']}",), (gone,)


def _fits(world: World) -> Iterator[Target]:
    for claim, owner in fitting.claims(world):
        yield fitting.on_workload(owner, claim=name_of(claim))


FAULT = register(
    Fault(
        id="claim-deleted",
        title="a claim is deleted, and the workload that used it cannot start anew",
        parameters={**WORKLOAD, "claim": Parameter("name of the PersistentVolumeClaim")},
        inject=_inject,
        shows="event:FailedScheduling",
        family="storage",
        category="Resource Unavailable",
        text="Somebody deleted the claim. It stays as long as a pod uses it; when the pods were made anew it "
        "went, and the new ones wait for a claim that is not there.",
        fits=_fits,
        lacks="the application has no claim",
    )
)
