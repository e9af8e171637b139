"""Structural schemas of custom resources: pruning and defaults."""

from __future__ import annotations

from typing import Any

from firedrill.world.kube.objects import Obj, thaw
from firedrill.world.kube.schema.definitions import Schema

_KEEP = "x-kubernetes-preserve-unknown-fields"
_EMBEDDED = "x-kubernetes-embedded-resource"
_ALWAYS = frozenset({"apiVersion", "kind", "metadata"})


def prune(schema: Schema, body: Obj, max_depth: int) -> tuple[Obj, list[str]]:
    """The object without what its schema does not name, and the paths of what was dropped.

    Raises:
        DecodeError: the body is nested deeper than `max_depth`.
    """
    unknown: list[str] = []
    return _prune(schema, body, "", unknown, max_depth), unknown


def _prune(schema: Schema, value: Any, path: str, unknown: list[str], left: int) -> Any:
    if left < 0:
        from firedrill.world.kube.schema.decode import DecodeError

        raise DecodeError("exceeded max depth")
    if isinstance(value, dict):
        return _prune_object(schema, value, path, unknown, left)
    if isinstance(value, list):
        items = schema.items()
        if items is None:
            return value
        return [
            _prune(items, item, f"{path}[{index}]", unknown, left - 1) for index, item in enumerate(value)
        ]
    return value


def _prune_object(schema: Schema, value: Obj, path: str, unknown: list[str], left: int) -> Obj:
    keep = bool(schema.extension(_KEEP))
    embedded = bool(schema.extension(_EMBEDDED))
    values = schema.additional()
    any_value = schema.target.get("additionalProperties") is True
    out: Obj = {}
    for key, item in value.items():
        here = f"{path}.{key}" if path else key
        child = schema.property(key)
        if not path and key in _ALWAYS:
            out[key] = item
        elif child is not None:
            out[key] = _prune(child, item, here, unknown, left - 1)
        elif values is not None:
            out[key] = _prune(values, item, here, unknown, left - 1)
        elif keep or any_value or (embedded and key in _ALWAYS):
            out[key] = item
        else:
            unknown.append(here)
    return out


def fill(schema: Schema, obj: Obj) -> Obj:
    """The object with the defaults that its schema declares, at every depth; the one given stays as it is."""
    out = dict(obj)
    for key, child in schema.properties.items():
        if key not in out and "default" in child.raw:
            out[key] = thaw(child.raw["default"])
        if key in out:
            out[key] = _fill(child, out[key])
    values = schema.additional()
    if values is not None:
        for key, item in out.items():
            if schema.property(key) is None:
                out[key] = _fill(values, item)
    return out


def _fill(schema: Schema, value: Any) -> Any:
    if schema.name:
        return value  # metadata is the server's own
    if value is None and "default" in schema.raw and not schema.raw.get("nullable"):
        return thaw(schema.raw["default"])
    if isinstance(value, dict):
        return fill(schema, value)
    items = schema.items()
    if isinstance(value, list) and items is not None:
        return [_fill(items, item) for item in value]
    return value
