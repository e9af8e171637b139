"""Server-side apply: what an applier says becomes so, what it stops saying goes, the rest is others'."""

from __future__ import annotations

from typing import Any

import orjson

from firedrill.world.kube.objects import Obj, annotations_of, dig, name_of, namespace_of
from firedrill.world.kube.patch.errors import PatchError, bad_request, check_depth, conflict, server_error
from firedrill.world.kube.patch.fields import (
    Fields,
    common,
    elements,
    fields_of,
    is_granular_map,
    is_member,
    list_keys,
    paths,
    united,
    without,
)
from firedrill.world.kube.patch.managers import _HIDDEN, compare, entry, identity, managed, with_managed
from firedrill.world.kube.patch.schema import SchemaView, child, element

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_GONE = object()


def server_side_apply(
    live: Obj | None,
    applied: Any,
    manager: str,
    schema: SchemaView | None,
    force: bool,
    now_text: str,
    api_version: str,
    subresource: str = "",
) -> Obj:
    """The object after an apply, with `managedFields`.

    Args:
        live: what is stored; None where the apply creates.
        applied: what the applier wants, and nothing else.
        manager: its name.
        schema: of the kind; None makes lists atomic.
        force: takes over fields of others instead of answering 409.
        now_text: RFC 3339.
        api_version: of the request.
        subresource: `status`, `scale`, or empty. `status` is left out of an apply to the object, and
            everything but `status` of an apply to the status.

    Returns:
        A new object, or `live` itself where nothing changes.

    Raises:
        PatchError: 400 for what cannot be applied, 409 for conflicts, 500 for a document that the schema
            does not allow.
    """
    if not isinstance(applied, dict):
        raise bad_request("error decoding YAML: expected an object")
    check_depth(applied)
    if dig(applied, "metadata", "managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    applied = _without_null(applied)
    _check(applied, schema, api_version)
    wanted = _owned(applied, schema, subresource)
    if live is None:
        made = {key: value for key, value in applied.items() if subresource == "status" or key != "status"}
        owner = [entry(manager, "Apply", api_version, now_text, wanted, subresource)] if wanted else []
        return with_managed(made, owner)
    entries = managed(live) or _before_first_apply(live, schema, now_text)
    said = _only(applied, subresource)
    return _apply(live, said, wanted, entries, manager, schema, force, now_text, api_version, subresource)


def _apply(
    live: Obj,
    said: Obj,
    wanted: Fields,
    entries: list[Obj],
    manager: str,
    schema: SchemaView | None,
    force: bool,
    now_text: str,
    api_version: str,
    subresource: str,
) -> Obj:
    own = (manager, "Apply", "", subresource)
    mine = next((item for item in entries if identity(item) == own), None)
    others = [item for item in entries if identity(item) != own]
    new = _merged(live, said, schema)
    if mine is not None:
        held = wanted
        for item in others:
            held = united(held, item["fieldsV1"])
        pruned = _pruned(new, mine["fieldsV1"], held, schema)
        new = pruned if isinstance(pruned, dict) else {}
    changes = compare(live, new, schema)
    taken = [(item, common(item["fieldsV1"], changes.written)) for item in others]
    clashes = [(item, fields) for item, fields in taken if fields]
    if clashes and manager == "kubectl":
        clashes = _not_said_before(clashes, live, schema)
    if clashes and not force:
        raise _conflict(clashes)
    kept = []
    for item, fields in taken:
        left = without(without(item["fieldsV1"], fields), changes.removed)
        if left:
            kept.append(item if left == item["fieldsV1"] else {**item, "fieldsV1": left})
    nothing_new = not changes.written and not changes.removed and kept == others
    if nothing_new and mine is not None and mine["fieldsV1"] == wanted and mine["apiVersion"] == api_version:
        return live
    if wanted:
        kept.append(entry(manager, "Apply", api_version, now_text, wanted, subresource))
    return with_managed(new, kept)


# --- what is applied


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_null(item) for key, item in value.items() if item is not None}
    return [_without_null(item) for item in value] if isinstance(value, list) else value


def _only(applied: Obj, subresource: str) -> Obj:
    """The part of a document that an apply to this (sub)resource may say."""
    if subresource == "status":
        return {key: value for key, value in applied.items() if key in ("apiVersion", "kind", "status")}
    metadata = {key: value for key, value in (applied.get("metadata") or {}).items() if key not in _HIDDEN}
    out = {key: value for key, value in applied.items() if key not in ("status", "metadata")}
    return {**out, "metadata": metadata} if metadata else out


def _owned(applied: Obj, schema: SchemaView | None, subresource: str) -> Fields:
    said = _only(applied, subresource)
    return fields_of({key: value for key, value in said.items() if key not in ("apiVersion", "kind")}, schema)


def _check(applied: Obj, schema: SchemaView | None, api_version: str) -> None:
    problems = list(_problems(applied, schema, ""))
    if not problems:
        return
    group, _, version = api_version.rpartition("/")
    about = f"{namespace_of(applied)}/{name_of(applied)}; {group}/{version}".replace("; /", "; ")
    text = problems[0] if len(problems) == 1 else "errors:\n" + "\n".join(f"  {one}" for one in problems)
    raise server_error(
        f"failed to create typed patch object ({about}, Kind={applied.get('kind', '')}): {text}"
    )


def _problems(value: Any, schema: SchemaView | None, path: str) -> list[str]:
    if schema is None:
        return []
    if isinstance(value, dict):
        out = []
        for key, item in value.items():
            if not path and key in ("apiVersion", "kind", "metadata") and schema.property(key) is None:
                continue
            below = child(schema, key)
            if below is None and _is_closed(schema):
                out.append(f"{path}.{key}: field not declared in schema")
            else:
                out += _problems(item, below, f"{path}.{key}")
        return out
    return _list_problems(value, schema, path) if isinstance(value, list) else []


