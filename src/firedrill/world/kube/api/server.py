"""One request, from its authorisation to its audit entry."""

from __future__ import annotations

from dataclasses import replace
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
from firedrill.world.kube.api.request import Request, Response

if TYPE_CHECKING:
    from firedrill.world.kube.kinds import Kind
    from firedrill.world.world import World

__all__ = ["components", "find_kind", "handle", "pods", "services", "subresources", "watch"]

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
