"""Which volume suits which claim: the rules that the volume controller and the scheduler share.

Source: Kubernetes 1.31, `FindMatchingVolume` and `CheckVolumeModeMismatches` of the volume helpers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from firedrill.world.kube import quantity, selectors
from firedrill.world.kube.node_selectors import node_selector_matches
from firedrill.world.kube.objects import (
    Obj,
    annotations_of,
    dig,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    uid_of,
    with_path,
)
from firedrill.world.kube.store import Store

CLASSES = "storageclasses.storage.k8s.io"
CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
PROVISIONER = "volume.kubernetes.io/storage-provisioner"
PROVISIONER_BETA = "volume.beta.kubernetes.io/storage-provisioner"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
NO_PROVISIONER = "kubernetes.io/no-provisioner"


def class_of(obj: Mapping[str, Any]) -> str:
    """The storage class of a claim or a volume; empty for none."""
    legacy = annotations_of(obj).get(CLASS_ANNOTATION)
    return str(legacy if legacy is not None else dig(obj, "spec", "storageClassName", default=""))


def is_bound(claim: Mapping[str, Any]) -> bool:
    """Whether the binding of a claim is complete."""
    return bool(dig(claim, "spec", "volumeName")) and BIND_COMPLETED in annotations_of(claim)


def is_delayed(store: Store, claim: Mapping[str, Any]) -> bool:
    """Whether the claim waits for its first consumer."""
    name = class_of(claim)
    found = store.get(CLASSES, "", name) if name else None
    return bool(dig(found, "volumeBindingMode") == "WaitForFirstConsumer")


def capacity_of(obj: Mapping[str, Any]) -> int:
    """Bytes that a volume has or a claim requests; 0 where nothing is said."""
    text = dig(obj, "spec", "capacity", "storage") or dig(obj, "spec", "resources", "requests", "storage")
    return quantity.value(text) if text is not None else 0


def claimed_by(volume: Mapping[str, Any], claim: Mapping[str, Any]) -> bool:
    """Whether the volume is reserved for this claim: by name, and by uid where one is set."""
    reference = dig(volume, "spec", "claimRef")
    if not reference:
        return False
    if reference.get("name") != name_of(claim) or reference.get("namespace") != namespace_of(claim):
        return False
    return bool(not reference.get("uid") or reference["uid"] == uid_of(claim))


def affinity_matches(volume: Mapping[str, Any], node: Mapping[str, Any]) -> bool:
    """Whether a volume can be reached from the node (its `nodeAffinity`)."""
    return node_selector_matches(dig(volume, "spec", "nodeAffinity", "required"), node)


def suits(volume: Mapping[str, Any], claim: Mapping[str, Any]) -> bool:
    """Whether a volume meets what a claim asks for, whoever it is reserved for."""
    modes = dig(volume, "spec", "accessModes", default=())
    if any(mode not in modes for mode in dig(claim, "spec", "accessModes", default=())):
        return False
    here = dig(volume, "spec", "volumeMode", default="Filesystem")
    return bool(
        capacity_of(volume) >= capacity_of(claim)
        and here == dig(claim, "spec", "volumeMode", default="Filesystem")
    )


def find_volume(
    claim: Mapping[str, Any],
    volumes: Iterable[Obj],
    *,
    node: Mapping[str, Any] | None = None,
    taken: frozenset[str] = frozenset(),
    delayed: bool = False,
) -> Obj | None:
    """The volume that a claim gets: one reserved for it, else the smallest that suits.

    Args:
        claim: the claim.
        volumes: those to choose from; names decide between equal ones.
        node: only volumes that this node can reach.
        taken: names of volumes that must not be chosen.
        delayed: the claim waits for a consumer, so without a node only a reserved volume will do.
    """
    wanted = dig(claim, "spec", "selector")
    best: Obj | None = None
    size = 0
    for volume in sorted(volumes, key=name_of):
        if name_of(volume) in taken or is_deleting(volume):
            continue
        if claimed_by(volume, claim):
            if suits(volume, claim) and (node is None or affinity_matches(volume, node)):
                return volume
            continue
        if dig(volume, "spec", "claimRef") or (delayed and node is None):
            continue
        if dig(volume, "status", "phase", default="Available") not in ("Available", "Pending"):
            continue
        if class_of(volume) != class_of(claim) or not suits(volume, claim):
            continue
        if wanted is not None and not selectors.selects(wanted, labels_of(volume)):
            continue
        if node is not None and not affinity_matches(volume, node):
            continue
        if best is None or capacity_of(volume) < size:
            best, size = volume, capacity_of(volume)
    return best


def reserved(volume: Obj, claim: Obj) -> Obj:
    """The volume with a reference to its claim."""
    reference = {
        "kind": "PersistentVolumeClaim",
        "namespace": namespace_of(claim),
        "name": name_of(claim),
        "uid": uid_of(claim),
        "apiVersion": "v1",
        "resourceVersion": str(dig(claim, "metadata", "resourceVersion", default="")),
    }
    given = {**annotations_of(volume), BOUND_BY_CONTROLLER: "yes"}
    return with_path(with_path(volume, ("spec", "claimRef"), reference), ("metadata", "annotations"), given)
