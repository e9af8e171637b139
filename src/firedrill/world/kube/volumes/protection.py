"""What keeps a claim or a volume from going while it is used.

Source: Kubernetes 1.31: the admission plugin StorageObjectInUseProtection puts the finalizers on, the
controllers `pvc-protection-controller` and `pv-protection-controller` take them off.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from firedrill.world.kube.api.client import component_client
from firedrill.world.kube.api.strategy import on_write
from firedrill.world.kube.controllers.base import (
    Controller,
    all_keys,
    key_of,
    own_key,
    register,
    split_key,
)
from firedrill.world.kube.objects import Obj, dig, is_deleting, meta, namespace_of, with_path
from firedrill.world.kube.scheduler.podinfo import claim_names
from firedrill.world.kube.store import Change
from firedrill.world.kube.volumes.provisioning import CLAIMS, VOLUMES

if TYPE_CHECKING:
    from firedrill.world.world import World

CLAIM_FINALIZER = "kubernetes.io/pvc-protection"
VOLUME_FINALIZER = "kubernetes.io/pv-protection"


def _with_finalizer(obj: Obj, finalizer: str) -> Obj:
    there = list(meta(obj).get("finalizers") or ())
    return obj if finalizer in there else with_path(obj, ("metadata", "finalizers"), [*there, finalizer])


def protect_claim(_: World, new: Obj, old: Obj | None) -> Obj:
    """A new claim, pending and with its finalizer."""
    return {**_with_finalizer(new, CLAIM_FINALIZER), "status": {"phase": "Pending"}} if old is None else new


def protect_volume(world: World, new: Obj, old: Obj | None) -> Obj:
    """A new volume, pending and with its finalizer."""
    if old is not None:
        return new
    status = {"phase": "Pending", "lastPhaseTransitionTime": world.time}
    return {**_with_finalizer(new, VOLUME_FINALIZER), "status": status}


def is_used(world: World, claim: Obj) -> bool:
    """Whether a pod that was given a node and has not ended mounts the claim."""
    name = str(meta(claim).get("name"))
    return any(
        name in claim_names(pod)
        and dig(pod, "spec", "nodeName")
        and dig(pod, "status", "phase") not in ("Succeeded", "Failed")
        for pod in world.cluster.store.list("pods", namespace_of(claim))
    )


def _release(world: World, resource: str, key: str, controller: str, finalizer: str) -> None:
    obj = world.cluster.store.get(resource, *split_key(key))
    if obj is None or not is_deleting(obj) or finalizer not in (meta(obj).get("finalizers") or ()):
        return
    used = is_used(world, obj) if resource == CLAIMS else dig(obj, "status", "phase") == "Bound"
    if used:
        return
    rest = [item for item in meta(obj)["finalizers"] if item != finalizer]
    component_client(world, controller).update(with_path(obj, ("metadata", "finalizers"), rest))


def _claim(world: World, key: str) -> None:
    _release(world, CLAIMS, key, "pvc-protection-controller", CLAIM_FINALIZER)


def _volume(world: World, key: str) -> None:
    _release(world, VOLUMES, key, "pv-protection-controller", VOLUME_FINALIZER)


def _claims_of_pod(world: World, change: Change) -> Iterable[str]:
    pod = change.obj
    if change.type != "DELETED" and dig(pod, "status", "phase") not in ("Succeeded", "Failed"):
        return ()
    return [key_of(namespace_of(pod), name) for name in claim_names(pod)]


on_write(CLAIMS, protect_claim)
on_write(VOLUMES, protect_volume)

CLAIM_PROTECTION = register(
    Controller(
        name="pvc-protection-controller",
        component="kube-controller-manager",
        watches={CLAIMS: own_key, "pods": _claims_of_pod},
        reconcile=_claim,
        resync=all_keys(CLAIMS),
    )
)
VOLUME_PROTECTION = register(
    Controller(
        name="pv-protection-controller",
        component="kube-controller-manager",
        watches={VOLUMES: own_key},
        reconcile=_volume,
        resync=all_keys(VOLUMES),
    )
)
