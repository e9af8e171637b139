"""What is done about a suspect: steps of a few requests each, and how an object is taken to another state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from firedrill.agents.oncall.earlier import Key, Past, key_of
from firedrill.agents.oncall.recording import Recording
from firedrill.agents.sleuth.case import ident, mapping, parts
from firedrill.core.entity import CLUSTER

Obj = dict[str, Any]
_OUTER = frozenset({"apiVersion", "kind", "metadata", "status"})


@dataclass(frozen=True)
class Action:
    """One request that changes one object.

    Attributes:
        verb: ``patch`` (a list of operations, RFC 6902), ``create`` (a whole object) or ``delete``.
    """

    verb: str
    resource: str
    namespace: str
    name: str
    body: Any = None

    def __str__(self) -> str:
        place = f"{self.namespace}/" if self.namespace else ""
        return f"{self.verb} {self.resource} {place}{self.name}"


@dataclass(frozen=True)
class Step:
    """Something that may mend the incident, and can be taken back.

    Attributes:
        cause: the entity that is taken for the cause.
        guessed: it rests on more than a state that was known.
        workloads: those whose pods have to start anew to see it; restarted after it.
    """

    cause: str
    what: str
    why: str
    actions: tuple[Action, ...]
    guessed: bool = False
    workloads: tuple[str, ...] = ()


@dataclass
class Scene:
    """What planning looks at: everything recorded, and what it was like before."""

    found: Recording
    before: Past
    onset: float
    index: dict[Key, tuple[str, Obj]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for resource, obj in self.found.all():
            # of one kind in two groups, the first that is listed: those of Kubernetes itself
            self.index.setdefault(key_of(obj), (resource, obj))

    def get(self, entity: str) -> tuple[str, Obj] | None:
        """Resource and object of an entity id; None where it is not recorded."""
        return self.index.get(key_of_entity(entity))

    def at(self, kind: str, namespace: str, name: str) -> Obj | None:
        """An object; None where it is not recorded."""
        found = self.index.get((kind, namespace, name))
        return found[1] if found else None

    def of(self, *kinds: str, namespace: str | None = None) -> list[Obj]:
        """The objects of some kinds, by namespace and name."""
        keys = sorted(key for key in self.index if key[0] in kinds and namespace in (None, key[1]))
        return [self.index[key][1] for key in keys]


def key_of_entity(entity: str) -> Key:
    """Kind, namespace and name of an entity id."""
    namespace, kind, name = parts(entity)
    return kind, "" if namespace == CLUSTER else namespace, name


def entity_of(obj: Mapping[str, Any]) -> str:
    """The entity id of an object."""
    kind, namespace, name = key_of(obj)
    return ident(kind, namespace or None, name)


def operations(now: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[Obj]:
    """What takes an object to another state, as RFC 6902 operations; metadata but for labels stays."""
    out: list[Obj] = []
    labels, other = mapping(now, "metadata", "labels"), mapping(wanted, "metadata", "labels")
    if dict(labels) != dict(other):
        out.extend(
            _differing("/metadata/labels", labels, other, whole="labels" not in mapping(now, "metadata"))
        )
    for key in sorted({*now, *wanted} - _OUTER):
        before, after = now.get(key), wanted.get(key)
        if before == after:
            continue
        path = f"/{_escaped(key)}"
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            out.extend(_differing(path, before, after))
        elif after is None:
            out.append({"op": "remove", "path": path})
        else:
            out.append({"op": "replace" if key in now else "add", "path": path, "value": after})
    return out


def _differing(
    path: str, now: Mapping[str, Any], wanted: Mapping[str, Any], *, whole: bool = False
) -> Iterator[Obj]:
    if whole:
        yield {"op": "add", "path": path, "value": dict(wanted)}
        return
    for key in sorted({*now, *wanted}):
        place = f"{path}/{_escaped(str(key))}"
        if key not in wanted:
            yield {"op": "remove", "path": place}
        elif key not in now:
            yield {"op": "add", "path": place, "value": wanted[key]}
        elif now[key] != wanted[key]:
            yield {"op": "replace", "path": place, "value": wanted[key]}


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def patch(scene: Scene, obj: Mapping[str, Any], wanted: Mapping[str, Any]) -> Action | None:
    """The request that takes an object to another state; None where it is in it."""
    kind, namespace, name = key_of(obj)
    changed = operations(obj, wanted)
    return (
        Action("patch", scene.index[(kind, namespace, name)][0], namespace, name, changed)
        if changed
        else None
    )


def changed(obj: Mapping[str, Any], *path: str, value: Any) -> Obj:
    """A copy of an object with another value at a path; None takes the field away."""
    out = dict(obj)
    if len(path) == 1:
        if value is None:
            out.pop(path[0], None)
        else:
            out[path[0]] = value
    else:
        out[path[0]] = changed(mapping(obj, path[0]), *path[1:], value=value)
    return out
