"""Strategic merge patch: lists merged by key, with the directives that kubectl sends.

Follows the rules of apimachinery's `strategicpatch` (merging a patch into an original on the server),
including its order of elements: what the patch brings comes first unless `$setElementOrder` says where.
"""

from __future__ import annotations

from typing import Any

from firedrill.world.kube.objects import Obj
from firedrill.world.kube.patch.errors import bad_request, check_depth, server_error, unprocessable
from firedrill.world.kube.patch.schema import SchemaView, child, element, extension

_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"
_ORDER = "$setElementOrder/"
_DELETE = "$deleteFromPrimitiveList/"
_STRATEGY = "x-kubernetes-patch-strategy"
_MERGE_KEY = "x-kubernetes-patch-merge-key"


def strategic_merge(obj: Obj, patch: Any, schema: SchemaView | None) -> Obj:
    """A copy of the object with the patch merged in.

    Args:
        obj: the object as it is; not changed.
        patch: the patch with its directives.
        schema: where merge keys are looked up; None merges maps and replaces lists.

    Raises:
        PatchError: 400 for a malformed patch, 422 or 500 where a real server gives these.
    """
    if not isinstance(patch, dict):
        raise bad_request("invalid JSON document")
    check_depth(patch)
    return _merge_map(obj, patch, schema)


def _merge_map(original: dict[str, Any], patch: dict[str, Any], schema: SchemaView | None) -> dict[str, Any]:
    if _DIRECTIVE in patch:
        return _whole(patch)
    out = dict(original)
    _retain(out, patch)
    ordered = _ordered_lists(out, patch, schema)
    for key, value in patch.items():
        if key == _RETAIN or key.startswith(_ORDER) or key in ordered:
            continue
        if key.startswith(_DELETE):
            _delete_primitives(out, key.removeprefix(_DELETE), value)
        elif value is None:
            out.pop(key, None)
        else:
            out[key] = _merge_value(out.get(key), value, child(schema, key))
    return out


def _whole(patch: dict[str, Any]) -> dict[str, Any]:
    directive = patch[_DIRECTIVE]
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != _DIRECTIVE}
    if directive == "delete":
        return {}
    if directive == "merge":
        raise server_error("unable to use $patch: merge in a map")
    raise server_error(f"unknown patch type found: {directive}")


def _retain(out: dict[str, Any], patch: dict[str, Any]) -> None:
    if _RETAIN not in patch:
        return
    wanted = patch[_RETAIN]
    if not isinstance(wanted, list):
        raise bad_request("invalid patch format of retainKeys")
    if any(
        not key.startswith("$") and value is not None and key not in wanted for key, value in patch.items()
    ):
        raise server_error("patch content doesn't match retainKeys list")
    for key in [key for key in out if key not in wanted]:
        del out[key]


def _delete_primitives(out: dict[str, Any], name: str, unwanted: Any) -> None:
    if not isinstance(unwanted, list):
        raise bad_request("invalid patch format of primitive list")
    if isinstance(out.get(name), list):
        out[name] = [item for item in out[name] if item not in unwanted]


def _merge_value(old: Any, new: Any, schema: SchemaView | None) -> Any:
    strategy = extension(schema, _STRATEGY) or ""
    if isinstance(new, dict):
        if not isinstance(old, dict):
            return _clean(new)
        if "replace" in strategy.split(","):
            return _clean(new)
        return _merge_map(old, new, schema)
    if isinstance(new, list):
        if isinstance(old, list) and "merge" in strategy.split(","):
            return _merge_list(old, new, schema)
        return [item for item in map(_clean_item, new) if item is not None]
    return new


def _clean(value: Any) -> Any:
    """What a patch puts where nothing was: without directives and without members that are null."""
    if isinstance(value, dict):
        if _DIRECTIVE in value:
            return _whole(value)
        return {
            key: _clean(item) for key, item in value.items() if item is not None and not key.startswith("$")
        }
    if isinstance(value, list):
        return [item for item in map(_clean_item, value) if item is not None]
    return value


def _clean_item(item: Any) -> Any:
    if isinstance(item, dict):
        return None if _DIRECTIVE in item else _clean(item)
    return item


