"""Objects are plain dicts that nobody changes: to change one is to build a new one along the path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

Obj = dict[str, Any]
"""One API object, or a part of one, as its JSON. Read-only once it has been stored."""

_DICTS = (dict, Mapping)
"""`dict` first: asking an abstract class takes ten times as long."""


def dig(obj: Mapping[str, Any] | None, *path: str | int, default: Any = None) -> Any:
    """What lies at the path, or the default where a step is missing or of another type."""
    here: Any = obj
    for step in path:
        if isinstance(here, _DICTS):
            here = here.get(step)
        elif isinstance(here, Sequence) and not isinstance(here, str) and isinstance(step, int):
            here = here[step] if -len(here) <= step < len(here) else None
        else:
            return default
        if here is None:
            return default
    return here


def with_path(obj: Mapping[str, Any] | None, path: Sequence[str], value: Any) -> Obj:
    """A copy with `value` at the path; only the dicts along the path are new."""
    out = dict(obj) if obj else {}
    out[path[0]] = value if len(path) == 1 else with_path(out.get(path[0]), path[1:], value)
    return out


def without_path(obj: Mapping[str, Any], path: Sequence[str]) -> Obj:
    """A copy without what lies at the path; the same content where there is nothing."""
    out = dict(obj)
    if len(path) == 1:
        out.pop(path[0], None)
    elif isinstance(out.get(path[0]), Mapping):
        out[path[0]] = without_path(out[path[0]], path[1:])
    return out


def meta(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """The metadata, empty where there is none."""
    found = obj.get("metadata")
    return found if isinstance(found, _DICTS) else {}


def name_of(obj: Mapping[str, Any]) -> str:
    """`metadata.name`, or an empty string."""
    return str(meta(obj).get("name") or "")


def namespace_of(obj: Mapping[str, Any]) -> str:
    """`metadata.namespace`, or an empty string for what has none."""
    return str(meta(obj).get("namespace") or "")


def uid_of(obj: Mapping[str, Any]) -> str:
    """`metadata.uid`, or an empty string."""
    return str(meta(obj).get("uid") or "")


def labels_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    """`metadata.labels`."""
    return meta(obj).get("labels") or {}


def annotations_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    """`metadata.annotations`."""
    return meta(obj).get("annotations") or {}


def is_deleting(obj: Mapping[str, Any]) -> bool:
    """Whether a deletion has been asked for."""
    return meta(obj).get("deletionTimestamp") is not None


def controller_of(obj: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The owner reference that is marked as the controller."""
    for reference in meta(obj).get("ownerReferences") or ():
        if reference.get("controller"):
            return reference  # type: ignore[no-any-return]
    return None


def owner_reference(owner: Mapping[str, Any]) -> Obj:
    """The reference that a controller writes into what it makes."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def condition(obj: Mapping[str, Any], type_: str) -> Mapping[str, Any] | None:
    """The status condition of that type."""
    for item in dig(obj, "status", "conditions", default=()):
        if item.get("type") == type_:
            return item  # type: ignore[no-any-return]
    return None


def with_condition(
    conditions: Sequence[Mapping[str, Any]] | None, new: Mapping[str, Any], now: str
) -> list[Any]:
    """The conditions with this one set; `lastTransitionTime` moves only when its status does."""
    out: list[Any] = []
    placed = False
    for item in conditions or ():
        if item.get("type") != new["type"]:
            out.append(item)
            continue
        same = item.get("status") == new["status"]
        out.append({**new, "lastTransitionTime": item.get("lastTransitionTime", now) if same else now})
        placed = True
    if not placed:
        out.append({**new, "lastTransitionTime": now})
    return out


def containers_of(pod_spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Init containers first, then the ordinary ones."""
    yield from pod_spec.get("initContainers") or ()
    yield from pod_spec.get("containers") or ()


class FrozenDict(dict[str, Any]):
    """A dict that refuses to change: tests store these, so that a forgotten copy is an error at once."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("a stored object was about to be changed in place")

    __setitem__ = __delitem__ = clear = pop = popitem = setdefault = update = _refuse
    __ior__ = _refuse

    def __copy__(self) -> dict[str, Any]:
        return dict(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return {key: thaw(value) for key, value in self.items()}


class FrozenList(list[Any]):
    """A list that refuses to change."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("a list in a stored object was about to be changed in place")

    __setitem__ = __delitem__ = append = clear = extend = insert = pop = remove = reverse = sort = _refuse
    __iadd__ = __imul__ = _refuse


def freeze(value: Any) -> Any:
    """The same content in containers that refuse to change."""
    if isinstance(value, dict):
        return FrozenDict({key: freeze(item) for key, item in value.items()})
    if isinstance(value, list):
        return FrozenList([freeze(item) for item in value])
    return value


def thaw(value: Any) -> Any:
    """A deep copy in ordinary dicts and lists."""
    if isinstance(value, dict):
        return {key: thaw(item) for key, item in value.items()}
    if isinstance(value, list):
        return [thaw(item) for item in value]
    return value
