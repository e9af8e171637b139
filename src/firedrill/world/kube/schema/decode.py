"""From a body to an object: unknown fields are found and dropped, types checked, quantities normalised.

The words are those of the API server's JSON decoder (apimachinery's `serializer/json`, `sigs.k8s.io/json`).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from firedrill.world.kube import quantity
from firedrill.world.kube.objects import Obj
from firedrill.world.kube.schema.definitions import Schema
from firedrill.world.kube.schema.times import time_problem

MAX_DEPTH = 100
"""Deeper bodies are refused; Go's decoder stops at 10 000, where no honest object comes near."""
MAX_BYTES = 3 * 1024 * 1024
"""The limit that a real API server sets on the body of a request."""

_BITS = {"int32": (-(2**31), 2**31 - 1, "int32"), "int64": (-(2**63), 2**63 - 1, "int64")}
_GO = {"string": "string", "boolean": "bool", "integer": "int32", "number": "float64"}
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
_TIMES = {
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "2006-01-02T15:04:05Z07:00",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "2006-01-02T15:04:05.000000Z07:00",
}


class DecodeError(ValueError):
    """The body is no object of its kind; the text is what the JSON decoder says."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What came of a body.

    Attributes:
        obj: the object without unknown fields and without nulls, quantities in canonical form.
        unknown: paths of the fields that the type does not have (`spec.replcas`).
        duplicates: paths of the fields that the body names twice.
    """

    obj: Obj
    unknown: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        """As the strict decoder words them: `unknown field "spec.replcas"`."""
        doubled = tuple(f'duplicate field "{path}"' for path in self.duplicates)
        return (*doubled, *(f'unknown field "{path}"' for path in self.unknown))


class _Walk:
    """One decoding: what has been found so far, and where it is."""

    __slots__ = ("custom", "fields", "struct", "unknown")

    def __init__(self, custom: bool) -> None:
        self.custom = custom
        self.unknown: list[str] = []
        self.fields: list[str] = []
        self.struct = ""

    def mismatch(self, value: Any, go_type: str) -> DecodeError:
        where = f"Go struct field {self.struct}.{'.'.join(self.fields)}" if self.struct else "Go value"
        return DecodeError(f"json: cannot unmarshal {_said(value)} into {where} of type {go_type}")


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, (int, float)):
        return "number"
    return "array" if isinstance(value, list) else "object"


def decode_body(
    schema: Schema, body: Any, duplicates: tuple[str, ...] = (), known: Obj | None = None
) -> Decoded:
    """The object in a body, as far as its type goes.

    Args:
        schema: of the kind.
        body: the parsed JSON.
        duplicates: what `parse_json` found.
        known: the object as it is stored in the same version; what a body shares with it (in a patch,
            or an update inside the process) has been decoded before.

    Raises:
        DecodeError: a field has a value of another type, or the body is nested too deep.
    """
    walk = _Walk(custom=not schema.name)
    if not isinstance(body, dict):
        raise walk.mismatch(body, _go_type(schema))
    if walk.custom:
        from firedrill.world.kube.schema.structural import prune

        pruned, unknown = prune(schema, body, MAX_DEPTH)
        meta_schema = schema.property("metadata")
        if meta_schema is not None and "metadata" in body:
            walk.fields, walk.struct = ["metadata"], "ObjectMeta"
            pruned["metadata"] = _value(walk, meta_schema, body["metadata"], "metadata", 1)
        return Decoded(pruned, tuple(sorted((*unknown, *walk.unknown))), duplicates)
    out = _struct(walk, schema, body, "", 0, known)
    return Decoded(out, tuple(walk.unknown), duplicates)


def _struct(
    walk: _Walk, schema: Schema, body: Mapping[str, Any], path: str, depth: int, known: Any = None
) -> Obj:
    properties = schema.properties
    outer, walk.struct = walk.struct, schema.name.rpartition(".")[2]
    before: Mapping[str, Any] = known if isinstance(known, dict) else _NOTHING
    fields = walk.fields
    out: Obj = {}
    for key, value in body.items():
        child = properties.get(key)
        if child is None:
            if not isinstance(key, str):
                raise DecodeError("json: object key must be a string")
            walk.unknown.append(f"{path}.{key}" if path else key)
        elif value is None:
            continue
        elif (child.plain and type(value) is str) or before.get(key) is value:
            out[key] = value
        else:
            fields.append(key)
            here = f"{path}.{key}" if path else key
            kept = _value(walk, child, value, here, depth + 1, before.get(key))
            fields.pop()
            if kept is not None:
                out[key] = kept
    walk.struct = outer
    return out


def _value(walk: _Walk, schema: Schema, value: Any, path: str, depth: int, known: Any = None) -> Any:
    kind = schema.type
    if kind == "string":
        return value if schema.plain and type(value) is str else _string(walk, schema, value)
    if kind == "object":
        return _object(walk, schema, value, path, depth, known)
    if kind == "array":
        return _array(walk, schema, value, path, depth, known)
    if kind == "boolean":
        if not isinstance(value, bool):
            raise walk.mismatch(value, "bool")
        return value
    if kind == "integer" or kind == "number":  # noqa: PLR1714 - the set that ruff wants takes twice as long
        return _number(walk, schema, value)
    return _special(walk, schema, value, depth)


def _object(walk: _Walk, schema: Schema, value: Any, path: str, depth: int, known: Any = None) -> Any:
    if depth > MAX_DEPTH:
        raise DecodeError("exceeded max depth")
    if not isinstance(value, dict):
        raise walk.mismatch(value, _go_type(schema))
    if schema.properties:
        return _struct(walk, schema, value, path, depth, known)
    values = schema.additional()
    if values is None:
        _bounded(value, depth)
        return value
    out: Obj = {}
    plain = values.plain
    for key, item in value.items():
        if plain and type(item) is str:
            out[key] = item
        elif item is not None:
            out[key] = _value(walk, values, item, f"{path}.{key}", depth + 1)
        elif plain:
            out[key] = ""
    return out


