"""Lists of objects of a cluster, and patches of them."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from firedrill.core.entity import CLUSTER
from firedrill.core.errors import InputError
from firedrill.suites.compliance.drawing import filled
from firedrill.suites.compliance.making import made, merged
from firedrill.suites.compliance.model import ClusterPatch
from firedrill.suites.manifest import validate_record

Obj = dict[str, Any]
MOST = 500
"""Objects of a `repeat`."""


def entity(obj: Mapping[str, Any]) -> str:
    """The id of an object: `namespace/Kind/name`; an object of a namespaced kind has its namespace set."""
    about = obj.get("metadata") or {}
    return f"{about.get('namespace') or CLUSTER}/{obj.get('kind', '')}/{about.get('name', '')}"


def expanded(items: Iterable[Mapping[str, Any]], words: Mapping[str, Any], source: str) -> list[Obj]:
    """Objects with their drawn names; a `repeat` becomes as many.

    Raises:
        InputError: a repeat is too long, or something was not drawn.
    """
    found: list[Obj] = []
    for item in items:
        if "repeat" not in item:
            found.append(made(filled(item, words, source), source))
            continue
        count, name = filled(item["repeat"], words, source), str(item.get("as", "n"))
        if not isinstance(count, int) or not 0 <= count <= MOST:
            raise InputError(f"repeat must be a number up to {MOST}", source=source, field="repeat")
        found += [
            made(filled(item["object"], {**words, name: place}, source), source)
            for place in range(1, count + 1)
        ]
    return found


def patched(
    objects: Sequence[Obj], patch: Mapping[str, Any], words: Mapping[str, Any], source: str
) -> list[Obj]:
    """New objects: some removed, changed, added, in this order. The given ones stay as they are.

    Raises:
        InputError: the patch has another form, names an object that is not there, or adds one that is.
    """
    record = validate_record(ClusterPatch, dict(patch), source)
    place = {entity(item): copy.deepcopy(item) for item in objects}
    for name in filled(record.remove, words, source):
        _known(place, name, source, "remove")
        del place[name]
    for name, change in filled(record.merge, words, source).items():
        place[name] = merged(_known(place, name, source, "merge"), change)
    for name, values in filled(record.set, words, source).items():
        obj = _known(place, name, source, "set")
        for path, value in values.items():
            _put(obj, path.split("/"), value, source, f"set.{name}")
    for item in expanded(record.add, words, source):
        if entity(item) in place:
            raise InputError(f"{entity(item)} is there already", source=source, field="add")
        place[entity(item)] = item
    return list(place.values())


def _known(place: Mapping[str, Obj], name: str, source: str, field: str) -> Obj:
    if name not in place:
        known = ", ".join(place) or "none"
        raise InputError(f"there is no object {name}", source=source, field=field, mend=f"there are {known}")
    return place[name]


def _put(obj: Any, path: list[str], value: Any, source: str, field: str) -> None:
    head, *rest = path
    wrong = InputError(f"no place {'/'.join(path)}", source=source, field=field)
    if isinstance(obj, list):
        if head == "-":
            if rest:
                raise wrong
            obj.append(copy.deepcopy(value))
            return
        if not head.isdecimal() or int(head) >= len(obj):
            raise wrong
        if rest:
            _put(obj[int(head)], rest, value, source, field)
        elif value is None:
            del obj[int(head)]
        else:
            obj[int(head)] = copy.deepcopy(value)
        return
    if not isinstance(obj, dict):
        raise wrong
    head = head.replace("~1", "/").replace("~0", "~")
    if not rest:
        if value is None:
            obj.pop(head, None)
        else:
            obj[head] = copy.deepcopy(value)
        return
    if head not in obj:
        obj[head] = [] if rest[0] == "-" else {}
    _put(obj[head], rest, value, source, field)


__all__ = ["entity", "expanded", "patched"]
