"""OpenAPI v3 documents, one per group and version: kubectl reads them for apply, diff, edit, explain."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson

from firedrill.world.kube.kinds import Kind, Kinds
from firedrill.world.kube.objects import Obj
from firedrill.world.kube.schema.definitions import DEFAULT_VERSION, Definitions, definitions

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_COMPONENT = "#/components/schemas/"
_JSON_TYPES = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
_PATCH_TYPES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)
_QUERY: Mapping[str, tuple[str, str]] = {
    "pretty": ("string", "If 'true', then the output is pretty printed."),
    "dryRun": (
        "string",
        "When present, indicates that modifications should not be persisted. Valid values are: All.",
    ),
    "fieldManager": ("string", "The name of the actor or entity that is making these changes."),
    "fieldValidation": (
        "string",
        "What to do with unknown or duplicate fields. Valid values are: Ignore, Warn, Strict.",
    ),
    "force": ("boolean", "Re-acquire conflicting fields owned by others. Only for apply patches."),
    "gracePeriodSeconds": ("integer", "The duration in seconds before the object should be deleted."),
    "propagationPolicy": ("string", "Whether and how garbage collection will be performed."),
    "labelSelector": ("string", "Restricts the list of returned objects by their labels."),
    "fieldSelector": ("string", "Restricts the list of returned objects by their fields."),
    "limit": ("integer", "The maximum number of responses to return for a list call."),
    "continue": ("string", "The continue option when retrieving more results from the server."),
    "resourceVersion": ("string", "Constraint on what resource versions a request may be served from."),
    "watch": ("boolean", "Watch for changes to the described resources."),
}
_OPERATIONS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    # verb of the API: HTTP method, action, query parameters
    "get": ("get", "get", ("pretty",)),
    "list": (
        "get",
        "list",
        ("pretty", "labelSelector", "fieldSelector", "limit", "continue", "resourceVersion", "watch"),
    ),
    "create": ("post", "post", ("pretty", "dryRun", "fieldManager", "fieldValidation")),
    "update": ("put", "put", ("pretty", "dryRun", "fieldManager", "fieldValidation")),
    "patch": ("patch", "patch", ("pretty", "dryRun", "fieldManager", "fieldValidation", "force")),
    "delete": ("delete", "delete", ("pretty", "dryRun", "gracePeriodSeconds", "propagationPolicy")),
    "deletecollection": (
        "delete",
        "deletecollection",
        ("pretty", "dryRun", "labelSelector", "fieldSelector"),
    ),
}


def root_of(group: str, version: str) -> str:
    """The path of a group and version without the slash in front: `api/v1`, `apis/apps/v1`."""
    return f"apis/{group}/{version}" if group else f"api/{version}"


def openapi_v3_index(kinds: Kinds, release: str = DEFAULT_VERSION) -> Obj:
    """The list of documents, each with the hash of its content in the address."""
    out: Obj = {}
    for group, version in kinds.versions():
        digest = openapi_v3_digest(kinds, group, version, release)
        path = root_of(group, version)
        out[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
    return {"paths": out}


def openapi_v3_bytes(kinds: Kinds, group: str, version: str, release: str = DEFAULT_VERSION) -> bytes:
    """The document of a group and version as JSON; empty where nothing of it is served."""
    return _document(_members(kinds, group, version), release)[0]


def openapi_v3_digest(kinds: Kinds, group: str, version: str, release: str = DEFAULT_VERSION) -> str:
    """The hash in the address of a document: SHA-512 in capital hex digits."""
    return _document(_members(kinds, group, version), release)[1]


def openapi_v3(kinds: Kinds, group: str, version: str, release: str = DEFAULT_VERSION) -> Obj:
    """The document of a group and version, a new dict at each call; empty where nothing of it is served."""
    packed = openapi_v3_bytes(kinds, group, version, release)
    found: Obj = orjson.loads(packed) if packed else {}
    return found


def _members(kinds: Kinds, group: str, version: str) -> tuple[Kind, ...]:
    return tuple(kind for kind in kinds.all() if (kind.group, kind.version) == (group, version))


@lru_cache(maxsize=128)
def _document(members: tuple[Kind, ...], release: str) -> tuple[bytes, str]:
    if not members:
        return b"", ""
    known = definitions(release)
    paths: Obj = {}
    schemas: Obj = {}
    wanted = {f"{_META}DeleteOptions", f"{_META}Status", f"{_META}Patch", f"{_META}WatchEvent"}
    for kind in members:
        for name, node in _custom_types(kind):
            schemas[name] = _rendered(node)
            wanted |= _references(node)
        for types, path, item in _paths(kind, known):
            wanted |= types
            paths[path] = item
    schemas.update(_closure(known, wanted))
    document = {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": f"v{release}.0"},
        "paths": paths,
        "components": {"schemas": dict(sorted(schemas.items()))},
    }
    packed = orjson.dumps(document)
    return packed, hashlib.sha512(packed).hexdigest().upper()


def type_name(known: Definitions, group: str, version: str, kind: str) -> str:
    """The name of a kind's type; for a custom resource, of its group's name from behind."""
    found = known.name_of(group, version, kind)
    if found is not None:
        return found
    return ".".join([*reversed(group.split(".")), version, kind])


def _custom_types(kind: Kind) -> Iterator[tuple[str, Obj]]:
    if not kind.custom:
        return
    name = ".".join([*reversed(kind.group.split(".")), kind.version, kind.kind])
    declared = dict(kind.openapi or {"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    texts = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
    declared["properties"] = {
        **(declared.get("properties") or {}),
        **texts,
        "metadata": {"$ref": f"{_META}ObjectMeta"},
    }
    gvk = {"group": kind.group, "version": kind.version}
    declared["x-kubernetes-group-version-kind"] = [{**gvk, "kind": kind.kind}]
    yield name, declared
    listed: Obj = {
        "type": "object",
        "required": ["items"],
        "properties": {
            **texts,
            "items": {"type": "array", "items": {"$ref": name}},
            "metadata": {"$ref": f"{_META}ListMeta"},
        },
        "x-kubernetes-group-version-kind": [{**gvk, "kind": kind.list_kind}],
    }
    yield f"{name}List", listed


def _closure(known: Definitions, wanted: set[str]) -> Obj:
    out: Obj = {}
    todo = sorted(wanted)
    while todo:
        name = todo.pop()
        node = known.raw.get(name)
        if name not in out and node is not None:
            out[name] = _rendered(node)
            todo += sorted(_references(node))
    return out


def _below(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The schemas inside a schema. Only keywords are followed: a property may be called `$ref`."""
    yield from (node.get("properties") or {}).values()
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), Mapping):
            yield node[key]


