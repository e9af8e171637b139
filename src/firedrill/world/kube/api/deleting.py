"""delete and deletecollection: grace periods, finalizers, and the ways to treat what depends on an object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firedrill.world.kube.api import errors, rules
from firedrill.world.kube.api.reading import parse_filter
from firedrill.world.kube.api.request import Options, Request, Response
from firedrill.world.kube.api.writing import may_go, save, stored
from firedrill.world.kube.controllers.base import notify
from firedrill.world.kube.objects import Obj, dig, is_deleting, meta, name_of, namespace_of, uid_of
from firedrill.world.kube.store import Change
from firedrill.world.sim.clock import rfc3339

if TYPE_CHECKING:
    from firedrill.world.kube.kinds import Kind
    from firedrill.world.world import World

_POLICIES = {"Background": None, "Foreground": "foregroundDeletion", "Orphan": "orphan", "": None}


def delete(world: World, request: Request, kind: Kind) -> Response:
    """Answer a delete.

    Raises:
        ApiError: it is not there, a precondition fails, or the deletion is not admitted.
    """
    obj = stored(world, kind, request.namespace, request.name)
    options = _options(request)
    _preconditions(kind, obj, options)
    rules.admit(world, request, kind, None, obj)
    if options.dry_run:
        return Response(200, _answer(kind, obj, gone=True))
    kept = remove(world, kind.resource, obj, options)
    return Response(200, _answer(kind, kept or obj, gone=kept is None))


def delete_collection(world: World, request: Request, kind: Kind) -> Response:
    """Answer a deletecollection: whatever the selectors let through is deleted.

    Raises:
        ApiError: a selector is malformed, or a deletion is not admitted.
    """
    chosen = parse_filter(kind, request.options)
    options = _options(request)
    items = [
        obj
        for obj in world.cluster.store.list(kind.resource, request.namespace or None)
        if not chosen or chosen.takes(obj)
    ]
    for obj in items:
        rules.admit(world, request, kind, None, obj)
        if not options.dry_run:
            remove(world, kind.resource, obj, options)
    meta_ = {"resourceVersion": str(world.cluster.store.rv)}
    body = {"kind": kind.list_kind, "apiVersion": kind.api_version, "metadata": meta_, "items": items}
    return Response(200, body)


def _options(request: Request) -> Options:
    return rules.delete_options(request)


def _preconditions(kind: Kind, obj: Obj, options: Options) -> None:
    uid, version = options.preconditions.get("uid"), options.preconditions.get("resourceVersion")
    here = obj["metadata"]
    if uid and uid != here["uid"]:
        raise errors.conflict(
            kind.resource,
            name_of(obj),
            "Precondition failed: UID in precondition: " + f"{uid}, UID in object meta: {here['uid']}",
        )
    if version and version != here["resourceVersion"]:
        raise errors.conflict(
            kind.resource,
            name_of(obj),
            f"Precondition failed: ResourceVersion in precondition: {version}, "
            f"ResourceVersion in object meta: {here['resourceVersion']}",
        )
    if options.propagation_policy not in _POLICIES:
        raise errors.bad_request(f"invalid propagationPolicy: {options.propagation_policy!r}")


def remove(world: World, resource: str, obj: Obj, options: Options) -> Obj | None:
    """Begin or finish the deletion of an object.

    Returns:
        The object that is still there, marked as being deleted; None where it is gone.
    """
    grace = _grace(resource, obj, options)
    finalizers = list(meta(obj).get("finalizers") or ())
    extra = _POLICIES[options.propagation_policy]
    if extra is not None and extra not in finalizers:
        finalizers.append(extra)
    elif options.propagation_policy == "Background":
        finalizers = [item for item in finalizers if item not in {"foregroundDeletion", "orphan"}]
    wait = (
        bool(finalizers) or grace > 0 or (resource == "namespaces" and bool(dig(obj, "spec", "finalizers")))
    )
    if not wait:
        _gone(world, resource, obj)
        return None
    given = {**obj["metadata"]}
    if finalizers:
        given["finalizers"] = finalizers
    else:
        given.pop("finalizers", None)
    if not is_deleting(obj):
        given["deletionTimestamp"] = rfc3339(world.now + grace * 1000)
        given["deletionGracePeriodSeconds"] = grace
        if "generation" in given:
            given["generation"] += 1
    elif grace < int(given.get("deletionGracePeriodSeconds") or 0):
        given["deletionTimestamp"] = rfc3339(world.now + grace * 1000)
        given["deletionGracePeriodSeconds"] = grace
    new = {**obj, "metadata": given}
    if resource == "namespaces":
        new["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
    if new == obj:
        return obj
    kept = save(world, resource, new)
    if not finalizers and may_go(resource, kept):
        _gone(world, resource, kept)
        return None
    return kept


def _gone(world: World, resource: str, obj: Obj) -> None:
    last = world.cluster.store.remove(resource, namespace_of(obj), name_of(obj))
    if last is not None:
        notify(world, Change(world.cluster.store.rv, "DELETED", resource, last, obj))


def _grace(resource: str, obj: Obj, options: Options) -> int:
    """Seconds that a pod has to end by itself; everything else goes at once."""
    if resource != "pods":
        return 0
    if not dig(obj, "spec", "nodeName") or dig(obj, "status", "phase") in {"Succeeded", "Failed"}:
        return 0
    asked = options.grace_period_seconds
    if asked is None:
        asked = int(dig(obj, "spec", "terminationGracePeriodSeconds", default=30))
    return max(asked, 0)


def _answer(kind: Kind, obj: Obj, *, gone: bool) -> Obj:
    if not gone:
        return obj
    details: Obj = {"name": name_of(obj), "kind": kind.plural, "uid": uid_of(obj)}
    if kind.group:
        details["group"] = kind.group
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
