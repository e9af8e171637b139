"""Objects before and after a request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from firedrill.tools.authority.shapes import mapping
from firedrill.world.kube.objects import Obj

if TYPE_CHECKING:
    from firedrill.gateway.kubernetes.guarding import Asked

_BY_ITSELF = frozenset({"resourceVersion", "managedFields", "generation"})


def pair(asked: Asked) -> tuple[Obj, Obj] | None:
    """The object as it is and as it would be, where it is there and stays."""
    if asked.after is None or len(asked.before) != 1:
        return None
    return asked.before[0], asked.after


def labels_changed(before: Obj, after: Obj, prefixes: list[str]) -> bool:
    """Whether labels or annotations with one of these prefixes differ."""
    for part in ("labels", "annotations"):
        one, other = (mapping(obj, "metadata", part) for obj in (before, after))
        for key in {*one, *other}:
            if key.startswith(tuple(prefixes)) and one.get(key) != other.get(key):
                return True
    return False


def pointers(before: Obj, after: Obj) -> tuple[str, ...]:
    """JSON pointers of what differs, down to values and lists; not of what every write changes by itself."""
    return tuple(_differences(_lasting(before), _lasting(after), ""))


def _lasting(obj: Obj) -> Obj:
    meta = {key: item for key, item in (obj.get("metadata") or {}).items() if key not in _BY_ITSELF}
    return {**obj, "metadata": meta}


def _differences(before: Any, after: Any, path: str) -> Iterator[str]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from _differences(before.get(key), after.get(key), f"{path}/{_escaped(key)}")
    elif isinstance(after, dict) and before is None and after:
        for key in sorted(after):
            yield f"{path}/{_escaped(key)}"
    elif isinstance(before, dict) and after is None and before:
        for key in sorted(before):
            yield f"{path}/{_escaped(key)}"
    else:
        yield path or "/"


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
