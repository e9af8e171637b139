"""The rules of `metadata`, of label selectors, and of their updates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from firedrill.world.kube.kinds import Kind
from firedrill.world.kube.schema.check import names
from firedrill.world.kube.schema.check.fields import Errors, go_selector

_ANNOTATIONS_LIMIT = 256 * 1024
_STANDARD_FINALIZERS = frozenset({"kubernetes", "orphan", "foregroundDeletion"})


def check_metadata(errors: Errors, kind: Kind, metadata: Mapping[str, Any]) -> None:
    """Name, namespace, labels, annotations, finalizers and owners of a new object."""
    prefix = metadata.get("generateName")
    name = metadata.get("name") or ""
    if prefix:
        for problem in names.object_name(kind.resource, str(prefix).rstrip("-") + "a"):
            errors.invalid("metadata.generateName", prefix, problem)
    if not name:
        errors.required("metadata.name", "name or generateName is required")
    else:
        for problem in names.object_name(kind.resource, str(name)):
            errors.invalid("metadata.name", name, problem)
    if kind.namespaced:
        if not metadata.get("namespace"):
            errors.required("metadata.namespace")
        else:
            for problem in names.problems("label", str(metadata["namespace"])):
                errors.invalid("metadata.namespace", metadata["namespace"], problem)
    elif metadata.get("namespace"):
        errors.forbidden("metadata.namespace", "not allowed on this type")
    check_changeable(errors, metadata)


def check_changeable(errors: Errors, metadata: Mapping[str, Any], path: str = "metadata") -> None:
    """The parts of the metadata that may change later on."""
    check_labels(errors, f"{path}.labels", metadata.get("labels"))
    check_annotations(errors, f"{path}.annotations", metadata.get("annotations"))
    for text in metadata.get("finalizers") or ():
        found = names.qualified(text)
        for problem in found:
            errors.invalid(f"{path}.finalizers", text, problem)
        if not found and "/" not in text and text not in _STANDARD_FINALIZERS:
            errors.invalid(
                f"{path}.finalizers",
                text,
                "name is neither a standard finalizer name nor is it fully qualified",
            )
    _check_owners(errors, f"{path}.ownerReferences", metadata.get("ownerReferences") or ())


def _check_owners(errors: Errors, path: str, owners: Sequence[Mapping[str, Any]]) -> None:
    controllers = ""
    for owner in owners:
        for field, what in (("apiVersion", "version"), ("kind", "kind"), ("name", "name"), ("uid", "uid")):
            if not owner.get(field):
                where = f"{path}.{field}"
                errors.invalid(where, owner.get(field) or "", f"{what} must not be empty")
        if owner.get("controller"):
            if controllers:
                errors.invalid(
                    path,
                    controllers,
                    'Only one reference can have Controller set to true. Found "true" in references for '
                    f"{controllers} and {owner.get('kind')}/{owner.get('name')}",
                )
            controllers = f"{owner.get('kind')}/{owner.get('name')}"


def check_labels(errors: Errors, path: str, labels: Mapping[str, Any] | None) -> None:
    """Keys and values of labels."""
    for key, value in (labels or {}).items():
        for problem in names.qualified(key):
            errors.invalid(path, key, problem)
        for problem in names.problems("label_value", str(value)):
            errors.invalid(path, value, problem)


def check_annotations(errors: Errors, path: str, annotations: Mapping[str, Any] | None) -> None:
    """Keys of annotations, and the size of all of them."""
    size = 0
    for key, value in (annotations or {}).items():
        size += len(key.encode("utf-8", "surrogatepass")) + len(str(value).encode("utf-8", "surrogatepass"))
        for problem in names.qualified(key.lower()):
            errors.invalid(path, key, problem)
    if size > _ANNOTATIONS_LIMIT:
        errors.too_long(path, "", _ANNOTATIONS_LIMIT)


def check_metadata_update(errors: Errors, kind: Kind, new: Mapping[str, Any], old: Mapping[str, Any]) -> None:
    """What must stay the same, then the rules for what may change."""
    for field in ("name", "namespace", "uid", "creationTimestamp"):
        if new.get(field) != old.get(field):
            errors.immutable(f"metadata.{field}", new.get(field) or "", old.get(field) or "")
    if old.get("deletionTimestamp") and set(new.get("finalizers") or ()) - set(old.get("finalizers") or ()):
        added = sorted(set(new.get("finalizers") or ()) - set(old.get("finalizers") or ()))
        errors.forbidden(
            "metadata.finalizers",
            "no new finalizers can be added if the object is being deleted, found new finalizers "
            f"[]string{{{', '.join(chr(34) + item + chr(34) for item in added)}}}",
        )
    check_changeable(errors, new)


def check_selector(
    errors: Errors, path: str, selector: Mapping[str, Any] | None, *, kind: str = "", empty: bool = True
) -> None:
    """A label selector.

    Args:
        kind: of the workload, for the text about an empty selector.
        empty: whether it may select everything.
    """
    if selector is None:
        errors.required(path)
        return
    check_labels(errors, f"{path}.matchLabels", selector.get("matchLabels"))
    for index, item in enumerate(selector.get("matchExpressions") or ()):
        here = f"{path}.matchExpressions[{index}]"
        operator = item.get("operator")
        if operator in {"In", "NotIn"}:
            if not item.get("values"):
                errors.required(f"{here}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in {"Exists", "DoesNotExist"}:
            if item.get("values"):
                errors.forbidden(
                    f"{here}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                )
        else:
            errors.invalid(f"{here}.operator", operator or "", "not a valid selector operator")
        for problem in names.qualified(str(item.get("key") or "")):
            errors.invalid(f"{here}.key", item.get("key") or "", problem)
        for at, value in enumerate(item.get("values") or ()):
            for problem in names.problems("label_value", str(value)):
                errors.invalid(f"{here}.values[{at}]", value, problem)
    if not empty and not selector.get("matchLabels") and not selector.get("matchExpressions"):
        errors.invalid(path, go_selector(selector), f"empty selector is invalid for {kind}")
