"""The rules of claims, volumes and storage classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from firedrill.world.kube import quantity
from firedrill.world.kube.objects import Obj, dig
from firedrill.world.kube.schema.check.cluster import check_topologies
from firedrill.world.kube.schema.check.difference import difference
from firedrill.world.kube.schema.check.fields import Errors
from firedrill.world.kube.schema.check.metadata import check_selector

_ACCESS = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_RECLAIM = ("Delete", "Recycle", "Retain")
_MODES = ("Block", "Filesystem")
_NO_SOURCE = frozenset(
    {
        "accessModes",
        "capacity",
        "claimRef",
        "mountOptions",
        "nodeAffinity",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "volumeAttributesClassName",
        "volumeMode",
    }
)


def _check_modes(errors: Errors, modes: Sequence[Any]) -> None:
    if not modes:
        errors.required("spec.accessModes", "at least 1 access mode is required")
    for mode in modes:
        if mode not in _ACCESS:
            errors.unsupported("spec.accessModes", mode, _ACCESS)
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        errors.forbidden("spec.accessModes", "may not use ReadWriteOncePod with other access modes")


def _check_size(errors: Errors, path: str, amount: Any) -> None:
    if amount is None:
        errors.required(path)
    elif quantity.parse(amount) <= 0:
        errors.invalid(path, amount, "must be greater than zero")


def check_claim(errors: Errors, obj: Obj) -> None:
    """A PersistentVolumeClaim."""
    spec = obj.get("spec") or {}
    _check_modes(errors, spec.get("accessModes") or ())
    if spec.get("selector") is not None:
        check_selector(errors, "spec.selector", spec["selector"])
    _check_size(errors, "spec.resources[storage]", dig(spec, "resources", "requests", "storage"))
    errors.one_of("spec.volumeMode", spec.get("volumeMode"), _MODES, required=False)


def claim_stays(errors: Errors, new: Obj, old: Obj) -> None:
    """A claim may grow once it is bound, and be bound; nothing else of it changes."""
    after, before = dict(new.get("spec") or {}), dict(old.get("spec") or {})
    if not before.get("volumeName"):
        before["volumeName"] = after.get("volumeName")
    if before.get("storageClassName") is None:
        before["storageClassName"] = after.get("storageClassName")
    was = dig(before, "resources", "requests", "storage")
    now = dig(after, "resources", "requests", "storage")
    if dig(old, "status", "phase") == "Bound":
        before["resources"] = after.get("resources")
        before["volumeAttributesClassName"] = after.get("volumeAttributesClassName")
    after = {key: value for key, value in after.items() if value is not None}
    before = {key: value for key, value in before.items() if value is not None}
    if after != before:
        errors.forbidden(
            "spec",
            "spec is immutable after creation except resources.requests and volumeAttributesClassName "
            f"for bound claims\n{difference(after, before, 'core.PersistentVolumeClaimSpec')}",
        )
    elif was is not None and now is not None and quantity.parse(now) < quantity.parse(was):
        errors.forbidden("spec.resources.requests.storage", "field can not be less than previous value")


def check_volume(errors: Errors, obj: Obj) -> None:
    """A PersistentVolume."""
    spec = obj.get("spec") or {}
    _check_modes(errors, spec.get("accessModes") or ())
    if not spec.get("capacity"):
        errors.required("spec.capacity")
    elif set(spec["capacity"]) != {"storage"}:
        errors.unsupported("spec.capacity", next(iter(spec["capacity"])), ("storage",))
    else:
        _check_size(errors, "spec.capacity[storage]", spec["capacity"]["storage"])
    sources = [key for key in spec if key not in _NO_SOURCE]
    if not sources:
        errors.required("spec", "must specify a volume type")
    for key in sources[1:]:
        errors.forbidden(f"spec.{key}", "may not specify more than 1 volume type")
    if sources == ["local"] and not dig(spec, "nodeAffinity", "required"):
        errors.required("spec.nodeAffinity", "Local volume requires node affinity")
    errors.one_of("spec.persistentVolumeReclaimPolicy", spec.get("persistentVolumeReclaimPolicy"), _RECLAIM)


def volume_stays(errors: Errors, new: Obj, old: Obj) -> None:
    """What a volume is made of stays."""
    after, before = new.get("spec") or {}, old.get("spec") or {}
    sources = [
        {key: value for key, value in spec.items() if key not in _NO_SOURCE} for spec in (after, before)
    ]
    if sources[0] != sources[1]:
        errors.forbidden(
            "spec.persistentvolumesource",
            "spec.persistentvolumesource is immutable after creation\n"
            f"{difference(sources[0], sources[1], 'core.PersistentVolumeSource')}",
        )
    errors.immutable("spec.volumeMode", after.get("volumeMode"), before.get("volumeMode"))


def check_storage_class(errors: Errors, obj: Obj) -> None:
    """A StorageClass."""
    if not obj.get("provisioner"):
        errors.required("provisioner")
    errors.one_of("reclaimPolicy", obj.get("reclaimPolicy"), ("Delete", "Retain"))
    check_topologies(errors, obj.get("allowedTopologies") or ())
    errors.one_of("volumeBindingMode", obj.get("volumeBindingMode"), ("Immediate", "WaitForFirstConsumer"))


def storage_class_stays(errors: Errors, new: Obj, old: Obj) -> None:
    """Of a StorageClass next to nothing changes."""
    for key in ("parameters", "provisioner", "reclaimPolicy"):
        if (new.get(key) or {}) != (old.get(key) or {}):
            errors.forbidden(key, f"updates to {key} are forbidden.")
    errors.immutable("volumeBindingMode", new.get("volumeBindingMode"), old.get("volumeBindingMode"))