def _is_closed(schema: SchemaView) -> bool:
    known = getattr(schema, "properties", None)
    return bool(known) and not schema.extension("x-kubernetes-preserve-unknown-fields")


def _list_problems(value: list[Any], schema: SchemaView, path: str) -> list[str]:
    keys = list_keys(schema)
    if keys is None:
        return []
    out, seen = [], set()
    for place, item in enumerate(value):
        named = elements([item], keys, schema)
        if named is None:
            missing = next((key for key in keys if isinstance(item, dict) and item.get(key) is None), "")
            reason = f'omits key field "{missing}" (and doesn\'t have default value)'
            out.append(f"{path}: element {place}: associative list with keys has an element that {reason}")
            continue
        (name,) = named
        here = path + next(paths({name: {}}))
        if name in seen:
            out.append(f"{path}: duplicate entries for key {here.removeprefix(path)}")
        seen.add(name)
        out += _problems(item, element(schema), here)
    return out


# --- merging and pruning


def _merged(live: Any, said: Any, schema: SchemaView | None) -> Any:
    if isinstance(live, dict) and isinstance(said, dict) and is_granular_map(schema):
        out = dict(live)
        for key, value in said.items():
            out[key] = _merged(live[key], value, child(schema, key)) if key in live else value
        return out
    if isinstance(live, list) and isinstance(said, list):
        keys = list_keys(schema)
        if keys is not None:
            old, new = elements(live, keys, schema), elements(said, keys, schema)
            if old is not None and new is not None:
                return _merged_list(old, new, schema)
    return said


def _merged_list(old: dict[str, Any], new: dict[str, Any], schema: SchemaView | None) -> list[Any]:
    """Elements of both: the applied in their order, those of others where they stood between them."""
    below = element(schema)
    ours, theirs = list(new), list(old)
    out: list[Any] = []
    done: set[str] = set()
    left = right = 0
    while left < len(theirs) or right < len(ours):
        name = theirs[left] if left < len(theirs) else None
        if name is not None and name in done:
            left += 1
        elif name is not None and name not in new:
            out.append(old[name])
            left += 1
        else:
            name = ours[right]
            out.append(_merged(old[name], new[name], below) if name in old else new[name])
            done.add(name)
            right += 1
    return out


def _pruned(value: Any, last: Fields, held: Fields, schema: SchemaView | None) -> Any:
    """The value without what the applier held last and nobody holds now."""
    if isinstance(value, dict) and is_granular_map(schema):
        out = {}
        for key, item in value.items():
            left = _pruned_child(item, last.get(f"f:{key}"), held.get(f"f:{key}"), child(schema, key), True)
            if left is not _GONE:
                out[key] = left
        return out if out or not value else _GONE
    if isinstance(value, list):
        keys = list_keys(schema)
        named = None if keys is None else elements(value, keys, schema)
        if named is None:
            return value
        items = [
            _pruned_child(item, last.get(name), held.get(name), element(schema), False)
            for name, item in named.items()
        ]
        kept = [item for item in items if item is not _GONE]
        return kept if kept or not value else _GONE
    return value


def _pruned_child(
    item: Any, last: Fields | None, held: Fields | None, schema: SchemaView | None, named: bool
) -> Any:
    if last is None:
        return item
    if held is None or (not named and is_member(last) and not is_member(held)):
        return _GONE
    return _pruned(item, last, held, schema) if last and held else item


# --- conflicts


def _who(item: Obj) -> str:
    text = orjson.dumps(str(item.get("manager", ""))).decode()
    if item.get("subresource"):
        text += f' with subresource "{item["subresource"]}"'
    if item.get("operation") == "Update":
        text += f" using {item.get('apiVersion')}"
    return text


def _conflict(found: list[tuple[Obj, Fields]]) -> PatchError:
    named = sorted(
        ((_who(item), path) for item, fields in found for path in paths(fields)), key=lambda one: one[0]
    )
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": path}
        for who, path in named
    ]
    if len(named) == 1:
        who, path = named[0]
        return conflict(f"Apply failed with 1 conflict: conflict with {who}: {path}", causes)
    lines: list[str] = []
    for who, path in named:
        if f"conflicts with {who}:" not in lines:
            lines.append(f"conflicts with {who}:")
        lines.append(f"- {path}")
    return conflict(f"Apply failed with {len(named)} conflicts: " + "\n".join(lines), causes)


def _before_first_apply(live: Obj, schema: SchemaView | None, now_text: str) -> list[Obj]:
    """An object that nobody is on record for: what it holds belongs to whoever wrote it."""
    fields = compare({}, live, schema).written
    version = str(live.get("apiVersion", ""))
    return [entry("before-first-apply", "Update", version, now_text, fields, "")] if fields else []


def _not_said_before(
    clashes: list[tuple[Obj, Fields]], live: Obj, schema: SchemaView | None
) -> list[tuple[Obj, Fields]]:
    """The conflicts about what is not, as it stands, the word of kubectl's client-side apply."""
    try:
        said = orjson.loads(annotations_of(live).get(LAST_APPLIED) or "null")
    except orjson.JSONDecodeError:
        return clashes
    if not isinstance(said, dict):
        return clashes
    check_depth(said)
    since = compare(said, live, schema)
    known = fields_of(
        {key: value for key, value in said.items() if key not in ("apiVersion", "kind")}, schema
    )
    known = without(without(known, since.written), since.removed)
    known = united(known, {"f:metadata": {"f:annotations": {f"f:{LAST_APPLIED}": {}}}})
    left = ((item, without(fields, known)) for item, fields in clashes)
    return [(item, fields) for item, fields in left if fields]
