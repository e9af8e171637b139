"""delete and deletecollection: grace periods, finalizers, and the ways to treat what depends on an object."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from firedrill.world.kube.api import errors, rules, strategy
from firedrill.world.kube.api.reading import parse_filter
from firedrill.world.kube.api.request import Options, Request, Response
from firedrill.world.kube.api.writing import save, stored
from firedrill.world.kube.controllers.base import notify
from firedrill.world.kube.objects import (
    Obj,
    dig,
    is_deleting,
    meta,
    name_of,
    namespace_of,
    uid_of,
    with_condition,
)
from firedrill.world.kube.store import Change
from firedrill.world.sim.clock import epoch_ms, rfc3339

if TYPE_CHECKING:
    from firedrill.world.kube.kinds import Kind
    from firedrill.world.world import World

_ORPHAN, _FOREGROUND = "orphan", "foregroundDeletion"
_CRDS = "customresourcedefinitions.apiextensions.k8s.io"
_CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
_POLICIES = ("Foreground", "Background", "Orphan")
_JOBS_KEEP_PODS = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove "
    "them or set propagationPolicy=Orphan to suppress this warning"
)


class Plan(NamedTuple):
    """What a deletion comes to: the version to keep first (None: none), and whether the object goes."""

    kept: Obj | None
    gone: bool


def delete(world: World, request: Request, kind: Kind) -> Response:
    """Answer a delete.

    Raises:
        ApiError: it is not there, a precondition fails, or the deletion is not admitted.
    """
    obj = stored(world, kind, request.namespace, request.name)
    options = _options(request)
    _preconditions(kind, obj, options)
    warnings = rules.admit(world, request, kind, None, obj)
    if kind.resource == "jobs.batch" and not options.propagation_policy:
        warnings = [*warnings, _JOBS_KEEP_PODS]
    plan = planned(world, kind.resource, obj, options)
    if not options.dry_run:
        plan = _carry_out(world, kind.resource, obj, plan)
    return Response(200, _answer(kind, plan.kept or obj, gone=plan.gone), tuple(warnings))


def delete_collection(world: World, request: Request, kind: Kind) -> Response:
    """Answer a deletecollection: whatever the selectors let through is deleted.

    Raises:
        ApiError: a selector is malformed, or a deletion is not admitted.
    """
    options = _options(request)
    answered = []
    for obj in chosen(world, request, kind):
        rules.admit(world, request, kind, None, obj)
        plan = planned(world, kind.resource, obj, options)
        if not options.dry_run:
            plan = _carry_out(world, kind.resource, obj, plan)
        answered.append(plan.kept or obj)
    meta_ = {"resourceVersion": str(world.cluster.store.rv)}
    body = {"kind": kind.list_kind, "apiVersion": kind.api_version, "metadata": meta_, "items": answered}
    return Response(200, body)


def chosen(world: World, request: Request, kind: Kind) -> list[Obj]:
    """What a delete or deletecollection is about.

    Raises:
        ApiError: the object is not there, or a selector is malformed.
    """
    if request.verb == "delete":
        return [stored(world, kind, request.namespace, request.name)]
    wanted = parse_filter(kind, request.options)
    items = [
        obj
        for obj in world.cluster.store.list(kind.resource, request.namespace or None)
        if not wanted or wanted.takes(obj)
    ]
    limit = request.options.limit
    return items[:limit] if limit else items


def _options(request: Request) -> Options:
    options = rules.delete_options(request)
    policy = options.propagation_policy
    if policy and policy not in _POLICIES:
        shown = ", ".join(f'"{item}"' for item in (*_POLICIES, "nil"))
        problem = rules.FieldProblem(
            "propagationPolicy",
            "FieldValueNotSupported",
            f'Unsupported value: "{policy}": supported values: {shown}',
        )
        raise errors.invalid("meta.k8s.io", "DeleteOptions", "", [problem])
    return options


def _preconditions(kind: Kind, obj: Obj, options: Options) -> None:
    uid, version = options.preconditions.get("uid"), options.preconditions.get("resourceVersion")
    here = obj["metadata"]
    shown = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    if uid and uid != here["uid"]:
        raise errors.conflict(
            shown,
            name_of(obj),
            f"the UID in the precondition ({uid}) does not match the UID in record ({here['uid']}). "
            "The object might have been deleted and then recreated",
        )
    if version and version != here["resourceVersion"]:
        raise errors.conflict(
            shown,
            name_of(obj),
            f"the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in "
            f"record ({here['resourceVersion']}). The object might have been modified",
        )


def remove(world: World, resource: str, obj: Obj, options: Options) -> Obj | None:
    """Begin or finish the deletion of an object.

    Returns:
        The object that is still there, marked as being deleted; None where it is gone.
    """
    plan = _carry_out(world, resource, obj, planned(world, resource, obj, options))
    return None if plan.gone else plan.kept


def planned(world: World, resource: str, obj: Obj, options: Options) -> Plan:
    """What deleting the object comes to."""
    if resource == "pods":
        return _planned_pod(world, obj, options)
    finalizers = _finalizers(resource, obj, options)
    if resource == _CRDS and _CLEANUP not in finalizers and not is_deleting(obj):
        return _planned_definition(world, obj, finalizers)
    if resource == "namespaces":
        return _planned_namespace(world, obj, finalizers)
    if not finalizers:
        return Plan(None, gone=True)
    return Plan(_marked(world, obj, finalizers, 0, world.now), gone=False)


def _planned_definition(world: World, obj: Obj, finalizers: list[str]) -> Plan:
    """A definition waits until its objects are gone."""
    new = _marked(world, obj, [*finalizers, _CLEANUP], None, world.now)
    said = {
        "type": "Terminating",
        "status": "True",
        "reason": "InstanceDeletionPending",
        "message": "CustomResourceDefinition marked for deletion; "
        "CustomResource deletion will be initiated soon",
    }
    conditions = with_condition(dig(new, "status", "conditions"), said, world.time)
    return Plan({**new, "status": {**(new.get("status") or {}), "conditions": conditions}}, gone=False)


def _planned_namespace(world: World, obj: Obj, finalizers: list[str]) -> Plan:
    if not finalizers and not dig(obj, "spec", "finalizers"):
        return Plan(None, gone=True)
    new = _marked(world, obj, finalizers, None, world.now)
    return Plan({**new, "status": {**(obj.get("status") or {}), "phase": "Terminating"}}, gone=False)


def _planned_pod(world: World, obj: Obj, options: Options) -> Plan:
    """A pod gets time to end by itself; while it ends, that time can only be shortened."""
    asked = options.grace_period_seconds
    if is_deleting(obj):
        before = int(meta(obj).get("deletionGracePeriodSeconds") or 0)
        if asked is None or max(asked, 0) >= before:
            return Plan(obj, gone=False)
        grace = asked if asked >= 0 else 1
        start = epoch_ms(meta(obj)["deletionTimestamp"]) - before * 1000
    else:
        grace = int(dig(obj, "spec", "terminationGracePeriodSeconds", default=30)) if asked is None else asked
        if not dig(obj, "spec", "nodeName") or dig(obj, "status", "phase") in {"Succeeded", "Failed"}:
            grace = 0
        grace, start = (grace if grace >= 0 else 1), world.now
    finalizers = _finalizers("pods", obj, options)
    new = _marked(world, obj, finalizers, grace, start)
    return Plan(new, gone=grace == 0 and not finalizers)


def _finalizers(resource: str, obj: Obj, options: Options) -> list[str]:
    """The finalizers that are left, with the one that the treatment of dependents asks for."""
    here = list(meta(obj).get("finalizers") or ())
    rest = [item for item in here if item not in {_ORPHAN, _FOREGROUND}]
    policy = options.propagation_policy
    if not policy:
        kept = [item for item in here if item in {_ORPHAN, _FOREGROUND}]
        if kept:
            return [*rest, kept[0]]
        policy = "Orphan" if strategy.orphans_by_default(resource) else "Background"
    if policy == "Orphan":
        return [*rest, _ORPHAN]
    return [*rest, _FOREGROUND] if policy == "Foreground" else rest


def _marked(world: World, obj: Obj, finalizers: list[str], grace: int | None, start: int) -> Obj:
    given = {key: item for key, item in obj["metadata"].items() if key != "finalizers"}
    if finalizers:
        given["finalizers"] = finalizers
    if not is_deleting(obj):
        if "generation" in given:
            given["generation"] += 1
        given["deletionTimestamp"] = rfc3339(start + (grace or 0) * 1000)
    elif grace is not None and grace < int(given.get("deletionGracePeriodSeconds") or 0):
        given["deletionTimestamp"] = rfc3339(start + grace * 1000)
    if grace is not None:
        given["deletionGracePeriodSeconds"] = grace
    return {**obj, "metadata": given}


def _carry_out(world: World, resource: str, obj: Obj, plan: Plan) -> Plan:
    kept = plan.kept
    if kept is not None and kept != obj:
        kept = save(world, resource, kept)
    if plan.gone:
        _gone(world, resource, kept or obj)
    return Plan(kept, plan.gone)


def _gone(world: World, resource: str, obj: Obj) -> None:
    last = world.cluster.store.remove(resource, namespace_of(obj), name_of(obj))
    if last is not None:
        notify(world, Change(world.cluster.store.rv, "DELETED", resource, last, obj))


def _answer(kind: Kind, obj: Obj, *, gone: bool) -> Obj:
    if not gone or strategy.returns_deleted(kind.resource):
        return obj
    details: Obj = {"name": name_of(obj)}
    if kind.group:
        details["group"] = kind.group
    details |= {"kind": kind.plural, "uid": uid_of(obj)}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
