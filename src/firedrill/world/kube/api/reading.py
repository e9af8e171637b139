"""get, list and watch."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from firedrill.world.kube import selectors
from firedrill.world.kube.api import errors, strategy
from firedrill.world.kube.api.request import Options, Request, Response
from firedrill.world.kube.objects import Obj, dig, labels_of, name_of, namespace_of
from firedrill.world.kube.store import Change, TooOldError

if TYPE_CHECKING:
    from firedrill.world.kube.kinds import Kind
    from firedrill.world.world import World


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list or watch lets through."""

    labels: tuple[selectors.Requirement, ...]
    fields: tuple[tuple[str, str, str], ...]

    def takes(self, obj: Mapping[str, Any]) -> bool:
        """Whether the object is let through."""
        if self.labels and not selectors.matches(self.labels, labels_of(obj)):
            return False
        return all((_field(obj, path) == wanted) == (op == "=") for path, op, wanted in self.fields)

    def __bool__(self) -> bool:
        return bool(self.labels or self.fields)


def _field(obj: Mapping[str, Any], path: str) -> str:
    if path == "source":
        return str(dig(obj, "source", "component") or obj.get("reportingComponent") or "")
    here = dig(obj, *path.split("."))
    if here is None:
        return "false" if path in {"spec.unschedulable", "spec.hostNetwork"} else ""
    return str(here).lower() if isinstance(here, bool) else str(here)


def parse_filter(kind: Kind, options: Options) -> Filter:
    """The selectors of a request.

    Raises:
        ApiError: one of them is malformed or names a field that cannot be selected by.
    """
    try:
        labels = selectors.parse(options.label_selector)
        fields = selectors.parse_fields(options.field_selector)
    except selectors.SelectorError as problem:
        raise errors.bad_request(str(problem)) from None
    known = strategy.selectable_fields(kind.resource)
    for path, _, _ in fields:
        if path not in known:
            group = f"{kind.group}/{kind.version}" if kind.group else f"/{kind.version}"
            raise errors.bad_request(
                f'Unable to find "{group}, Resource={kind.plural}" that match label selector '
                f'"{options.label_selector}", field selector "{options.field_selector}": '
                f"field label not supported: {path}"
            )
    return Filter(labels, fields)


def read(world: World, kind: Kind, namespace: str, name: str) -> Obj:
    """One object as it is now.

    Raises:
        ApiError: it is not there.
    """
    lister = strategy.computed(kind.resource)
    if lister is not None:
        for obj in lister(world, namespace):
            if name_of(obj) == name:
                return obj
        raise errors.not_found(kind.resource, name)
    found = world.cluster.store.get(kind.resource, namespace, name)
    if found is None:
        raise errors.not_found(kind.resource, name)
    return strategy.view(world, kind.resource, found)


def get(world: World, request: Request, kind: Kind) -> Response:
    """Answer a get.

    Raises:
        ApiError: it is not there.
    """
    asked = _version(request.options.resource_version)
    if asked > world.cluster.store.rv:
        raise errors.version_too_large(asked, world.cluster.store.rv)
    return Response(200, read(world, kind, request.namespace, request.name))


def _version(text: str) -> int:
    """The number that a resourceVersion is; 0 for none.

    Raises:
        ApiError: it is none.
    """
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal()):
        raise errors.bad_request(
            f'invalid resource version: resourceVersion: Invalid value: "{text}": '
            f'strconv.ParseUint: parsing "{text}": invalid syntax'
        )
    return int(text)


def _exact_version(world: World, options: Options) -> int | None:
    """The version that a list must show, where it must be that very one.

    Raises:
        ApiError: it is no version, has not been reached yet, or comes with a token.
    """
    asked = _version(options.resource_version)
    if asked and options.continue_token:
        raise errors.bad_request("specifying resource version is not allowed when using continue")
    if asked > world.cluster.store.rv:
        raise errors.version_too_large(asked, world.cluster.store.rv)
    match = options.resource_version_match
    exact = match == "Exact" or (match == "" and options.limit > 0)
    return asked if asked and exact else None


def list_objects(world: World, request: Request, kind: Kind) -> Response:
    """Answer a list: all of it, or a page of it.

    Raises:
        ApiError: a selector or token is malformed or too old.
    """
    store, options = world.cluster.store, request.options
    namespace = request.namespace or None
    chosen = parse_filter(kind, options)
    rv = str(store.rv)
    lister = strategy.computed(kind.resource)
    exact = _exact_version(world, options)
    start = ""
    if lister is not None:
        found = lister(world, request.namespace)
    elif options.continue_token:
        at, start = _read_token(options.continue_token)
        rv = str(at)
        found = _as_of(world, kind.resource, namespace, at, _PAGE_TOO_OLD)
    elif exact is not None:
        rv = str(exact)
        found = _as_of(world, kind.resource, namespace, exact, _VERSION_TOO_OLD)
    else:
        found = _candidates(world, kind.resource, namespace, chosen)
    if request.name:
        found = [obj for obj in found if name_of(obj) == request.name]
    if start:
        found = [obj for obj in found if _position(obj) > start]
    if chosen:
        found = [obj for obj in found if chosen.takes(obj)]
    meta: Obj = {"resourceVersion": rv}
    if options.limit and len(found) > options.limit:
        left = len(found) - options.limit
        found = found[: options.limit]
        meta["continue"] = _write_token(int(rv), _position(found[-1]))
        if not chosen:
            meta["remainingItemCount"] = left
    if lister is None and strategy.has_view(kind.resource):
        found = [strategy.view(world, kind.resource, obj) for obj in found]
    body = {"kind": kind.list_kind, "apiVersion": kind.api_version, "metadata": meta, "items": found}
    return Response(200, body)


