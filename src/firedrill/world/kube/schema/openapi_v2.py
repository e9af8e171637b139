"""The OpenAPI v2 document as JSON: the definitions of every type. The paths are in version 3 alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from firedrill.world.kube.objects import Obj
from firedrill.world.kube.schema.definitions import DEFAULT_VERSION, definitions

_DEFINITION = "#/definitions/"


@lru_cache(maxsize=4)
def openapi_v2_bytes(release: str = DEFAULT_VERSION) -> bytes:
    """The document of a version of Kubernetes (`1.31`), without custom resources."""
    document = {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": f"v{release}.0"},
        "paths": {},
        "definitions": {name: _rendered(node) for name, node in sorted(definitions(release).raw.items())},
    }
    return orjson.dumps(document)


def _rendered(node: Mapping[str, Any]) -> Obj:
    out: Obj = {}
    for key, value in node.items():
        if key == "$ref" and isinstance(value, str):
            out[key] = _DEFINITION + value
        elif key == "properties":
            out[key] = {name: _rendered(item) for name, item in value.items()}
        elif key in {"items", "additionalProperties"} and isinstance(value, Mapping):
            out[key] = _rendered(value)
        else:
            out[key] = value
    return out
