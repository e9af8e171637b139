"""a claim goes while a workload still uses its volume."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults import fitting
from firedrill.faults._changes import WORKLOAD, Outcome, drop
from firedrill.faults._making import delete_pods
from firedrill.faults.base import Fault, Injection, Parameter, Step, Target, register
from firedrill.faults.reverting import fresh
from firedrill.world.kube.objects import dig, is_deleting, name_of

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    gone = drop(world, "persistentvolumeclaims", args["namespace"], args["claim"])
    delete_pods(world, args)
    return (f"{args['namespace']}/PersistentVolumeClaim/{args['claim']}",), (gone,)


def _repair(world: World, injection: Injection) -> tuple[Step, ...]:
    """The claim as it was, with its volume, which waits for a claim that is gone."""
    change = next(item for item in injection.changes if item.resource == "persistentvolumeclaims")
    was, space, name = change.before, change.namespace, change.name
    now = world.cluster.store.get(change.resource, space, name)
    if was is None or (now is not None and not is_deleting(now)):
        return ()
    let_go: tuple[Step, ...] = ()
    if now is not None:
        patch = {"metadata": {"finalizers": None}}
        text = "let the claim go that is about to"
        let_go = (Step(text, "patch", change.resource, space, name, patch),)
    made = Step("make the claim anew", "create", change.resource, space, name, fresh(was))
    volume = str(dig(was, "spec", "volumeName", default=""))
    if world.cluster.store.get("persistentvolumes", "", volume) is None:
        return (*let_go, made)
    keep = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": name, "namespace": space}
    free: tuple[tuple[str, Obj | None], ...] = (
        ("free its volume", None),
        ("keep the volume for it", keep),
    )
    kept = (
        Step(text, "patch", "persistentvolumes", "", volume, {"spec": {"claimRef": claim}})
        for text, claim in free
    )
    return (*let_go, *kept, made)


def _fits(world: World) -> Iterator[Target]:
    """Claims of Deployments: a StatefulSet makes its claims anew by itself."""
    for claim, owner in fitting.claims(world):
        if owner["kind"] != "Deployment":
            continue
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
        repair=_repair,
        lacks="no Deployment of the application has a claim",
    )
)
