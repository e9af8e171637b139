"""One request, from its authorisation to its audit entry."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from firedrill.world.kube import audit
from firedrill.world.kube.api import (
    components,
    deleting,
    errors,
    pods,
    reading,
    rules,
    services,
    strategy,
    subresources,
    writing,
)
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.api.request import Options, Request, Response
from firedrill.world.kube.objects import Obj, dig

if TYPE_CHECKING:
    from firedrill.world.kube.kinds import Kind
    from firedrill.world.world import World

__all__ = [
    "Preview",
    "components",
    "find_kind",
    "handle",
    "options_in_force",
    "permit",
    "pods",
    "preview",
    "services",
    "subresources",
    "watch",
]

_VERBS = {
    "get": reading.get,
    "list": reading.list_objects,
    "create": writing.create,
    "update": writing.update,
    "patch": writing.patch,
    "delete": deleting.delete,
    "deletecollection": deleting.delete_collection,
}
_OUTDATED = {
    "componentstatuses": (19, "v1 ComponentStatus is deprecated in v1.19+"),
    "endpoints": (33, "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
}
"""Resources that every answer warns of, from this minor version on."""


def handle(world: World, request: Request) -> Response:
    """Answer a request; whatever it is, it is in the audit afterwards.

    Raises:
        ApiError: the request is refused; nothing has changed.
    """
    try:
        kind = find_kind(world, request)
        rules.authorize(world, request)
        response = _dispatch(world, request, kind)
    except ApiError as refusal:
        audit.record(world, request, refusal.code, refusal.reason, refusal.message)
        raise
    audit.record(world, request, response.code, "", "")
    outdated = _OUTDATED.get(kind.resource) if kind.version == "v1" else None
    if outdated is not None and world.cluster.settings.minor >= outdated[0]:
        response = replace(response, warnings=(outdated[1], *response.warnings))
    return response


def watch(world: World, request: Request) -> reading.Watch:
    """Start a watch; the cursor belongs to the caller.

    Raises:
        ApiError: the request is refused.
    """
    try:
        kind = find_kind(world, request)
        rules.authorize(world, request)
        if strategy.computed(kind.resource) is not None or "watch" not in kind.verbs:
            raise errors.method_not_allowed()
        cursor = reading.Watch(world, request, rules.stored_kind(world, kind))
    except ApiError as refusal:
        audit.record(world, request, refusal.code, refusal.reason, refusal.message)
        raise
    audit.record(world, request, 200, "", "")
    return cursor


def find_kind(world: World, request: Request) -> Kind:
    """The kind that the path means.

    Raises:
        ApiError: the server does not serve it, or not with this subresource or scope.
    """
    kind: Kind | None = world.cluster.kinds.by_gvr(request.group, request.version, request.plural)
    if kind is None:
        raise errors.no_such_path()
    if request.subresource and request.subresource not in kind.subresources:
        raise errors.no_such_path()
    if request.namespace and not kind.namespaced:
        raise errors.no_such_path()
    if kind.namespaced and not request.namespace:
        if request.name and request.verb not in {"list", "watch"}:
            raise errors.no_such_path()
        if request.verb in {"create", "deletecollection"}:
            raise errors.method_not_allowed()
    return kind


def _dispatch(world: World, request: Request, kind: Kind) -> Response:
    special = strategy.subresource_handler(kind.resource, request.subresource)
    if special is not None:
        return special(world, request, kind)
    if request.subresource not in {"", "status"}:
        raise errors.method_not_allowed()
    allowed = kind.subresources[request.subresource].verbs if request.subresource else kind.verbs
    if request.verb not in allowed:
        raise errors.method_not_allowed()
    return rules.convert_answer(
        world, kind, _VERBS[request.verb](world, request, rules.stored_kind(world, kind))
    )


def permit(world: World, request: Request) -> Kind:
    """Let a request pass whose answer is a stream that another makes (a log, a command in a container).

    Raises:
        ApiError: there is no such path, or the user may not.
    """
    try:
        kind = find_kind(world, request)
        rules.authorize(world, request)
    except ApiError as refusal:
        audit.record(world, request, refusal.code, refusal.reason, refusal.message)
        raise
    audit.record(world, request, 200, "", "")
    return kind


@dataclass(frozen=True, slots=True)
class Preview:
    """What a write would come to.

    Attributes:
        options: in force, those of a body included; `dry_run` says whether nothing would be stored.
        before: the object, or its `Scale`, as it is; None where it is not there.
        after: the same as it would be, in the version in which it is stored; None for deletions.
        touched: what would be deleted; None where it is no deletion.
    """

    options: Options
    before: Obj | None = None
    after: Obj | None = None
    touched: tuple[Obj, ...] | None = None


def preview(world: World, request: Request) -> Preview:
    """Find out what a write would come to. Nothing is stored, and nothing is noted in the audit.

    Raises:
        ApiError: as `handle` would.
    """
    kind = find_kind(world, request)
    stored = rules.stored_kind(world, kind)
    rules.authorize(world, replace(request, notes={}))
    options = options_in_force(request)
    trial = replace(request, options=replace(request.options, dry_run=True), notes={})
    if request.verb in {"delete", "deletecollection"} and not request.subresource:
        chosen = deleting.chosen(world, request, stored)
        _dispatch(world, trial, kind)
        return Preview(options, touched=tuple(chosen))
    if request.subresource == "eviction":
        pod = writing.stored(world, stored, request.namespace, request.name)
        _dispatch(world, trial, kind)
        return Preview(options, touched=(pod,))
    before: Obj | None = None
    if request.name:
        before = world.cluster.store.get(stored.resource, request.namespace, request.name)
    special = strategy.subresource_handler(kind.resource, request.subresource)
    if special is None:
        if request.subresource not in {"", "status"}:
            raise errors.method_not_allowed()
        allowed = kind.subresources[request.subresource].verbs if request.subresource else kind.verbs
        if request.verb not in allowed:
            raise errors.method_not_allowed()
        return Preview(options, before, _VERBS[request.verb](world, trial, stored).obj)
    if request.subresource == "scale":
        before = special(world, replace(trial, verb="get", body=None, patch_type=None), kind).obj
    return Preview(options, before, special(world, trial, kind).obj)


def options_in_force(request: Request) -> Options:
    """The options in force; a dry run of what honours none is none."""
    if request.verb in {"delete", "deletecollection"}:
        return rules.delete_options(request)
    if request.subresource == "token":
        return replace(request.options, dry_run=False)
    if request.subresource == "eviction":
        given = dig(request.body, "deleteOptions", default={})
        inner = replace(request, body={"kind": "DeleteOptions", **given}, options=Options())
        options = rules.delete_options(inner)
        return replace(options, dry_run=options.dry_run or request.options.dry_run)
    return request.options
