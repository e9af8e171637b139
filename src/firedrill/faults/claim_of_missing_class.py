"""a workload gets a volume of a storage class that is not there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.faults._aiming import both
from firedrill.faults._changes import ANEW, CONTAINER, Outcome, add, edit_pods, entity, pick
from firedrill.faults._making import joined, mount
from firedrill.faults.base import Fault, Parameter, register
from firedrill.faults.fitting import each_container

if TYPE_CHECKING:
    from firedrill.world import World
    from firedrill.world.kube.objects import Obj


def _inject(world: World, args: Mapping[str, Any]) -> Outcome:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": args["claim"] or f"{args['name']}-data", "namespace": args["namespace"]},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": args["storage_class"],
            "resources": {"requests": {"storage": str(args["size"])}},
        },
    }
    name = claim["metadata"]["name"]  # type: ignore[index]

    def change(spec: Obj) -> None:
        container = pick(spec["containers"], args["container"], "container")
        mount(spec, container, {"name": name, "persistentVolumeClaim": {"claimName": name}}, args["path"])

    undo = add(world, claim)
    return joined(edit_pods(world, args, change), ((entity(claim),), (undo,)))


FAULT = register(
    Fault(
        id="nonexistent-kubernetes-workload-persistent-volume-claim",
        title="a workload gets a volume of a storage class that is not there",
        parameters={
            **CONTAINER,
            **ANEW,
            "claim": Parameter("name of the claim; that of the workload with -data where empty", ""),
            "storage_class": Parameter("name of the class", "fast-ssd"),
            "size": Parameter("of the volume", "25Mi"),
            "path": Parameter("where the container mounts it", "/data/database"),
        },
        inject=_inject,
        shows="event:FailedScheduling",
        aliases=("nonexistent_kubernetes_workload_persistent_volume_claim",),
        family="storage",
        category="Resource Unavailable",
        text="The workload was given a volume. Its claim names a storage class that the cluster does not "
        "have, so that the claim stays unbound and new pods cannot be placed.",
        fits=both(each_container),
    )
)
