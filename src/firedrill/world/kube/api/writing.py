"""create, update and patch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.world.kube.api import errors, requests, rules, strategy
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.api.misfit import misfit
from firedrill.world.kube.api.reading import read
from firedrill.world.kube.api.request import Request, Response
from firedrill.world.kube.controllers.base import notify
from firedrill.world.kube.objects import Obj, dig, is_deleting, meta, name_of, namespace_of, uid_of
from firedrill.world.kube.store import Change
from firedrill.world.sim.clock import epoch_ms

if TYPE_CHECKING:
    from firedrill.world.kube.kinds import Kind
    from firedrill.world.world import World

_OWN = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
)
"""Metadata that only the server sets."""
_LONGEST_PREFIX = 58
_NAME_DRAWS = 8


def create(world: World, request: Request, kind: Kind) -> Response:
    """Answer a create.

    Raises:
        ApiError: the object is malformed, not admitted, or there already.
    """
    body, warnings = rules.decode(world, request, kind, request.body)
    return _create(world, request, kind, _named(world, request, kind, body), warnings)


def _create(world: World, request: Request, kind: Kind, obj: Obj, warnings: list[str]) -> Response:
    if "status" in kind.subresources and not strategy.keeps_status_at_creation(kind.resource):
        obj = {key: item for key, item in obj.items() if key != "status"}
    said = rules.default(world, request, kind, obj)
    obj, more = rules.mutate(world, request, kind, said, None)
    obj = _with_identity(world, kind, obj)
    obj = requests.signed_by(request, kind.resource, obj, None)
    obj = strategy.prepare(world, kind.resource, obj, None)
    rules.check(world, request, kind, obj, None)
    _refuse_taken(world, request, kind, obj)
    more += rules.admit(world, request, kind, obj, None)
    obj = _tracked(world, request, kind, None, said, obj)
    requests.refuse_oversized(request, obj)
    if not request.options.dry_run:
        requests.refuse_when_full(world)
        obj = save(world, kind.resource, obj)
        if kind.resource == "events":
            from firedrill.world.kube.events import keep_for_a_while

            keep_for_a_while(world, obj)
    return Response(201, obj, tuple(warnings + more))


def _refuse_taken(world: World, request: Request, kind: Kind, obj: Obj) -> None:
    found = world.cluster.store.get(kind.resource, request.namespace, name_of(obj))
    if found is None:
        return
    refusal = errors.already_exists(kind.resource, name_of(obj))
    if is_deleting(found):
        text = f"object is being deleted: {refusal.message}"
        raise errors.ApiError(refusal.code, refusal.reason, text, refusal.details)
    raise refusal


def _named(world: World, request: Request, kind: Kind, body: Obj) -> Obj:
    given = dict(meta(body))
    if kind.namespaced:
        here = given.get("namespace") or request.namespace
        if here != request.namespace:
            raise errors.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        given["namespace"] = here
    else:
        given.pop("namespace", None)
    if not given.get("name") and given.get("generateName"):
        given["name"] = _generated(world, kind, str(given.get("namespace") or ""), str(given["generateName"]))
    if not given.get("name"):
        raise errors.invalid(
            kind.group,
            kind.kind,
            "",
            [rules.required("metadata.name", "name or generateName is required")],
        )
    for key in (*_OWN, "resourceVersion"):
        given.pop(key, None)
    return {**body, "metadata": given}


def _generated(world: World, kind: Kind, namespace: str, prefix: str) -> str:
    """A name that is free, if one is found in eight draws."""
    store = world.cluster.store
    prefix = prefix[:_LONGEST_PREFIX]
    name = ""
    for attempt in range(_NAME_DRAWS):
        name = prefix + world.rng.suffix(5, "name", kind.resource, namespace, prefix, store.rv, attempt)
        if store.get(kind.resource, namespace, name) is None:
            break
    return name


def _with_identity(world: World, kind: Kind, obj: Obj) -> Obj:
    given = dict(obj["metadata"])
    given["uid"] = world.rng.uuid(
        "uid", kind.resource, given.get("namespace"), given["name"], world.cluster.store.rv
    )
    given["creationTimestamp"] = world.time
    if strategy.has_generation(kind.resource) or kind.custom:
        given["generation"] = 1
    return {**obj, "metadata": given}


def update(world: World, request: Request, kind: Kind) -> Response:
    """Answer an update (PUT) of an object or of its status.

    Raises:
        ApiError: it is not there, has changed since, is malformed or not admitted.
    """
    here = world.cluster.store.get(kind.resource, request.namespace, request.name)
    body, warnings = rules.decode(world, request, kind, request.body, here)
    old = stored(world, kind, request.namespace, request.name)
    if not name_of(body):
        raise errors.bad_request(
            f"the name of the object ({request.name} based on URL) was undeterminable: name must be provided"
        )
    return replace(world, request, kind, old, body, warnings)


def _refuse_renamed(request: Request, new: Obj) -> None:
    name, namespace = name_of(new), namespace_of(new)
    if name and name != request.name:
        raise errors.bad_request(
            f"the name of the object ({name}) does not match the name on the URL ({request.name})"
        )
    if namespace and namespace != request.namespace:
        raise errors.bad_request(
            f"the namespace of the object ({namespace}) does not match the namespace on the request "
            f"({request.namespace})"
        )


def stored(world: World, kind: Kind, namespace: str, name: str) -> Obj:
    """The stored version of an object, which writes start from.

    Raises:
        ApiError: it is not there.
    """
    found = world.cluster.store.get(kind.resource, namespace, name)
    if found is None:
        if strategy.computed(kind.resource):
            return read(world, kind, namespace, name)
        raise errors.not_found(kind.resource, name)
    return found


def replace(
    world: World,
    request: Request,
    kind: Kind,
    old: Obj,
    new: Obj,
    warnings: list[str] | None = None,
    *,
    through: str = "",
) -> Response:
    """Put `new` in the place of `old`, as far as the rules allow; an unchanged object is not written.

    Args:
        through: the subresource that the managers of its fields are told, where it is not the request's.

    Raises:
        ApiError: a precondition fails, or the object is malformed or not admitted.
    """
    given = meta(new)
    _refuse_renamed(request, new)
    version = given.get("resourceVersion")
    if not version and request.verb == "update" and strategy.needs_version(kind):
        problem = rules.invalid_value("metadata.resourceVersion", "0x0", "must be specified for an update")
        text = problem.message.replace('"0x0"', "0x0")
        raise errors.invalid(
            kind.group, kind.kind, name_of(old), [rules.FieldProblem(problem.field, problem.reason, text)]
        )
    if version and str(version) != old["metadata"]["resourceVersion"]:
        raise errors.modified(kind.resource, name_of(old))
    uid = given.get("uid")
    if uid and uid != uid_of(old):
        raise errors.conflict(
            kind.resource,
            name_of(old),
            f"Precondition failed: UID in precondition: {uid}, UID in object meta: {uid_of(old)}",
        )
    obj = _carry_over(request, kind, old, new)
    if request.subresource == "":
        obj = rules.default(world, request, kind, obj, old)
    said = obj
    obj, told = rules.mutate(world, request, kind, obj, old)
    more = [*(warnings or ()), *told]
    obj = requests.signed_by(request, kind.resource, obj, old)
    obj = strategy.prepare(world, kind.resource, obj, old)
    obj = _count_generation(kind, old, obj)
    if _same(old, obj):
        return Response(200, old, tuple(more))
    rules.check(world, request, kind, obj, old)
    more += rules.admit(world, request, kind, obj, old)
    obj = _tracked(world, request, kind, old, said, obj, through)
    requests.refuse_oversized(request, obj)
    if not request.options.dry_run:
        obj = save(world, kind.resource, obj)
        if is_deleting(obj) and not meta(obj).get("finalizers") and may_go(kind.resource, obj):
            last = world.cluster.store.remove(kind.resource, request.namespace, name_of(obj))
            if last is not None:
                notify(world, Change(world.cluster.store.rv, "DELETED", kind.resource, last, obj))
    return Response(200, obj, tuple(more))


def _tracked(
    world: World, request: Request, kind: Kind, old: Obj | None, said: Obj, obj: Obj, through: str = ""
) -> Obj:
    """The object with its fields' managers: whoever wrote owns what he said, not what admission added."""
    managed = meta(rules.track(world, request, kind, old, said, through)).get("managedFields")
    given = {key: item for key, item in obj["metadata"].items() if key != "managedFields"}
    return {**obj, "metadata": {**given, "managedFields": managed} if managed else given}


