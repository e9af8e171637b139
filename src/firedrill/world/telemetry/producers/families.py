"""Families of series that an exporter gives of objects: read from data, and filled in for one object."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from firedrill.world.kube import quantity
from firedrill.world.kube.objects import Obj
from firedrill.world.sim.clock import epoch_ms
from firedrill.world.sim.tables import table
from firedrill.world.telemetry import labels as label_sets
from firedrill.world.telemetry.labels import Labels

Path = tuple[str, ...]
Pairs = tuple[tuple[str, Path], ...]
Found = dict[Labels, float]

_UNITS = {"cpu": "core", "memory": "byte", "storage": "byte", "ephemeral-storage": "byte"}
_ODD = re.compile(r"[^a-zA-Z0-9_]")
_MOST = 512
"""Series that one family may have of one object: objects come from users."""


@dataclass(frozen=True, slots=True)
class Family:
    """A metric of one kind of object; the head of `data/objects.yaml` says what the fields mean."""

    name: str
    kind: str
    labels: Pairs
    own: bool
    each: Path
    entries: Path
    prefix: str
    resources: Path
    spread: Path
    needs: Path
    only: tuple[tuple[Path, str], ...]
    or_one: bool
    label: str
    chosen: Path
    values: tuple[str, ...]
    value: Path
    reading: str
    default: float | None


class Room(NamedTuple):
    """Where paths begin."""

    obj: Obj
    item: Any = None
    key: str = ""
    entry: Any = None


@cache
def families() -> Mapping[str, tuple[tuple[Family, ...], ...]]:
    """By resource the families whose rows are kept together: all steady ones first, then each that is not."""
    out = {}
    for resource, entry in table("firedrill.world.telemetry.producers", "objects.yaml").items():
        found = [_family(one, entry["labels"]) for one in entry["families"]]
        steady = tuple(one for one in found if not one.own)
        out[resource] = (steady, *((one,) for one in found if one.own))
    return out


def _path(text: str) -> Path:
    return (text,) if text.startswith("=") else tuple(text.split(".")) if text else ()


def _family(entry: Mapping[str, Any], common: Mapping[str, str]) -> Family:
    choice = entry.get("one_of") or {}
    return Family(
        name=entry["name"],
        kind=entry.get("kind", "gauge"),
        labels=tuple((key, _path(text)) for key, text in {**common, **entry.get("labels", {})}.items()),
        own=entry.get("own", False),
        each=_path(entry.get("each", "")),
        entries=_path(entry.get("entries", "")),
        prefix=entry.get("prefix", ""),
        resources=_path(entry.get("resources", "")),
        spread=_path(entry.get("spread", "")),
        needs=_path(entry.get("needs", "")),
        only=tuple((_path(path), str(text)) for path, text in entry.get("only", {}).items()),
        or_one=entry.get("or_one", False),
        label=choice.get("label", ""),
        chosen=_path(choice.get("is", "")),
        values=tuple(choice.get("values", ())),
        value=_path(entry.get("value", "")),
        reading=entry.get("as", "number"),
        default=entry.get("default"),
    )


def _steps(here: Any, path: Path) -> Any:
    for place, step in enumerate(path):
        if isinstance(here, dict):
            here = here.get(step)
        elif isinstance(here, list | tuple):
            if step == "*":
                rest = path[place + 1 :]
                parts = [_steps(one, rest) for one in here]
                return [one for part in parts if isinstance(part, list | tuple) for one in part]
            here = here[int(step)] if step.isdigit() and int(step) < len(here) else None
        else:
            return None
    return here


def _look(room: Room, path: Path) -> Any:
    first = path[0]
    if first == "item":
        return _steps(room.item, path[1:])
    if first == "key":
        return room.key
    if first == "entry":
        return room.entry
    return first[1:] if first.startswith("=") else _steps(room.obj, path)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None or isinstance(value, dict | list) else str(value)


def _number(value: Any, family: Family) -> float | None:
    reading = family.reading
    if reading == "bool":
        return float(value is True)
    if reading == "there":
        return float(value is not None)
    if reading == "count":
        return float(len(value)) if isinstance(value, list | tuple) else 0.0
    if value is None:
        return family.default
    try:
        if reading == "time":
            return epoch_ms(str(value)) / 1000
        found = float(quantity.parse(value)) if reading == "quantity" else float(value)
    except (TypeError, ValueError, OverflowError):
        return family.default
    return found if math.isfinite(found) else family.default


def _rooms(family: Family, obj: Obj) -> Iterator[Room]:
    room = Room(obj)
    rooms: Sequence[Room] = (room,)
    if family.each:
        items = _look(room, family.each)
        items = items if isinstance(items, list | tuple) else ()
        rooms = [Room(obj, item) for item in items] or ([room] if family.or_one else [])
    path = family.entries or family.resources
    for one in rooms:
        if not path:
            yield one
            continue
        found = _look(one, path)
        for key in sorted(found) if isinstance(found, dict) else ():
            if str(key).startswith(family.prefix):
                yield Room(obj, one.item, str(key)[len(family.prefix) :], found[key])


def _resource(room: Room) -> tuple[dict[str, str], float | None]:
    """How kube-state-metrics names a resource, and how much of it there is."""
    try:
        amount = float(quantity.parse(room.entry))
    except (TypeError, ValueError, OverflowError):
        return {}, None
    unit = _UNITS.get(room.key, "byte" if room.key.startswith("hugepages-") else "integer")
    return {"resource": _ODD.sub("_", room.key), "unit": unit}, amount


def _spread(room: Room, path: Path) -> dict[str, str]:
    found = _look(room, path)
    if not isinstance(found, dict):
        return {}
    return {f"label_{_ODD.sub('_', str(key))}": _text(found[key]) for key in sorted(found)}


def fill(family: Family, obj: Obj, out: Found) -> None:
    """Put the series of one family of an object, and their values, into `out`."""
    count = 0
    for room in _rooms(family, obj):
        if family.needs and _look(room, family.needs) in (None, ""):
            continue
        if any(_text(_look(room, path)) != text for path, text in family.only):
            continue
        pairs = {key: _text(_look(room, path)) for key, path in family.labels}
        value: float | None = 1.0
        if family.resources:
            more, value = _resource(room)
            pairs |= more
        elif family.value:
            value = _number(_look(room, family.value), family)
        if family.spread:
            pairs = {**_spread(room, family.spread), **pairs}
        if value is None:
            continue
        count += 1
        if count > _MOST:
            return
        if not family.label:
            out[label_sets.make(pairs, family.name)] = value
            continue
        chosen = _text(_look(room, family.chosen)).lower()
        for name in family.values:
            out[label_sets.make({**pairs, family.label: name}, family.name)] = float(name.lower() == chosen)
