"""Who wrote which field: `metadata.managedFields` of ordinary writes.

Follows structured-merge-diff: a writer comes to own what it changed or added, everybody loses what was
removed and all others lose what it changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firedrill.world.kube.objects import Obj
from firedrill.world.kube.patch.fields import (
    Fields,
    elements,
    fields_of,
    is_granular_map,
    list_keys,
    united,
    without,
)
from firedrill.world.kube.patch.schema import SchemaView, child, element

MAX_UPDATERS = 10
ANCIENT = "ancient-changes"
_HIDDEN = (
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "generation",
    "resourceVersion",
    "managedFields",
)
_MISSING = object()


# Go writes these even where nothing was said, so nobody comes to own them as such.
_POD: Obj = {"metadata": {}, "spec": {"containers": []}}
_STRUCTS: Obj = {
    "spec": {
        "containers": [],
        "jobTemplate": {"metadata": {}, "spec": {"template": _POD}},
        "strategy": {},
        "template": _POD,
        "updateStrategy": {},
    },
    "status": {},
}


class Changes:
    """Three sets: what was changed, added and removed."""

    __slots__ = ("removed", "written")

    def __init__(self) -> None:
        self.written: Fields = {}
        self.removed: Fields = {}


def compare(old: Obj, new: Obj, schema: SchemaView | None) -> Changes:
    """What a write did to the fields that have owners."""
    out = Changes()
    if str(getattr(schema, "name", "")).startswith("io.k8s."):
        old, new = _with_structs(old, new, _STRUCTS), _with_structs(new, old, _STRUCTS)
    for key in sorted(old.keys() | new.keys()):
        if key in ("apiVersion", "kind"):
            continue
        before, after = old.get(key, _MISSING), new.get(key, _MISSING)
        if key == "metadata":
            before, after = _visible(before), _visible(after)
        written, removed = _compare(before, after, child(schema, key))
        if key == "metadata" and written is not None:
            written.pop(".", None)
            written = written or None
        if written is not None:
            out.written[f"f:{key}"] = written
        if removed is not None:
            out.removed[f"f:{key}"] = removed
    return out


def _with_structs(obj: Obj, other: Obj, shape: Obj) -> Obj:
    """The object with the empty structs that Go would have written where the other has something."""
    out = obj
    for key, below in shape.items():
        theirs, ours = other.get(key), obj.get(key)
        if theirs is None or theirs is ours:
            continue
        if ours is None:
            ours = type(below)()
        made = _with_structs(ours, theirs, below) if isinstance(theirs, dict) and below else ours
        if made is not obj.get(key):
            out = {**out, key: made}
    return out


def _visible(metadata: Any) -> Any:
    if not isinstance(metadata, dict):
        return {}
    return {key: value for key, value in metadata.items() if key not in _HIDDEN}


def _compare(old: Any, new: Any, schema: SchemaView | None) -> tuple[Fields | None, Fields | None]:
    """Written and removed fields below a place (None: nothing)."""
    if old is new or (old == new and isinstance(old, bool) is isinstance(new, bool)):
        return None, None
    if old is _MISSING:
        return _with_self(fields_of(new, schema)), None
    if new is _MISSING:
        return None, _with_self(fields_of(old, schema))
    if isinstance(old, dict) and isinstance(new, dict) and is_granular_map(schema) and (old or new):
        return _compare_maps(
            {f"f:{key}": (value, key) for key, value in old.items()},
            {f"f:{key}": (value, key) for key, value in new.items()},
            schema,
        )
    if isinstance(old, list) and isinstance(new, list):
        keys = list_keys(schema)
        if keys is not None and (old or new):
            before, after = elements(old, keys, schema), elements(new, keys, schema)
            if before is not None and after is not None:
                return _compare_maps(
                    {key: (value, None) for key, value in before.items()},
                    {key: (value, None) for key, value in after.items()},
                    schema,
                )
    return {}, None


def _compare_maps(
    old: dict[str, tuple[Any, str | None]], new: dict[str, tuple[Any, str | None]], schema: SchemaView | None
) -> tuple[Fields | None, Fields | None]:
    written: Fields = {}
    removed: Fields = {}
    nothing = (_MISSING, None)
    for key in (*old, *(key for key in new if key not in old)):
        before, after = old.get(key, nothing)[0], new.get(key, nothing)[0]
        if before is after:
            continue
        name = (old.get(key) or new[key])[1]
        below = element(schema) if name is None else child(schema, name)
        one, other = _compare(before, after, below)
        if one is not None:
            written[key] = one
        if other is not None:
            removed[key] = other
    return written or None, removed or None


def _with_self(fields: Fields) -> Fields:
    """A place that came or went: itself and all below."""
    if not fields:
        return fields
    return {".": {}, **{key: _with_self(value) for key, value in fields.items() if key != "."}}


def identity(entry: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """What makes two entries the same manager."""
    operation = str(entry.get("operation", ""))
    version = "" if operation == "Apply" else str(entry.get("apiVersion", ""))
    return str(entry.get("manager", "")), operation, version, str(entry.get("subresource", ""))


def entry(manager: str, operation: str, api_version: str, time: str, fields: Fields, subresource: str) -> Obj:
    """One element of `managedFields`."""
    out = {
        "manager": manager,
        "operation": operation,
        "apiVersion": api_version,
        "time": time,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    return {**out, "subresource": subresource} if subresource else out


def managed(obj: Mapping[str, Any]) -> list[Obj]:
    """The entries of an object that hold fields."""
    found = (obj.get("metadata") or {}).get("managedFields")
    return [item for item in found or () if isinstance(item, dict) and item.get("fieldsV1")]


def with_managed(obj: Obj, entries: list[Obj]) -> Obj:
    """The object with these entries, sorted as a server sorts them."""
    metadata = {key: value for key, value in (obj.get("metadata") or {}).items() if key != "managedFields"}
    if entries:
        metadata["managedFields"] = sorted(entries, key=_order)
    return {**obj, "metadata": metadata}


def _order(item: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(
        str(item.get(key) or "") for key in ("operation", "time", "manager", "apiVersion", "subresource")
    )


def track_update(
    old: Obj | None,
    new: Obj,
    manager: str,
    operation_time: str,
    api_version: str,
    subresource: str = "",
    schema: SchemaView | None = None,
) -> Obj:
    """The new object with `managedFields` after an ordinary write.

    Args:
        old: what was stored; None for a creation.
        new: what will be stored, without the server's own bookkeeping settled.
        manager: the field manager's name; empty where the request gave none that could be told.
        operation_time: RFC 3339.
        api_version: of the request, as in `apps/v1`.
        subresource: `status`, `scale`, or empty.
        schema: of the kind; None makes lists atomic.

    Returns:
        A new object, or `new` itself where nothing that has an owner was changed.
    """
    given = (new.get("metadata") or {}).get("managedFields")
    if given == [{}]:
        return with_managed(new, [])
    before = managed(new) if given and not subresource else managed(old or {})
    changes = compare(old or {}, new, schema)
    if not changes.written and not changes.removed:
        return new if (given or []) == before else with_managed(new, before)
    own = (manager, "Update", api_version, subresource)
    entries = []
    mine: Fields = {}
    for item in before:
        left = item["fieldsV1"]
        if changes.removed:
            left = without(left, changes.removed)
        if identity(item) == own:
            mine = left
            if not changes.written and left:
                entries.append(item if left is item["fieldsV1"] else {**item, "fieldsV1": left})
            continue
        if changes.written:
            left = without(left, changes.written)
        if left == item["fieldsV1"]:
            entries.append(item)
        elif left:
            entries.append({**item, "fieldsV1": left})
    if changes.written:
        fields = united(mine, changes.written)
        entries.append(entry(manager, "Update", api_version, operation_time, fields, subresource))
    return with_managed(new, _capped(entries))


def _capped(entries: list[Obj]) -> list[Obj]:
    """At most ten updaters: the oldest of one version are melted into one."""
    updaters = [item for item in entries if item.get("operation") == "Update"]
    excess = len(updaters) - MAX_UPDATERS
    if excess <= 0:
        return entries
    updaters.sort(key=_order)
    others = [item for item in entries if item.get("operation") != "Update"]
    first: dict[str, int] = {}
    kept: list[Obj | None] = list(updaters)
    for place, item in enumerate(updaters):
        if excess <= 0:
            break
        version = str(item.get("apiVersion", ""))
        if version not in first:
            first[version] = place
            continue
        bucket = kept[first[version]] or item
        fields = united(bucket["fieldsV1"], item["fieldsV1"])
        kept[first[version]] = entry(ANCIENT, "Update", version, str(item.get("time", "")), fields, "")
        kept[place] = None
        excess -= 1
    return others + [item for item in kept if item is not None]
