"""JSON Merge Patch (RFC 7386)."""

from __future__ import annotations

from typing import Any

from firedrill.world.kube.objects import Obj
from firedrill.world.kube.patch.errors import bad_request, check_depth


def merge_patch(obj: Obj, patch: Any) -> Obj:
    """A copy of the object with the patch merged in: null removes, lists are replaced.

    Raises:
        PatchError: 400 where the patch is no object.
    """
    if not isinstance(patch, dict):
        raise bad_request("Invalid JSON Patch")
    check_depth(patch)
    return _merged(obj, patch)


def _merged(target: Any, patch: dict[str, Any]) -> dict[str, Any]:
    out = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, dict):
            out[key] = _merged(out.get(key), value)
        else:
            out[key] = value
    return out