def may_go(resource: str, obj: Obj) -> bool:
    """Whether nothing but finalizers in the metadata holds back an object that is being deleted."""
    if resource == "namespaces":
        return not dig(obj, "spec", "finalizers")
    return int(meta(obj).get("deletionGracePeriodSeconds") or 0) == 0


def _carry_over(request: Request, kind: Kind, old: Obj, new: Obj) -> Obj:
    """What the request may change, on top of what it may not."""
    if request.subresource == "status":
        kept = {key: item for key, item in old.items() if key != "status"}
        out: Obj = {**kept, "status": new["status"]} if "status" in new else kept
        if "managedFields" in meta(new):
            out["metadata"] = {**old["metadata"], "managedFields": new["metadata"]["managedFields"]}
        return out
    before = old["metadata"]
    given = {key: item for key, item in meta(new).items() if key not in _OWN}
    for key in (*_OWN, "namespace", "name"):
        if key in before:
            given[key] = before[key]
    made = meta(new).get("creationTimestamp")
    if made and not _same_moment(made, before.get("creationTimestamp")):
        given["creationTimestamp"] = made  # validation says that it must stay
    given["resourceVersion"] = before["resourceVersion"]
    if not given.get("managedFields") and "managedFields" in before:
        given["managedFields"] = before["managedFields"]
    out = {**new, "apiVersion": old["apiVersion"], "kind": old["kind"], "metadata": given}
    if kind.resource == "namespaces" and request.subresource == "" and "spec" in old:
        out["spec"] = old["spec"]  # its finalizers change through `finalize` only
    if "status" in kind.subresources and request.subresource == "":
        out.pop("status", None)
        if "status" in old:
            out["status"] = old["status"]
    return out