def _references(node: Mapping[str, Any]) -> set[str]:
    out: set[str] = set()
    todo = [node]
    while todo:
        here = todo.pop()
        if isinstance(here.get("$ref"), str):
            out.add(here["$ref"])
        todo += list(_below(here))
    return out


def _rendered(node: Mapping[str, Any]) -> Obj:
    """A schema in the form of OpenAPI v3: a reference with a description stands in `allOf`."""
    out: Obj = {}
    for key, value in node.items():
        if key == "$ref" and isinstance(value, str):
            out["allOf"] = [{"$ref": _COMPONENT + value}]
        elif key == "properties":
            out[key] = {name: _rendered(item) for name, item in value.items()}
        elif key in {"items", "additionalProperties"} and isinstance(value, Mapping):
            out[key] = _rendered(value)
        else:
            out[key] = value
    if list(out) == ["allOf"]:
        return dict(out["allOf"][0])
    return out


def _paths(kind: Kind, known: Definitions) -> Iterator[tuple[set[str], str, Obj]]:
    """(types that it needs, path, path item)."""
    root = f"/{root_of(kind.group, kind.version)}"
    base = f"{root}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"{root}/{kind.plural}"
    own = type_name(known, kind.group, kind.version, kind.kind)
    gvk = (kind.group, kind.version, kind.kind)
    places = ["namespace"] if kind.namespaced else []
    types = {own, f"{own}List"}
    collection = [verb for verb in ("list", "create", "deletecollection") if verb in kind.verbs]
    if collection:
        yield types, base, _item(collection, gvk, own, places)
    one = [verb for verb in ("get", "update", "patch", "delete") if verb in kind.verbs]
    if one:
        yield types, f"{base}/{{name}}", _item(one, gvk, own, ["name", *places], custom=kind.custom)
    if kind.namespaced and "list" in kind.verbs:
        yield types, f"{root}/{kind.plural}", _item(["list"], gvk, own, [])
    for part in kind.subresources.values():
        if part.kind.endswith("Options"):
            continue  # a connection to a container carries no object
        carried = type_name(known, part.group, part.version, part.kind)
        verbs = [verb for verb in ("get", "create", "update", "patch") if verb in part.verbs]
        path = f"{base}/{{name}}/{part.name}"
        gvk_part = (part.group, part.version, part.kind)
        yield {carried}, path, _item(verbs, gvk_part, carried, ["name", *places], custom=kind.custom)


def _item(
    verbs: Sequence[str],
    gvk: tuple[str, str, str],
    type_: str,
    places: Sequence[str],
    *,
    custom: bool = False,
) -> Obj:
    out: Obj = {_OPERATIONS[verb][0]: _operation(verb, gvk, type_) for verb in verbs}
    if custom and "patch" in out:  # objects without a type of their own have no strategic merge
        out["patch"]["requestBody"]["content"].pop("application/strategic-merge-patch+json")
    if places:
        out["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string", "uniqueItems": True}}
            for name in places
        ]
    return out


def _operation(verb: str, gvk: tuple[str, str, str], type_: str) -> Obj:
    method, action, query = _OPERATIONS[verb]
    answer = f"{type_}List" if verb == "list" else type_
    if verb in {"delete", "deletecollection"}:
        answer = f"{_META}Status"
    out: Obj = {
        "operationId": f"{action}-{'-'.join(item for item in gvk if item)}",
        "parameters": [
            {
                "name": name,
                "in": "query",
                "description": _QUERY[name][1],
                "schema": {"type": _QUERY[name][0], "uniqueItems": True},
            }
            for name in query
        ],
        "responses": {
            "200": {"description": "OK", "content": _content(_JSON_TYPES, answer)},
            "401": {"description": "Unauthorized"},
        },
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": dict(zip(("group", "version", "kind"), gvk, strict=True)),
    }
    if method in {"post", "put"}:
        out["requestBody"] = {"required": True, "content": _content(("*/*",), type_)}
    elif method == "patch":
        out["requestBody"] = {"required": True, "content": _content(_PATCH_TYPES, f"{_META}Patch")}
    elif method == "delete":
        out["requestBody"] = {"content": _content(("*/*",), f"{_META}DeleteOptions")}
    return out


def _content(types: tuple[str, ...], name: str) -> Obj:
    return {media: {"schema": {"$ref": _COMPONENT + name}} for media in types}