def _candidates(world: World, resource: str, namespace: str | None, chosen: Filter) -> list[Obj]:
    store = world.cluster.store
    if resource == "pods":
        for path, op, wanted in chosen.fields:
            if path == "spec.nodeName" and op == "=" and wanted:
                on_node = [obj for obj in store.pods_on(wanted) if namespace in (None, namespace_of(obj))]
                return sorted(on_node, key=_position)
    return store.list(resource, namespace)


def _position(obj: Mapping[str, Any]) -> str:
    return f"{namespace_of(obj)}\x00{name_of(obj)}"


_VERSION_TOO_OLD = "The resourceVersion for the provided list is too old."
_PAGE_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can "
    "start a new list without the continue parameter, or use the continue token in this response "
    "to retrieve the remainder of the results. Continuing with the provided token results in an "
    "inconsistent list - objects that were created, modified, or deleted between the time the first "
    "chunk was returned and now may show up in the list."
)


def _as_of(world: World, resource: str, namespace: str | None, rv: int, too_old: str) -> list[Obj]:
    """The objects as they were at that version: the changes since then, undone."""
    store = world.cluster.store
    found = {_position(obj): obj for obj in store.list(resource, namespace)}
    try:
        changes = list(store.since(rv))
    except TooOldError:
        raise errors.expired(too_old) from None
    for change in reversed(changes):
        if change.resource != resource or namespace not in (None, namespace_of(change.obj)):
            continue
        if change.previous is None:
            found.pop(_position(change.obj), None)
        else:
            found[_position(change.obj)] = change.previous
    return [found[place] for place in sorted(found)]


def _write_token(rv: int, place: str) -> str:
    raw = orjson.dumps({"v": "meta.k8s.io/v1", "rv": rv, "start": place})
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _read_token(token: str) -> tuple[int, str]:
    try:
        raw = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return int(raw["rv"]), str(raw["start"])
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise errors.bad_request("continue key is not valid: encoded key is malformed") from None


class Watch:
    """A cursor over the changes of one resource, kept by who watches; the world knows nothing of it.

    Attributes:
        rv: the version up to which everything has been told.
    """

    __slots__ = ("_filter", "_kind", "_name", "_namespace", "_started", "rv")

    def __init__(self, world: World, request: Request, kind: Kind) -> None:
        """Start watching.

        Raises:
            ApiError: a selector is malformed, or the version is no number or too old.
        """
        self._kind = kind
        self._namespace = request.namespace
        self._name = request.name
        self._filter = parse_filter(kind, request.options)
        text = request.options.resource_version
        self.rv = _version(text)
        self._started = self.rv > 0
        if self._started and self.rv < world.cluster.store.oldest:
            raise errors.expired(f"too old resource version: {self.rv} ({world.cluster.store.oldest})")

    def poll(self, world: World) -> list[tuple[str, Obj]]:
        """What has happened since the last call: (`ADDED`, `MODIFIED`, `DELETED`; the object).

        Raises:
            ApiError: the watcher was away for longer than the log reaches back.
        """
        store, resource = world.cluster.store, self._kind.resource
        if not self._started:
            self._started = True
            self.rv = store.rv
            found = [obj for obj in store.list(resource, self._namespace or None) if self._takes(obj)]
            return [("ADDED", strategy.view(world, resource, obj)) for obj in found]
        if self.rv >= store.rv:
            return []
        try:
            changes = store.since(self.rv)
        except TooOldError as problem:
            raise errors.expired(str(problem)) from None
        out = []
        for change in changes:
            if change.resource == resource and (event := self._event(change)) is not None:
                out.append((event[0], strategy.view(world, resource, event[1])))
        self.rv = store.rv
        return out

    def _event(self, change: Change) -> tuple[str, Obj] | None:
        now = change.type != "DELETED" and self._takes(change.obj)
        before = change.previous is not None and self._takes(change.previous)
        if now:
            return ("MODIFIED" if before else "ADDED"), change.obj
        if before and change.previous is not None:
            last = change.obj if change.type == "DELETED" else change.previous
            version = {**last["metadata"], "resourceVersion": str(change.rv)}
            return "DELETED", {**last, "metadata": version}
        return None

    def _takes(self, obj: Obj) -> bool:
        if self._namespace and namespace_of(obj) != self._namespace:
            return False
        if self._name and name_of(obj) != self._name:
            return False
        return not self._filter or self._filter.takes(obj)
