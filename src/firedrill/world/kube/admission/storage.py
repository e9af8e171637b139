"""Plugins about storage and ingress: default classes, protection of what is in use, growth of claims."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firedrill.world.kube.admission.base import Attributes, Base
from firedrill.world.kube.objects import Obj, annotations_of, dig, meta, name_of, with_path
from firedrill.world.kube.quantity import parse

_CLAIMS, _CLASSES = "persistentvolumeclaims", "storageclasses.storage.k8s.io"
_OLD_CLASS = "volume.beta.kubernetes.io/storage-class"


def default_class(a: Attributes, resource: str, annotation: str) -> Mapping[str, Any] | None:
    """The class that is marked as the default; of several the newest, then the first by name."""
    marked = [item for item in a.store.list(resource) if annotations_of(item).get(annotation) == "true"]
    marked.sort(key=name_of)
    marked.sort(key=lambda item: str(meta(item).get("creationTimestamp") or ""), reverse=True)
    return marked[0] if marked else None


class DefaultStorageClass(Base):
    """A claim without a class gets the default one."""

    name = "DefaultStorageClass"

    def admit(self, a: Attributes) -> Obj | None:
        """Fill in the class of a new claim."""
        if not a.creates(_CLAIMS) or a.obj is None or _OLD_CLASS in annotations_of(a.obj):
            return None
        if dig(a.obj, "spec", "storageClassName") is not None:
            return None
        found = default_class(a, _CLASSES, "storageclass.kubernetes.io/is-default-class")
        return with_path(a.obj, ("spec", "storageClassName"), name_of(found)) if found else None


class DefaultIngressClass(Base):
    """An ingress without a class gets the default one."""

    name = "DefaultIngressClass"

    def admit(self, a: Attributes) -> Obj | None:
        """Fill in the class of a new ingress."""
        if not a.creates("ingresses.networking.k8s.io") or a.obj is None:
            return None
        if dig(a.obj, "spec", "ingressClassName") or "kubernetes.io/ingress.class" in annotations_of(a.obj):
            return None
        found = default_class(
            a, "ingressclasses.networking.k8s.io", "ingressclass.kubernetes.io/is-default-class"
        )
        return with_path(a.obj, ("spec", "ingressClassName"), name_of(found)) if found else None


_FINALIZERS = {_CLAIMS: "kubernetes.io/pvc-protection", "persistentvolumes": "kubernetes.io/pv-protection"}


class StorageObjectInUseProtection(Base):
    """Claims and volumes stay until nobody uses them."""

    name = "StorageObjectInUseProtection"

    def admit(self, a: Attributes) -> Obj | None:
        """Add the finalizer to a new claim or volume."""
        if not a.creates(*_FINALIZERS) or a.obj is None:
            return None
        finalizer, given = _FINALIZERS[a.resource], meta(a.obj).get("finalizers") or ()
        if finalizer in given:
            return None
        return with_path(a.obj, ("metadata", "finalizers"), [*given, finalizer])


class PersistentVolumeClaimResize(Base):
    """Only claims whose class allows it may grow."""

    name = "PersistentVolumeClaimResize"

    def validate(self, a: Attributes) -> tuple[str, ...]:
        """Refuse growth that the class does not allow."""
        if a.operation != "UPDATE" or a.resource != _CLAIMS or a.subresource or not a.obj or not a.old:
            return ()
        path = ("spec", "resources", "requests", "storage")
        before, after = dig(a.old, *path, default="0"), dig(a.obj, *path, default="0")
        if parse(after) <= parse(before):
            return ()
        if dig(a.old, "status", "phase") != "Bound":
            raise a.forbidden("Only bound persistent volume claims can be expanded")
        storage_class = a.store.get(_CLASSES, "", dig(a.obj, "spec", "storageClassName", default=""))
        if not (storage_class or {}).get("allowVolumeExpansion"):
            raise a.forbidden(
                "only dynamically provisioned pvc can be resized and "
                "the storageclass that provisions the pvc must support resize"
            )
        return ()
