"""What healing entities would do, before anything is done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from firedrill.faults._diff import differences, plain
from firedrill.faults.base import NO_OBJECTS, Injection, Undo
from firedrill.faults.healing.places import Place, lifted, place_of
from firedrill.world.kube.kubelet.state import PARTS
from firedrill.world.kube.objects import Obj, controller_of, dig

if TYPE_CHECKING:
    from firedrill.world import World

_WORKLOADS = {
    "deployments.apps": "Deployment",
    "statefulsets.apps": "StatefulSet",
    "daemonsets.apps": "DaemonSet",
}
_USES: Mapping[str, tuple[str, ...]] = {
    "configmaps": ("configMap", "configMapRef", "configMapKeyRef"),
    "secrets": ("secret", "secretRef", "secretKeyRef"),
}
_FIRST = ("namespaces", "serviceaccounts", "configmaps", "secrets", "persistentvolumes")
_LAST = frozenset(_WORKLOADS)


@dataclass(frozen=True, slots=True)
class Plan:
    """What healing comes to.

    Attributes:
        back: objects and conditions to be as before, in order.
        restart: workloads whose pods start anew, as they use what goes back.
        replace: pods that are deleted, as (namespace, name): their owners make new ones.
    """

    back: tuple[Undo, ...] = ()
    restart: tuple[Place, ...] = ()
    replace: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> tuple[Any, ...]:
        """What two plans have in common that do the same."""
        back = sorted((step.resource, step.namespace, step.name) for step in self.back)
        return (tuple(back), tuple(sorted(self.restart)), tuple(sorted(self.replace)))

    def __bool__(self) -> bool:
        return bool(self.back or self.restart or self.replace)


def places_of(world: World, before: World, entities: Iterable[str], *, lift: bool) -> list[Place]:
    """The objects that entities name, each once, pods lifted to their owners where that is asked."""
    found = [place_of(world, before, text) for text in entities]
    there = [place for place in found if place is not None]
    return list(dict.fromkeys(lifted(world, before, place) if lift else place for place in there))


def plan(
    world: World,
    entities: Sequence[str],
    *,
    before: World,
    injections: Sequence[Injection],
    lift: bool = True,
) -> Plan:
    """What `heal` would do.

    Args:
        world: as it is.
        entities: as `namespace/Kind/name`.
        before: a fork from right before the first injection.
        injections: what was done since.
        lift: pods and ReplicaSets stand for the workloads that own them.
    """
    named = places_of(world, before, entities, lift=False)
    meant = list(dict.fromkeys([*places_of(world, before, entities, lift=lift), *named])) if lift else named
    back: list[Undo] = []
    pods: list[tuple[str, str]] = []
    for place in meant:
        if place.resource == "pods":
            back += _pod(world, before, place, pods)
        elif not (lift and place.resource == "replicasets.apps"):
            back += _object(world, before, place)
    ends = [step for step in _conditions(injections, {str(place) for place in meant}) if step not in back]
    users = dict.fromkeys(user for step in back for user in _users(world, step))
    return Plan((*ends, *sorted(back, key=_order)), tuple(users), tuple(pods))


def _order(step: Undo) -> tuple[int, int]:
    """Deletions, then what others need, workloads last."""
    if step.was is None:
        return (0, 0)
    if step.resource in _FIRST:
        return (1, _FIRST.index(step.resource))
    return (2, int(step.resource in _LAST))


def _object(world: World, before: World, place: Place) -> list[Undo]:
    """The object as it was, where it is not so any more."""
    key = place[:3]
    was, now = before.cluster.store.get(*key), world.cluster.store.get(*key)
    if was is None and now is None:
        return []
    if was is not None and now is not None and not any(differences(plain(was), plain(now))):
        return []
    return [Undo(*key, was)]


def _pod(world: World, before: World, place: Place, pods: list[tuple[str, str]]) -> list[Undo]:
    """A pod with an owner is replaced by it; one without is an object like others."""
    now, was = world.cluster.store.get(*place[:3]), before.cluster.store.get(*place[:3])
    owner = next((controller_of(obj) for obj in (now, was) if obj is not None), None)
    if now is not None and (owner or {}).get("kind") != "Node":
        changed = [] if owner is not None else _object(world, before, place)
        if not changed:
            pods.append((place.namespace, place.name))
        return changed
    return [] if owner is not None else _object(world, before, place)


def _conditions(injections: Sequence[Injection], healed: set[str]) -> list[Undo]:
    """What no object shows and belongs to one of these entities."""
    return [
        step
        for injection in injections
        for step in injection.undo
        if step.resource in NO_OBJECTS and healed.intersection(bearers(injection, step))
    ]


def bearers(injection: Injection, step: Undo) -> tuple[str, ...]:
    """The entities that a condition without an object belongs to."""
    if not step.resource.startswith("node-"):
        return injection.causes
    node = f"cluster/Node/{step.namespace}"
    if step.resource == "node-pressure" or step.name in PARTS:
        return (node,)
    return (node, f"kube-system/Pod/{step.name}-{step.namespace}")


def _users(world: World, step: Undo) -> Iterator[Place]:
    """The workloads whose pods use a ConfigMap or Secret."""
    keys = _USES.get(step.resource)
    if keys is None:
        return
    for resource, kind in _WORKLOADS.items():
        for owner in world.cluster.store.list(resource, step.namespace):
            if _names(dig(owner, "spec", "template", "spec"), keys, step.name):
                yield Place(resource, step.namespace, str(owner["metadata"]["name"]), kind)


def _names(value: Any, keys: tuple[str, ...], name: str) -> bool:
    """Whether something under one of the keys names the object."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            named = (item.get("name"), item.get("secretName")) if isinstance(item, Mapping) else ()
            if (key in keys and name in named) or _names(item, keys, name):
                return True
        return False
    return isinstance(value, list | tuple) and any(_names(item, keys, name) for item in value)


def changed_objects(world: World, before: World) -> list[tuple[Place, Obj | None, Obj | None]]:
    """What people (or what runs for them) changed since: place, version before and now.

    Left out: what controllers make of other objects, and what only tells of something.
    """
    out = []
    old, new = before.cluster.store, world.cluster.store
    for resource in sorted({*old.resources(), *new.resources()}):
        if resource in _TELLING:
            continue
        was = {_key(obj): obj for obj in old.list(resource)}
        now = {_key(obj): obj for obj in new.list(resource)}
        for key in sorted({*was, *now}):
            first, last = was.get(key), now.get(key)
            if first is last or _owned(first) or _owned(last):
                continue
            if first is None or last is None or any(differences(plain(first), plain(last))):
                kind = str((last or first or {})["kind"])
                out.append((Place(resource, *key, kind), first, last))
    return out


_TELLING = frozenset(
    {
        "events",
        "events.events.k8s.io",
        "endpoints",
        "endpointslices.discovery.k8s.io",
        "leases.coordination.k8s.io",
        "controllerrevisions.apps",
    }
)


def _key(obj: Obj) -> tuple[str, str]:
    return str(obj["metadata"].get("namespace") or ""), str(obj["metadata"]["name"])


def _owned(obj: Obj | None) -> bool:
    return obj is not None and controller_of(obj) is not None
