"""ClusterRoles that are put together from others by label, as `admin`, `edit` and `view` are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from firedrill.world.kube import selectors
from firedrill.world.kube.api.client import component_client
from firedrill.world.kube.controllers.base import Controller, register
from firedrill.world.kube.objects import Obj, dig, labels_of, name_of

if TYPE_CHECKING:
    from firedrill.world.kube.store import Change
    from firedrill.world.world import World

_NAME = "clusterrole-aggregation-controller"
_ROLES = "clusterroles.rbac.authorization.k8s.io"


def _aggregates(role: Obj) -> bool:
    return bool(dig(role, "aggregationRule", "clusterRoleSelectors"))


def _takes(role: Obj, other: Obj) -> bool:
    wanted = dig(role, "aggregationRule", "clusterRoleSelectors", default=())
    return any(selectors.selects(selector, labels_of(other)) for selector in wanted)


def _keys(world: World, change: Change) -> Iterable[str]:
    seen = [obj for obj in (change.obj, change.previous) if obj is not None and labels_of(obj)]
    out = [
        name_of(role)
        for role in world.cluster.store.list(_ROLES)
        if _aggregates(role) and any(_takes(role, other) for other in seen)
    ]
    if change.type != "DELETED" and _aggregates(change.obj) and name_of(change.obj) not in out:
        out.append(name_of(change.obj))
    return out


def _reconcile(world: World, name: str) -> None:
    store = world.cluster.store
    role = store.get(_ROLES, "", name)
    if role is None or not _aggregates(role):
        return
    rules: list[Obj] = []
    for other in store.list(_ROLES):
        if name_of(other) != name and _takes(role, other):
            rules += [rule for rule in other.get("rules") or () if rule not in rules]
    if rules != (role.get("rules") or []):
        component_client(world, _NAME).patch(_ROLES, "", name, {"rules": rules})


def _resync(world: World) -> Iterable[str]:
    return [name_of(role) for role in world.cluster.store.list(_ROLES) if _aggregates(role)]


CONTROLLER = register(
    Controller(
        name=_NAME,
        component="kube-controller-manager",
        watches={_ROLES: _keys},
        reconcile=_reconcile,
        resync=_resync,
    )
)
