"""Garbage collection: what becomes of an object whose owner goes.

Source: the garbage collector of Kubernetes 1.31. An owner is found by its reference and counts only with its
uid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import events
from firedrill.world.kube.api.client import component_client
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.controllers.base import Controller, Later, register
from firedrill.world.kube.objects import Obj, is_deleting, meta, name_of, namespace_of, uid_of

if TYPE_CHECKING:
    from firedrill.world.kube.store import Change
    from firedrill.world.world import World

_NAME = "garbage-collector"
_USER = "generic-garbage-collector"
_SOURCE = "garbage-collector-controller"
_ORPHAN = "orphan"
_FOREGROUND = "foregroundDeletion"
_IGNORED = frozenset({"events", "leases.coordination.k8s.io"})
Reference = Mapping[str, Any]


def _key(resource: str, obj: Mapping[str, Any]) -> str:
    return "|".join((resource, namespace_of(obj), name_of(obj), uid_of(obj)))


def _references(obj: Mapping[str, Any] | None) -> list[Reference]:
    return (meta(obj).get("ownerReferences") or []) if obj is not None else []


def _finalizers(obj: Mapping[str, Any]) -> list[str]:
    return meta(obj).get("finalizers") or []


def _waits(obj: Mapping[str, Any]) -> bool:
    """Whether the object waits for what depends on it to go first."""
    return is_deleting(obj) and _FOREGROUND in _finalizers(obj)


def _keys(world: World, change: Change) -> Iterable[str]:
    if change.resource in _IGNORED:
        return ()
    obj, old = change.obj, change.previous
    if change.type == "DELETED":
        return [*_dependents(world, uid_of(obj)), *_waiting_owners(world, obj)]
    now = _references(obj)
    out: list[str] = []
    if is_deleting(obj):
        held = {_ORPHAN, _FOREGROUND}.intersection(_finalizers(obj))
        if held and (old is None or not is_deleting(old) or _finalizers(old) != _finalizers(obj)):
            out.append(_key(change.resource, obj))
    if now or _references(old):
        if old is None or _references(old) != now:
            out.append(_key(change.resource, obj))
        if old is not None and _references(old) != now:
            out += _waiting_owners(world, old)
    return out


def _dependents(world: World, uid: str) -> list[str]:
    store = world.cluster.store
    found = (store.get(*ref) for ref in store.owned_by(uid))
    refs = store.owned_by(uid)
    return [_key(ref[0], obj) for ref, obj in zip(refs, found, strict=True) if obj is not None]


def _waiting_owners(world: World, obj: Mapping[str, Any]) -> list[str]:
    out = []
    for reference in _references(obj):
        resource, owner = _owner(world, obj, reference)
        if owner is not None and _waits(owner):
            out.append(_key(resource, owner))
    return out


def _owner(world: World, obj: Mapping[str, Any], reference: Reference) -> tuple[str, Obj | None]:
    """(its resource, the owner or None); the resource is empty where the cluster serves no such kind."""
    kind = world.cluster.kinds.of(reference)
    if kind is None:
        return "", None
    resource = kind.storage or kind.resource
    space = namespace_of(obj) if kind.namespaced else ""
    owner = world.cluster.store.get(resource, space, str(reference.get("name") or ""))
    if owner is None or uid_of(owner) != reference.get("uid"):
        return resource, None
    return resource, owner


def _reconcile(world: World, key: str) -> None:
    resource, namespace, name, uid = key.split("|")
    obj = world.cluster.store.get(resource, namespace, name)
    if obj is None or uid_of(obj) != uid:
        return
    if is_deleting(obj):
        if _ORPHAN in _finalizers(obj):
            _release(world, resource, obj)
        elif _FOREGROUND in _finalizers(obj):
            _delete_dependents(world, resource, obj)
        return
    _judge(world, resource, obj)


def _release(world: World, resource: str, owner: Obj) -> None:
    """Take the owner out of the references of what depends on it, then let it go."""
    for ref in world.cluster.store.owned_by(uid_of(owner)):
        dependent = world.cluster.store.get(*ref)
        if dependent is not None:
            _drop(world, ref[0], dependent, {uid_of(owner)})
    _unfinalize(world, resource, owner, _ORPHAN)


def _delete_dependents(world: World, resource: str, owner: Obj) -> None:
    store = world.cluster.store
    uid = uid_of(owner)
    blocked = False
    for ref in store.owned_by(uid):
        dependent = store.get(*ref)
        if dependent is None:
            continue
        blocks = any(
            item.get("uid") == uid and item.get("blockOwnerDeletion") for item in _references(dependent)
        )
        if not is_deleting(dependent):
            _judge(world, ref[0], dependent)
            blocks = blocks and store.get(*ref) is not None
        blocked = blocked or blocks
    if not blocked:
        _unfinalize(world, resource, owner, _FOREGROUND)


def _judge(world: World, resource: str, obj: Obj) -> None:
    """Delete an object none of whose owners stays; drop the references to those that go."""
    solid: list[str] = []
    dangling: set[str] = set()
    waiting: set[str] = set()
    unknown = False
    for reference in _references(obj):
        kind = world.cluster.kinds.of(reference)
        if kind is None:
            unknown = True
            continue
        if kind.namespaced and not namespace_of(obj):
            _tell_invalid(world, obj, reference)
            solid.append(str(reference.get("uid")))  # a reference that cannot be looked up holds
            continue
        _, owner = _owner(world, obj, reference)
        uid = str(reference.get("uid"))
        if owner is None:
            dangling.add(uid)
            if kind.namespaced and _lives_elsewhere(world, kind.storage or kind.resource, uid):
                _tell_invalid(world, obj, reference)
        elif _waits(owner) and reference.get("blockOwnerDeletion"):
            waiting.add(uid)
        elif _waits(owner):
            dangling.add(uid)
        else:
            solid.append(uid)
    if unknown:
        raise Later
    if solid:
        if dangling or waiting:
            _drop(world, resource, obj, dangling | waiting)
        return
    if not dangling and not waiting:
        return
    _delete(world, resource, obj, foreground=bool(waiting) and bool(_dependents(world, uid_of(obj))))


def _lives_elsewhere(world: World, resource: str, uid: str) -> bool:
    return any(uid_of(other) == uid for other in world.cluster.store.list(resource))


def _tell_invalid(world: World, obj: Obj, reference: Reference) -> None:
    version, kind = reference.get("apiVersion"), reference.get("kind")
    space = namespace_of(obj)
    which = (
        f"[{version}/{kind}, namespace: {space}, name: {reference.get('name')}, uid: {reference.get('uid')}]"
    )
    message = f'ownerRef {which} does not exist in namespace "{space}"'
    events.record(world, obj, "Warning", "OwnerRefInvalidNamespace", message, component=_SOURCE)


def _delete(world: World, resource: str, obj: Obj, *, foreground: bool) -> None:
    policy = "Background"
    if _ORPHAN in _finalizers(obj):
        policy = "Orphan"
    elif foreground or _FOREGROUND in _finalizers(obj):
        policy = "Foreground"
    try:
        component_client(world, _USER).delete(
            resource, namespace_of(obj), name_of(obj), propagation=policy, uid=uid_of(obj)
        )
    except ApiError as refusal:
        if refusal.reason not in {"NotFound", "Conflict"}:
            raise


def _drop(world: World, resource: str, obj: Obj, uids: set[str]) -> None:
    kept = [dict(item) for item in _references(obj) if item.get("uid") not in uids]
    body = {"metadata": {"ownerReferences": kept or None, "uid": uid_of(obj)}}
    _patch(world, resource, obj, body)


def _unfinalize(world: World, resource: str, obj: Obj, finalizer: str) -> None:
    now = world.cluster.store.get(resource, namespace_of(obj), name_of(obj))
    if now is None or uid_of(now) != uid_of(obj):
        return
    kept = [item for item in _finalizers(now) if item != finalizer]
    _patch(world, resource, now, {"metadata": {"finalizers": kept or None}})


def _patch(world: World, resource: str, obj: Obj, body: Obj) -> None:
    try:
        component_client(world, _USER).patch(resource, namespace_of(obj), name_of(obj), body)
    except ApiError as refusal:
        if refusal.reason != "NotFound":
            raise


def _resync(world: World) -> Iterable[str]:
    store = world.cluster.store
    return [
        _key(resource, obj)
        for resource in store.resources()
        if resource not in _IGNORED
        for obj in store.list(resource)
        if _references(obj) or is_deleting(obj)
    ]


CONTROLLER = register(
    Controller(
        name=_NAME,
        component="kube-controller-manager",
        watches={"*": _keys},
        reconcile=_reconcile,
        resync=_resync,
    )
)