def _merge_list(old: list[Any], new: list[Any], schema: SchemaView | None) -> list[Any]:
    if any(isinstance(item, list) for item in (*old, *new)):
        raise unprocessable("lists of lists are not supported")
    if not any(isinstance(item, dict) for item in (*old, *new)):
        merged = list(dict.fromkeys((*old, *new)))
        return _arranged(merged, new, old, "")
    key = str(extension(schema, _MERGE_KEY) or "")
    if not key:
        raise server_error("cannot merge lists without merge key")
    plain: list[dict[str, Any]] = []
    kept, replaced = list(old), False
    for item in new:
        if not isinstance(item, dict):
            raise bad_request("strategic merge patch format is not supported")
        directive = item.get(_DIRECTIVE)
        if directive is None:
            plain.append(item)
        elif directive == "replace":
            replaced = True
        elif directive == "delete":
            wanted = _key_of(item, key)
            kept = [one for one in kept if not isinstance(one, dict) or one.get(key) != wanted]
        else:
            raise server_error(f"unknown patch type found: {directive}")
    if replaced:
        return [_clean(item) for item in plain]
    merged_items: dict[Any, Any] = {_hashable(item, key): item for item in kept}
    for item in plain:
        place = _key_of(item, key)
        before = merged_items.get(place)
        merged_items[place] = _clean(item) if before is None else _merge_map(before, item, element(schema))
    return _arranged(list(merged_items.values()), plain, old, key)


def _key_of(item: dict[str, Any], key: str) -> Any:
    value = item.get(key)
    if value is None or isinstance(value, dict | list):
        raise server_error(f"map: {_go_map(item)} does not contain declared merge key: {key}")
    return value


def _hashable(item: Any, key: str) -> Any:
    found = item.get(key) if isinstance(item, dict) else item
    if found is None or isinstance(found, dict | list):
        raise server_error(f"map: {_go_map(item)} does not contain declared merge key: {key}")
    return found


def _go_map(value: Any) -> str:
    """As Go prints it."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{_go_map(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(_go_map, value))}]"
    if value is None:
        return "<nil>"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _ordered_lists(out: dict[str, Any], patch: dict[str, Any], schema: SchemaView | None) -> set[str]:
    """Merges the lists that come with `$setElementOrder` and puts them in its order; gives their names."""
    done: set[str] = set()
    for directive, order in patch.items():
        if not directive.startswith(_ORDER):
            continue
        name = directive.removeprefix(_ORDER)
        if not isinstance(order, list):
            raise bad_request("invalid patch format of setElementOrder list")
        new, old = patch.get(name), out.get(name)
        if name in patch and not isinstance(new, list):
            if new is None:
                continue
            raise bad_request("invalid patch format of setElementOrder list")
        schema_here = child(schema, name)
        key = str(extension(schema_here, _MERGE_KEY) or "") if _has_dicts(order, new, old) else ""
        _check_order(new or [], order, key, name)
        done.add(name)
        if not isinstance(old, list) and new is None:
            continue
        old_list = old if isinstance(old, list) else []
        if new is None:
            merged = old_list
        elif isinstance(old, list):
            merged = _merge_value(old, new, schema_here)
        else:
            merged = _clean(new)
        out[name] = _arranged(merged, order, old_list, key)
    return done


def _has_dicts(*lists: Any) -> bool:
    return any(isinstance(item, dict) for one in lists if isinstance(one, list) for item in one)


def _identity(item: Any, key: str) -> Any:
    if isinstance(item, dict):
        return _hashable(item, key)
    if isinstance(item, list):
        raise unprocessable("lists of lists are not supported")
    return item


def _check_order(new: list[Any], order: list[Any], key: str, name: str) -> None:
    places = {_identity(item, key): place for place, item in enumerate(order)}
    last = -1
    for item in new:
        if isinstance(item, dict) and _DIRECTIVE in item:
            continue
        place = places.get(_identity(item, key))
        if place is None or place < last:
            raise server_error(
                f"The order in patch list:\n{_go_map(new)}\n doesn't match {_ORDER}{name} list:\n"
                f"{_go_map(order)}\n"
            )
        last = place


def _arranged(merged: list[Any], order: list[Any], server: list[Any], key: str) -> list[Any]:
    """The elements that the order names, in its order; the others keep their place before these."""
    ranks = {_identity(item, key): rank for rank, item in enumerate(order)}
    before = {_identity(item, key): rank for rank, item in enumerate(server)}
    named = sorted(
        (item for item in merged if _identity(item, key) in ranks),
        key=lambda item: ranks[_identity(item, key)],
    )
    others = sorted(
        (item for item in merged if _identity(item, key) not in ranks),
        key=lambda item: before.get(_identity(item, key), len(before)),
    )
    out: list[Any] = []
    left = right = 0
    while left < len(others) and right < len(named):
        one, two = before.get(_identity(others[left], key)), before.get(_identity(named[right], key))
        if one is not None and two is not None and one < two:
            out.append(others[left])
            left += 1
        else:
            out.append(named[right])
            right += 1
    return [*out, *others[left:], *named[right:]]