def _array(walk: _Walk, schema: Schema, value: Any, path: str, depth: int, known: Any = None) -> list[Any]:
    if depth > MAX_DEPTH:
        raise DecodeError("exceeded max depth")
    if not isinstance(value, list):
        raise walk.mismatch(value, _go_type(schema))
    items = schema.items()
    if items is None:
        return value
    if items.plain and all(type(item) is str for item in value):
        return value
    empty: Any = {"string": "", "integer": 0, "boolean": False}.get(items.type, {})
    before = known if isinstance(known, list) and len(known) == len(value) else [None] * len(value)
    return [
        empty
        if item is None
        else (item if item is old else _value(walk, items, item, f"{path}[{index}]", depth + 1, old))
        for index, (item, old) in enumerate(zip(value, before, strict=True))
    ]


def _number(walk: _Walk, schema: Schema, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise walk.mismatch(value, _go_type(schema))
    if schema.type == "number":
        return value
    low, high, go_type = _BITS.get(schema.format, _BITS["int32"])
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    if isinstance(value, float) or not low <= value <= high:
        where = f"Go struct field {walk.struct}.{'.'.join(walk.fields)}"
        raise DecodeError(f"json: cannot unmarshal number {value} into {where} of type {go_type}")
    return value


def _string(walk: _Walk, schema: Schema, value: Any) -> str:
    if not isinstance(value, str):
        if schema.name in _TIMES:
            raise DecodeError(f"json: cannot unmarshal {_said(value)} into Go value of type string")
        raise walk.mismatch(value, _go_type(schema))
    if schema.name in _TIMES:
        problem = time_problem(value, _TIMES[schema.name])
        if problem:
            raise DecodeError(problem)
    elif schema.format == "byte":
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise DecodeError(f"illegal base64 data at input byte {_bad_byte(value)}") from None
    return value


def _bad_byte(text: str) -> int:
    """Where Go's decoder gives up: at the first foreign letter, else where the last group of four starts."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    for index, letter in enumerate(text):
        if letter not in alphabet:
            return index
    return len(text) - len(text) % 4


def _special(walk: _Walk, schema: Schema, value: Any, depth: int) -> Any:
    if schema.name == _QUANTITY:
        if isinstance(value, (dict, list, bool)):
            value = ""
        try:
            return quantity.canonical(value)
        except (ValueError, ArithmeticError):
            raise DecodeError(
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            ) from None
    if schema.name == _INT_OR_STRING:
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            number = f" {value}" if isinstance(value, float) else ""
            raise DecodeError(f"json: cannot unmarshal {_said(value)}{number} into Go value of type int32")
        return value
    _bounded(value, depth)
    return value


def _bounded(value: Any, depth: int) -> None:
    """Refuse free content (an embedded object, a JSON schema) that is nested too deep."""
    level = [value]
    while level:
        if depth > MAX_DEPTH:
            raise DecodeError("exceeded max depth")
        depth += 1
        level = [
            item
            for holder in level
            if isinstance(holder, (dict, list))
            for item in (holder.values() if isinstance(holder, dict) else holder)
        ]


def _go_type(schema: Schema) -> str:
    """The Go type that a decoding error names."""
    if schema.type == "array":
        items = schema.items()
        return "[]" + (_go_type(items) if items is not None else "interface {}")
    if schema.type == "string" and schema.format == "byte":
        return "[]uint8"
    if schema.type == "integer":
        return _BITS.get(schema.format, _BITS["int32"])[2]
    values = schema.additional()
    if schema.type == "object" and values is not None:
        return f"map[string]{_go_type(values)}"
    if schema.name:
        parts = schema.name.split(".")
        return ".".join(parts[-2:])
    return _GO.get(schema.type, "interface {}")


class _Pairs(dict[str, Any]):
    """An object as it was written, with the names that came twice."""

    __slots__ = ("twice",)

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.twice: list[str] = []
        if len(self) != len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen and key not in self.twice:
                    self.twice.append(key)
                seen.add(key)


def parse_json(raw: bytes) -> tuple[Any, tuple[str, ...]]:
    """The value in a JSON body, and the paths of the fields that it names twice.

    Raises:
        DecodeError: it is no JSON, too large or nested too deep.
    """
    if len(raw) > MAX_BYTES:
        raise DecodeError("request body too large")
    try:
        value = json.loads(raw, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as problem:
        raise DecodeError(f"invalid JSON: {problem}") from None
    twice: list[str] = []
    _bounded(value, 0)
    return _plain(value, "", twice), tuple(twice)


def _plain(value: Any, path: str, twice: list[str]) -> Any:
    if isinstance(value, _Pairs):
        twice.extend(f"{path}.{key}" if path else key for key in value.twice)
        return {key: _plain(item, f"{path}.{key}" if path else key, twice) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, f"{path}[{index}]", twice) for index, item in enumerate(value)]
    return value


def decode(schema: Schema, body: Any, duplicates: tuple[str, ...] = (), known: Obj | None = None) -> Decoded:
    """As `decode_body`, with the refusal of an API server.

    Raises:
        ApiError: 400, a field has a value of another type, or the body is nested too deep.
    """
    from firedrill.world.kube.api import errors

    _, version, kind = schema.gvk or ("", "", "")
    try:
        return decode_body(schema, body, duplicates, known)
    except DecodeError as problem:
        raise errors.bad_request(
            f'{kind} in version "{version}" cannot be handled as a {kind}: {problem}'
        ) from None
