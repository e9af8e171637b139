"""What ResourceQuotas say is used: admission adds to it, this counts anew when something goes or ends.

Source: the resourcequota controller of Kubernetes 1.31.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from firedrill.world.kube.api.client import component_client
from firedrill.world.kube.controllers.base import Controller, all_keys, key_of, register, split_key
from firedrill.world.kube.objects import dig, is_deleting, name_of, namespace_of

if TYPE_CHECKING:
    from firedrill.world.kube.store import Change
    from firedrill.world.world import World

_NAME = "resourcequota-controller"
_QUOTAS = "resourcequotas"
_ENDED = frozenset({"Succeeded", "Failed"})


def _keys(world: World, change: Change) -> Iterable[str]:
    space = namespace_of(change.obj)
    if not space or not world.cluster.store.count(_QUOTAS, space):
        return ()
    old, new = change.previous, change.obj
    if change.resource == _QUOTAS and change.type != "DELETED":
        same = old is not None and old.get("spec") == new.get("spec")
        return () if same else (key_of(space, name_of(new)),)
    if change.type == "ADDED" or (change.type == "MODIFIED" and not _frees(change)):
        return ()
    return [key_of(space, name_of(quota)) for quota in world.cluster.store.list(_QUOTAS, space)]


def _frees(change: Change) -> bool:
    """Whether a change of an object can give something back."""
    old, new = change.previous, change.obj
    if change.resource == "pods":
        ended = dig(new, "status", "phase") in _ENDED and dig(old, "status", "phase") not in _ENDED
        return ended or dig(old, "spec", "containers") != dig(new, "spec", "containers")
    if change.resource in {"services", "persistentvolumeclaims"}:
        return old is not None and old.get("spec") != new.get("spec")
    return False


def _reconcile(world: World, key: str) -> None:
    from firedrill.world.kube.admission.quota_usage import resources_of, show, total_of

    namespace, name = split_key(key)
    store = world.cluster.store
    quota = store.get(_QUOTAS, namespace, name)
    if quota is None or is_deleting(quota):
        return
    hard = dig(quota, "spec", "hard", default={})
    objects = ((resource, obj) for resource in resources_of(hard) for obj in store.list(resource, namespace))
    used = total_of(quota, objects)
    status = {"hard": dict(hard), "used": {item: show(item, used[item]) for item in sorted(used)}}
    component_client(world, _NAME).update_status(quota, status)


CONTROLLER = register(
    Controller(
        name=_NAME,
        component="kube-controller-manager",
        watches={"*": _keys},
        reconcile=_reconcile,
        resync=all_keys(_QUOTAS),
        delay=(10, 200),
    )
)
