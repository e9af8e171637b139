"""Where the entities of a diagnosis are among the objects of a world."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from firedrill.core.entity import CLUSTER, parse_entity
from firedrill.world.kube.objects import Obj, controller_of, name_of, namespace_of
from firedrill.world.kube.store import TooOldError

if TYPE_CHECKING:
    from firedrill.world import World

_LIFTED = frozenset({"Pod", "ReplicaSet"})
_OWNERS = frozenset(
    {"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob", "ReplicationController"}
)
_DEPTH = 4


class Place(NamedTuple):
    """One object: the resource as in `deployments.apps`; the namespace of cluster-scoped ones is empty."""

    resource: str
    namespace: str
    name: str
    kind: str

    def __str__(self) -> str:
        return f"{self.namespace or CLUSTER}/{self.kind}/{self.name}"


def place_of(world: World, before: World, text: str) -> Place | None:
    """The object that an entity id names; None where no kind of the cluster is called so.

    Where several kinds have the name, it is the one that has such an object, now or before.
    """
    parsed = parse_entity(text)
    if parsed.kind is None or not parsed.name:
        return None
    namespace, exact = _as_written(text, parsed.namespace or "", parsed.name)
    found: list[Place] = []
    for kind in dict.fromkeys([*world.cluster.kinds.all(), *before.cluster.kinds.all()]):
        resource = kind.storage or kind.resource
        if kind.kind.lower() != parsed.kind.lower() or any(p.resource == resource for p in found):
            continue
        found.append(Place(resource, namespace if kind.namespaced else "", exact, kind.kind))
    there = [place for place in found if last_version(world, before, place) is not None]
    return next(iter((*there, *found)), None)


def _as_written(text: str, namespace: str, name: str) -> tuple[str, str]:
    """Names of some kinds may have capitals, which parsing folds: they are as the text has them."""
    start = text.lower().find(name)
    return namespace, text[start : start + len(name)] if start >= 0 else name


def of_object(world: World, obj: Obj) -> Place:
    """The place of an object."""
    kind: Any = world.cluster.kinds.of(obj)
    return Place(kind.storage or kind.resource, namespace_of(obj), name_of(obj), str(obj["kind"]))


def last_version(world: World, before: World, place: Place) -> Obj | None:
    """The object as it is now, or as it was last."""
    for store in (world.cluster.store, before.cluster.store):
        found = store.get(place.resource, place.namespace, place.name)
        if found is not None:
            return found
    if place.kind not in _LIFTED:
        return None
    last = None
    try:
        for change in world.cluster.store.since(before.cluster.store.rv):
            obj = change.obj
            if change.resource == place.resource and name_of(obj) == place.name:
                last = obj if namespace_of(obj) == place.namespace else last
    except TooOldError:
        return None
    return last


def lifted(world: World, before: World, place: Place) -> Place:
    """The workload behind a pod or ReplicaSet; what has none stays what it is."""
    for _ in range(_DEPTH):
        obj = last_version(world, before, place) if place.kind in _OWNERS | _LIFTED else None
        owner = controller_of(obj) if obj is not None else None
        if owner is None or owner.get("kind") not in _OWNERS or obj is None:
            break
        above = {**owner, "metadata": {"name": owner["name"], "namespace": namespace_of(obj)}}
        if world.cluster.kinds.of(above) is None:
            break
        place = of_object(world, above)
    return place
