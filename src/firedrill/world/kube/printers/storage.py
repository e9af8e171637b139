"""Rows of volumes, claims and what provides them."""

from __future__ import annotations

from typing import Any

from firedrill.world.kube.objects import Obj, annotations_of, dig, is_deleting, name_of
from firedrill.world.kube.printers.texts import NONE, UNSET

_MODES = (
    ("ReadWriteOnce", "RWO"),
    ("ReadOnlyMany", "ROX"),
    ("ReadWriteMany", "RWX"),
    ("ReadWriteOncePod", "RWOP"),
)
_DEFAULT_CLASS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)


def _modes(modes: Any) -> str:
    return ",".join(short for long, short in _MODES if long in (modes or ()))


def _class(obj: Obj) -> str:
    beta = annotations_of(obj).get("volume.beta.kubernetes.io/storage-class")
    return beta if beta is not None else str(dig(obj, "spec", "storageClassName", default=""))


def _phase(obj: Obj) -> str:
    return "Terminating" if is_deleting(obj) else str(dig(obj, "status", "phase", default=""))


def volume(obj: Obj) -> Obj:
    """Cells of a PersistentVolume."""
    spec = obj.get("spec") or {}
    claim = spec.get("claimRef")
    return {
        "Capacity": str(dig(spec, "capacity", "storage", default="0")),
        "Access Modes": _modes(spec.get("accessModes")),
        "Status": _phase(obj),
        "Claim": f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        "StorageClass": _class(obj),
        "VolumeAttributesClass": spec.get("volumeAttributesClassName") or UNSET,
        "VolumeMode": spec.get("volumeMode") or UNSET,
    }


def claim(obj: Obj) -> Obj:
    """Cells of a PersistentVolumeClaim: what it got, once it got it."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    bound = bool(spec.get("volumeName"))
    return {
        "Status": _phase(obj),
        "Capacity": str(dig(status, "capacity", "storage", default="0")) if bound else "",
        "Access Modes": _modes(status.get("accessModes")) if bound else "",
        "StorageClass": _class(obj),
        "VolumeAttributesClass": spec.get("volumeAttributesClassName") or UNSET,
        "VolumeMode": spec.get("volumeMode") or UNSET,
    }


def storage_class(obj: Obj) -> Obj:
    """Cells of a StorageClass."""
    default = any(annotations_of(obj).get(key) == "true" for key in _DEFAULT_CLASS)
    return {
        "Name": f"{name_of(obj)} (default)" if default else name_of(obj),
        "ReclaimPolicy": obj.get("reclaimPolicy") or "Delete",
        "VolumeBindingMode": obj.get("volumeBindingMode") or "Immediate",
        "AllowVolumeExpansion": bool(obj.get("allowVolumeExpansion")),
    }


def attachment(obj: Obj) -> Obj:
    """Cells of a VolumeAttachment."""
    return {"Attached": bool(dig(obj, "status", "attached", default=False))}


def csi_node(obj: Obj) -> Obj:
    """Cells of a CSINode."""
    return {"Drivers": len(dig(obj, "spec", "drivers", default=()))}


def csi_driver(obj: Obj) -> Obj:
    """Cells of a CSIDriver."""
    spec = obj.get("spec") or {}
    tokens = [str(item.get("audience", "")) for item in spec.get("tokenRequests") or ()]
    return {
        "AttachRequired": bool(spec.get("attachRequired", True)),
        "PodInfoOnMount": bool(spec.get("podInfoOnMount", False)),
        "StorageCapacity": bool(spec.get("storageCapacity", False)),
        "TokenRequests": ",".join(tokens) or UNSET,
        "RequiresRepublish": bool(spec.get("requiresRepublish", False)),
        "Modes": ",".join(spec.get("volumeLifecycleModes") or ()) or NONE,
    }


def flow_schema(obj: Obj) -> Obj:
    """Cells of a FlowSchema."""
    missing = "?"
    for item in dig(obj, "status", "conditions", default=()):
        if item.get("type") == "Dangling":
            missing = str(item.get("status"))
    return {
        "DistinguisherMethod": dig(obj, "spec", "distinguisherMethod", "type") or NONE,
        "MissingPL": missing,
    }