def _same_moment(one: object, other: object) -> bool:
    if one == other:
        return True
    try:
        return epoch_ms(str(one)) == epoch_ms(str(other))
    except ValueError:
        return False


def _count_generation(kind: Kind, old: Obj, new: Obj) -> Obj:
    if not (strategy.has_generation(kind.resource) or kind.custom):
        return new
    apart = {"metadata", "status"} if "status" in kind.subresources else {"metadata"}
    wanted = [{k: v for k, v in obj.items() if k not in apart} for obj in (old, new)]
    if wanted[0] == wanted[1]:
        return new
    count = int(meta(old).get("generation") or 0) + 1
    return {**new, "metadata": {**new["metadata"], "generation": count}}


def _same(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return old == new


def save(world: World, resource: str, obj: Obj) -> Obj:
    """Store a version and tell the controllers. Everything that must be checked has been."""
    store = world.cluster.store
    meta_ = obj["metadata"]
    previous = store.get(resource, meta_.get("namespace", ""), meta_["name"])
    kept = store.put(resource, obj)
    notify(world, Change(store.rv, "MODIFIED" if previous is not None else "ADDED", resource, kept, previous))
    return kept


def patch(world: World, request: Request, kind: Kind) -> Response:
    """Answer a patch of any of the four types.

    Raises:
        ApiError: the patch is malformed, does not fit, conflicts, or its result is not admitted.
    """
    found = world.cluster.store.get(kind.resource, request.namespace, request.name)
    if request.patch_type == "apply":
        return _apply(world, request, kind, found)
    if found is None:
        raise errors.not_found(kind.resource, request.name)
    new = rules.patched(world, request, kind, found)
    try:
        body, warnings = rules.decode(world, request, kind, new, found)
    except ApiError as refusal:
        raise misfit(request, new, refusal) from refusal
    return replace(world, request, kind, found, body, warnings)


def _apply(world: World, request: Request, kind: Kind, old: Obj | None) -> Response:
    body, warnings = rules.decode(world, request, kind, request.body)
    new = rules.applied(world, request, kind, old, body)
    if old is None:
        if request.subresource:
            raise errors.not_found(kind.resource, request.name)
        _refuse_renamed(request, new)
        made = _named(world, request, kind, {**new, "metadata": {**meta(new), "name": request.name}})
        return _create(world, request, kind, made, warnings)
    return replace(world, request, kind, old, new, warnings)
