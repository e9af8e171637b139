"""How a patch is refused whose outcome is no object of its kind.

Source: `k8s.io/apiserver/pkg/endpoints/handlers/patch.go` and apimachinery's unstructured converter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from firedrill.world.kube.api import errors, rules
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.api.request import Request
from firedrill.world.kube.objects import Obj

_UNMARSHAL = re.compile(r"json: cannot unmarshal (\w+)[^\n]* of type (\S+)$")
_SIMPLE = frozenset({"bool", "float64", "int32", "int64", "string"})
_GO_TYPES = {"number": "int64", "array": "[]interface {}", "object": "map[string]interface {}"}


def misfit(request: Request, patched: Obj, refusal: ApiError) -> ApiError:
    """What is answered where the outcome of a patch is no object of its kind any more.

    A strategic merge patch is told with itself, the others with the object that would come out.
    """
    found = _UNMARSHAL.search(refusal.message)
    if found is None or refusal.code != 400:
        return refusal
    if request.patch_type == "strategic":
        shown, why = _go_value(request.body), _unconverted(found[1], found[2])
    else:
        shown = orjson.dumps(patched).decode()
        why = found[0]
    return errors.invalid("", "", "", [rules.invalid_value("patch", shown.replace('"', '\\"'), why)])


def _unconverted(given: str, wanted: str) -> str:
    """Why the converter of unstructured objects cannot make the wanted type of what was given."""
    if (given, wanted) == ("number", "string"):
        return "cannot convert int64 to string"
    if wanted in _SIMPLE:
        return f"unrecognized type: {wanted}"
    shape = "slice" if wanted.startswith("[]") else "map" if wanted.startswith("map[") else "struct"
    colon = ":" if shape == "struct" else ""
    return f"cannot restore {shape} from{colon} {_GO_TYPES.get(given, given)}"


def _go_value(value: Any) -> str:
    """A value as Go's `%+v` prints it."""
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{key}:{_go_value(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(_go_value(item) for item in value) + "]"
    if value is None or isinstance(value, bool):
        return {None: "<nil>", True: "true", False: "false"}[value]
    return str(value)
