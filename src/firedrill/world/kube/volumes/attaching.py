"""Which node a volume is attached to: CSI volumes only, one `VolumeAttachment` for each node.

Source: the attach/detach controller of Kubernetes 1.31, for its events and its Multi-Attach rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from firedrill.world.kube import events
from firedrill.world.kube.api.client import component_client
from firedrill.world.kube.controllers.base import (
    Controller,
    Later,
    all_keys,
    own_key,
    register,
    split_key,
)
from firedrill.world.kube.objects import Obj, dig, name_of, namespace_of
from firedrill.world.kube.scheduler.podinfo import claim_names
from firedrill.world.kube.store import Change, Store
from firedrill.world.kube.volumes.matching import is_bound
from firedrill.world.kube.volumes.provisioning import CLAIMS, VOLUMES

if TYPE_CHECKING:
    from firedrill.world.world import World

NAME = "attachdetach-controller"
ATTACHMENTS = "volumeattachments.storage.k8s.io"
_RETRY = 120_000


def attached_volumes(store: Store, pod: Obj) -> list[Obj]:
    """The volumes of a pod that have to be attached to its node."""
    out = []
    for name in claim_names(pod):
        claim = store.get(CLAIMS, namespace_of(pod), name)
        if claim is None or not is_bound(claim):
            continue
        volume = store.get(VOLUMES, "", str(dig(claim, "spec", "volumeName")))
        if volume is not None and dig(volume, "spec", "csi", "driver"):
            out.append(volume)
    return out


def is_attached(store: Store, pod: Obj) -> bool:
    """Whether all volumes of the pod are attached to its node, so that they can be mounted."""
    node = str(dig(pod, "spec", "nodeName", default=""))
    return all(
        store.get(ATTACHMENTS, "", attachment_name(name_of(volume), node)) is not None
        for volume in attached_volumes(store, pod)
    )


def attachment_name(volume: str, node: str) -> str:
    """The name of the `VolumeAttachment`, the same for the same volume and node."""
    from hashlib import sha256

    return "csi-" + sha256(f"{volume}{node}".encode()).hexdigest()


def _reconcile(world: World, key: str) -> None:
    store = world.cluster.store
    if key.startswith(" "):
        _detach(world, key[1:])
        return
    pod = store.get("pods", *split_key(key))
    node = str(dig(pod, "spec", "nodeName", default=""))
    if pod is None or not node or dig(pod, "status", "phase") in ("Succeeded", "Failed"):
        return
    for volume in attached_volumes(store, pod):
        name = attachment_name(name_of(volume), node)
        if store.get(ATTACHMENTS, "", name) is not None:
            continue
        if _conflicts(world, pod, volume, node):
            raise Later(_RETRY)
        component_client(world, NAME).create(
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "VolumeAttachment",
                "metadata": {"name": name},
                "spec": {
                    "attacher": dig(volume, "spec", "csi", "driver"),
                    "nodeName": node,
                    "source": {"persistentVolumeName": name_of(volume)},
                },
                "status": {"attached": True},
            }
        )
        text = f'AttachVolume.Attach succeeded for volume "{name_of(volume)}" '
        events.record(world, pod, "Normal", "SuccessfulAttachVolume", text, component=NAME)


def _conflicts(world: World, pod: Obj, volume: Obj, node: str) -> bool:
    """Whether a volume for one node is still on another; tells the pod so."""
    modes = dig(volume, "spec", "accessModes", default=())
    if "ReadWriteMany" in modes or "ReadOnlyMany" in modes:
        return False
    store = world.cluster.store
    others = [
        item
        for item in store.list(ATTACHMENTS)
        if dig(item, "spec", "source", "persistentVolumeName") == name_of(volume)
        and dig(item, "spec", "nodeName") != node
    ]
    if not others:
        return False
    users = [
        other
        for other in store.pods_on(str(dig(others[0], "spec", "nodeName")))
        if any(name_of(item) == name_of(volume) for item in attached_volumes(store, other))
    ]
    same = [name_of(item) for item in users if namespace_of(item) == namespace_of(pod)]
    text = f'Multi-Attach error for volume "{name_of(volume)}" '
    if same:
        text += f"Volume is already used by pod(s) {', '.join(same)}"
        if len(users) > len(same):
            text += f" and {len(users) - len(same)} pod(s) in different namespaces"
    else:
        text += "Volume is already exclusively attached to one node and can't be attached to another"
    events.record(world, pod, "Warning", "FailedAttachVolume", text, component=NAME)
    return True


def _detach(world: World, name: str) -> None:
    store = world.cluster.store
    item = store.get(ATTACHMENTS, "", name)
    if item is None:
        return
    volume = dig(item, "spec", "source", "persistentVolumeName")
    for pod in store.pods_on(str(dig(item, "spec", "nodeName"))):
        if dig(pod, "status", "phase") in ("Succeeded", "Failed"):
            continue
        if any(name_of(found) == volume for found in attached_volumes(store, pod)):
            return
    component_client(world, NAME).delete(ATTACHMENTS, "", name)


def _pod_keys(world: World, change: Change) -> Iterable[str]:
    pod = change.obj
    node = dig(pod, "spec", "nodeName")
    if not node or not claim_names(pod):
        return ()
    if change.type == "DELETED" or dig(pod, "status", "phase") in ("Succeeded", "Failed"):
        return [
            " " + attachment_name(name_of(volume), str(node))
            for volume in attached_volumes(world.cluster.store, pod)
        ]
    if dig(change.previous, "spec", "nodeName"):
        return ()
    return own_key(world, change)


def _freed(world: World, change: Change) -> Iterable[str]:
    """When a volume is detached, the pods that wait for it try again."""
    if change.type != "DELETED":
        return ()
    volume = dig(change.obj, "spec", "source", "persistentVolumeName")
    store = world.cluster.store
    reference = dig(store.get(VOLUMES, "", str(volume)), "spec", "claimRef", default={})
    space = str(reference.get("namespace", ""))
    return [
        f"{space}/{name_of(pod)}"
        for pod in store.list("pods", space)
        if reference.get("name") in claim_names(pod)
    ]


ATTACHER = register(
    Controller(
        name=NAME,
        component="kube-controller-manager",
        watches={"pods": _pod_keys, ATTACHMENTS: _freed},
        reconcile=_reconcile,
        resync=all_keys("pods"),
        delay=(200, 1200),
    )
)
