"""Sets of fields in the form of `FieldsV1`.

A set is the JSON itself: `{"f:spec": {"f:replicas": {}}}`. An empty dict is a member without children,
`"."` marks a member that has children too. Keys are `f:` a field, `k:` an element by its key fields,
`v:` an element of a set by its value. Sets are never changed, only rebuilt along the path.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import orjson

from firedrill.world.kube.patch.schema import SchemaView, child, element, extension

Fields = dict[str, Any]

_SORTED = orjson.OPT_SORT_KEYS


def union(a: Fields, b: Fields) -> Fields:
    """What is in either."""
    if not a:
        return {".": {}, **b} if b and "." not in b else b
    if not b:
        return {".": {}, **a} if "." not in a else a
    return _united(a, b)


def _united(a: Fields, b: Fields) -> Fields:
    out = dict(a)
    for key, value in b.items():
        out[key] = union(out[key], value) if key in out and key != "." else value
    return out


def united(a: Fields, b: Fields) -> Fields:
    """The union of two whole sets, where an empty dict is a set without members."""
    return _united(a, b) if a and b else a or b


def difference(a: Fields, b: Fields) -> Fields | None:
    """What is in `a` and not in `b`; None where nothing is left."""
    member_a, member_b = _member(a), _member(b)
    out: Fields = {}
    for key, value in a.items():
        if key == ".":
            continue
        left = difference(value, b[key]) if key in b else value
        if left is not None:
            out[key] = left
    if member_a and not member_b:
        return {".": {}, **out} if out else {}
    return out or None


def without(a: Fields, b: Fields) -> Fields:
    """The difference of two whole sets."""
    if not a or not b:
        return a
    out: Fields = {}
    for key, value in a.items():
        left = difference(value, b[key]) if key in b and key != "." else value
        if left is not None:
            out[key] = left
    return out


def intersection(a: Fields, b: Fields) -> Fields | None:
    """What is in both; None where that is nothing."""
    out: Fields = {}
    for key, value in a.items():
        if key != "." and key in b:
            both = intersection(value, b[key])
            if both is not None:
                out[key] = both
    if _member(a) and _member(b):
        return {".": {}, **out} if out else {}
    return out or None


def common(a: Fields, b: Fields) -> Fields:
    """The intersection of two whole sets."""
    out = {key: intersection(value, b[key]) for key, value in a.items() if key != "." and key in b}
    return {key: value for key, value in out.items() if value is not None}


def _member(node: Fields) -> bool:
    return not node or "." in node


def is_member(node: Fields | None) -> bool:
    """Whether the place itself, not only something below it, is in the set."""
    return node is not None and _member(node)


def paths(fields: Fields, above: str = "") -> Iterator[str]:
    """The members as text, as in `.spec.containers[name="web"].image`."""
    for key in sorted(fields):
        if key == ".":
            continue
        here = above + _path_text(key)
        if _member(fields[key]):
            yield here
        yield from paths(fields[key], here)


def _path_text(key: str) -> str:
    kind, _, rest = key.partition(":")
    if kind == "f":
        return f".{rest}"
    if kind == "v":
        return f"[={rest}]"
    if kind == "k":
        pairs = orjson.loads(rest)
        return f"[{','.join(f'{name}={orjson.dumps(pairs[name]).decode()}' for name in sorted(pairs))}]"
    return f"[{rest}]"


# --- how a value divides into places


def is_granular_map(schema: SchemaView | None) -> bool:
    """Whether the members of a dict have owners of their own."""
    return (extension(schema, "x-kubernetes-map-type") or "granular") != "atomic"


def list_keys(schema: SchemaView | None) -> tuple[str, ...] | None:
    """Key fields of a list of dicts, an empty tuple for a set, None for a list owned as a whole."""
    kind = extension(schema, "x-kubernetes-list-type")
    if kind == "map":
        return tuple(extension(schema, "x-kubernetes-list-map-keys") or ()) or None
    return () if kind == "set" else None


def element_key(item: Any, keys: tuple[str, ...], schema: SchemaView | None) -> str | None:
    """The name of a list's element in a set; None where a key field is missing or the value is no scalar."""
    if not keys:
        return None if isinstance(item, dict | list) else f"v:{orjson.dumps(item).decode()}"
    if not isinstance(item, dict):
        return None
    values = []
    for key in keys:
        value = item.get(key)
        if value is None:
            value = _default(child(element(schema), key), key)
        if value is None or isinstance(value, dict | list):
            return None
        values.append(value)
    return _key_text(keys, tuple(values), tuple(type(value).__name__ for value in values))


@lru_cache(maxsize=8192)
def _key_text(keys: tuple[str, ...], values: tuple[Any, ...], _types: tuple[str, ...]) -> str:
    return f"k:{orjson.dumps(dict(zip(keys, values, strict=True)), option=_SORTED).decode()}"


def _default(schema: SchemaView | None, key: str) -> Any:
    found = extension(schema, "default")
    return "TCP" if found is None and key == "protocol" else found


def elements(items: list[Any], keys: tuple[str, ...], schema: SchemaView | None) -> dict[str, Any] | None:
    """Elements by name, in order; None where one has no name or two have the same."""
    out: dict[str, Any] = {}
    for item in items:
        key = element_key(item, keys, schema)
        if key is None or key in out:
            return None
        out[key] = item
    return out


def fields_of(value: Any, schema: SchemaView | None) -> Fields:
    """What a value holds, as a set: what an applier of it would own. Empty for a leaf."""
    if isinstance(value, dict):
        if not is_granular_map(schema):
            return {}
        out: Fields = {}
        for key, item in value.items():
            below = fields_of(item, child(schema, key))
            declared = schema is not None and schema.property(key) is not None
            out[f"f:{key}"] = {".": {}, **below} if below and not declared and _has_map(schema) else below
        return out
    if isinstance(value, list):
        keys = list_keys(schema)
        named = None if keys is None else elements(value, keys, schema)
        if not named:
            return {}
        return {
            name: {".": {}, **below} if (below := fields_of(item, element(schema))) else {}
            for name, item in named.items()
        }
    return {}


def _has_map(schema: SchemaView | None) -> bool:
    return schema is None or schema.additional() is not None
