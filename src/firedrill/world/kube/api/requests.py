"""What becomes of an object because of the request that brings it: who asked, and how much."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.api.request import Request
from firedrill.world.kube.objects import Obj

if TYPE_CHECKING:
    from firedrill.world.world import World

_WHO = ("username", "uid", "groups", "extra")
_LOOK_FROM = 64 * 1024
_STORABLE = 1536 * 1024
_SENDABLE = 2 * 1024 * 1024
CERTIFICATES = "certificatesigningrequests.certificates.k8s.io"


def signed_by(request: Request, resource: str, obj: Obj, old: Obj | None) -> Obj:
    """The object with the requester in it, where the resource keeps one; what was signed stays as it is."""
    if resource != CERTIFICATES:
        return obj
    if old is not None:
        return {**obj, "spec": old["spec"]}
    user = request.user
    spec = {key: item for key, item in (obj.get("spec") or {}).items() if key not in _WHO}
    spec |= {"username": user.name, "groups": [*user.groups, "system:authenticated"]}
    spec |= {"uid": user.uid} if user.uid else {}
    spec |= {"extra": {key: list(values) for key, values in user.extra.items()}} if user.extra else {}
    return {**obj, "spec": spec}


def refuse_when_full(world: World) -> None:
    """Refuse a new object once the database is full: etcd takes none until something is deleted.

    Raises:
        ApiError: 500, in the words of etcd.
    """
    if world.cluster.store.size > world.cluster.settings.database_bytes:
        raise ApiError(500, "", "etcdserver: mvcc: database space exceeded")


def refuse_oversized(request: Request, obj: Obj) -> None:
    """Refuse what etcd would not take. Only requests with a large body are looked at: measuring costs time.

    Raises:
        ApiError: 500, in the words of etcd and its client.
    """
    if request.size < _LOOK_FROM or request.options.dry_run:
        return
    size = len(orjson.dumps(obj))
    if size > _SENDABLE:
        text = "rpc error: code = ResourceExhausted desc = trying to send message larger than max"
        raise ApiError(500, "", f"{text} ({size} vs. {_SENDABLE})")
    if size > _STORABLE:
        raise ApiError(500, "", "etcdserver: request is too large")
