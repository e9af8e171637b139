"""Who wrote which fields of an object, and when: managedFields read as a history."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from firedrill.agents.oncall.asking import MANAGER
from firedrill.agents.oncall.recording import seconds
from firedrill.agents.sleuth.case import listing, mapping

Obj = dict[str, Any]
Path = tuple[str, ...]
_COMPONENTS = (
    "kube-controller-manager",
    "kube-scheduler",
    "kube-apiserver",
    "kubelet",
    "cloud-controller-manager",
    "coredns",
    MANAGER,
)
_FRESH_S = 90.0
"""What is written so soon after an object was made belongs to its making."""
_MANY = 80
"""Leaves: whoever wrote so many wrote the object anew, which says nothing of what it was like before."""


@dataclass(frozen=True)
class Written:
    """One manager's last write: when, by whom, and the fields that it holds since."""

    time: float
    manager: str
    fields: Mapping[str, Any]

    def paths(self) -> list[Path]:
        """The leaves as paths; a list's elements are spelled as the API spells them (``k:…``, ``v:…``)."""
        return list(_leaves(self.fields, ()))


def made_at(obj: Mapping[str, Any]) -> float:
    """When an object was made, in seconds; 0 where it does not say."""
    return seconds(mapping(obj, "metadata").get("creationTimestamp")) or 0.0


def writes(obj: Mapping[str, Any], since: float) -> list[Written]:
    """What others wrote of an object later than ``since``, controllers and its making aside, by time."""
    start = max(since, made_at(obj) + _FRESH_S)
    found = []
    for entry in listing(obj, "metadata", "managedFields"):
        time, manager = seconds(entry.get("time")), str(entry.get("manager") or "")
        if time is None or time < start or entry.get("subresource") == "status":
            continue
        if manager in _COMPONENTS or manager.endswith("-controller"):
            continue
        found.append(Written(time, manager, mapping(entry, "fieldsV1")))
    return sorted(found, key=lambda one: (one.time, one.manager))


def last_write(obj: Mapping[str, Any], since: float = 0.0) -> float | None:
    """When somebody wrote it last; None where nobody did."""
    found = writes(obj, since)
    return found[-1].time if found else None


def _leaves(fields: Mapping[str, Any], above: Path) -> Iterator[Path]:
    for key, below in fields.items():
        if key == ".":
            # the element itself is held; a map that others share says so with a dot as well
            if above and above[-1].startswith("k:"):
                yield above
        elif isinstance(below, Mapping) and below:
            yield from _leaves(below, (*above, key))
        else:
            yield (*above, key)


def without(obj: Mapping[str, Any], written: list[Written]) -> Obj | None:
    """An object less what was written into it; None where that was all of it.

    What a field held before is not known, only that it was another thing or not there.
    """
    paths = [path for one in written for path in one.paths() if not _about_itself(path)]
    if not paths or len(paths) > _MANY:
        return None
    out: Obj = copy.deepcopy(dict(obj))
    for path in paths:
        _drop(out, path)
    return out


def _about_itself(path: Path) -> bool:
    """Notes and names in the metadata, but for labels."""
    return path[0] == "f:metadata" and (len(path) < 2 or path[1] != "f:labels")


def touches(written: list[Written], *start: str) -> bool:
    """Whether anything was written below a path, such as ``spec, template``."""
    wanted = tuple(f"f:{key}" for key in start)
    return any(path[: len(wanted)] == wanted for one in written for path in one.paths())


def _drop(value: Any, path: Path) -> None:
    for key in path[:-1]:
        value = _step(value, key)
        if value is None:
            return
    last = path[-1]
    if last.startswith("f:") and isinstance(value, dict):
        value.pop(last[2:], None)
    elif isinstance(value, list):
        found = _step(value, last)
        if found is not None:
            value[:] = [item for item in value if item is not found]


def _step(value: Any, key: str) -> Any:
    if key.startswith("f:") and isinstance(value, dict):
        return value.get(key[2:])
    if not isinstance(value, list):
        return None
    try:
        wanted = json.loads(key[2:])
    except ValueError:
        return None
    if key.startswith("k:") and isinstance(wanted, dict):
        for item in value:
            if isinstance(item, dict) and all(item.get(name) == text for name, text in wanted.items()):
                return item
        return None
    return next((item for item in value if item == wanted), None) if key.startswith("v:") else None
