"""What differs between resources when they are written: hooks that rooms add, and a table of facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from firedrill.world.kube.api.request import Request, Response
from firedrill.world.kube.objects import Obj
from firedrill.world.sim.tables import table

if TYPE_CHECKING:
    from firedrill.world.kube.kinds import Kind
    from firedrill.world.world import World

Prepare = Callable[["World", Obj, Obj | None], Obj]
"""Called as `prepare(world, new, old)` before validation; `old` is None at creation."""
View = Callable[["World", Obj], Obj]
"""Called as `view(world, stored)` whenever the object is read: what follows from the clock alone."""
Handler = Callable[["World", Request, "Kind"], Response]
Lister = Callable[["World", str], list[Obj]]
"""Called as `lister(world, namespace)`: objects that are computed, never stored."""

_PREPARE: dict[str, tuple[Prepare, ...]] = {}
_VIEWS: dict[str, View] = {}
_SUBRESOURCES: dict[tuple[str, str], Handler] = {}
_COMPUTED: dict[str, Lister] = {}


@cache
def _facts() -> Mapping[str, Any]:
    return table("firedrill.world.kube.api", "resources.yaml")  # type: ignore[no-any-return]


@cache
def has_generation(resource: str) -> bool:
    """Whether `metadata.generation` counts the changes of the wanted state."""
    return resource in _facts()["generation"]


@cache
def selectable_fields(resource: str) -> frozenset[str]:
    """The paths that a field selector may name."""
    return frozenset({"metadata.name", "metadata.namespace", *_facts()["fields"].get(resource, ())})


@cache
def keeps_status_at_creation(resource: str) -> bool:
    """Whether the status that comes with a new object is kept."""
    return resource in _facts()["no_status_reset"]


@cache
def orphans_by_default(resource: str) -> bool:
    """Whether what depends on a deleted object stays unless the request says otherwise."""
    return resource in _facts()["orphans_by_default"]


@cache
def returns_deleted(resource: str) -> bool:
    """Whether a delete is answered with the last version of the object instead of a `Status`."""
    return resource in _facts()["returns_deleted"]


def needs_version(kind: Kind) -> bool:
    """Whether an update must say which version it starts from."""
    return kind.custom or kind.resource in _facts()["needs_version"]


def on_write(resource: str, prepare: Prepare) -> None:
    """Let `prepare` have a hand in every write of the resource."""
    hooks = _PREPARE.get(resource, ())
    if all(hook.__qualname__ != prepare.__qualname__ for hook in hooks):
        _PREPARE[resource] = (*hooks, prepare)


def prepare(world: World, resource: str, new: Obj, old: Obj | None) -> Obj:
    """Let the hooks of the resource see a write."""
    for hook in _PREPARE.get(resource, ()):
        new = hook(world, new, old)
    return new


def on_read(resource: str, view: View) -> None:
    """Show the objects of the resource through `view`."""
    _VIEWS[resource] = view


def view(world: World, resource: str, obj: Obj) -> Obj:
    """The object as a reader sees it now."""
    shown = _VIEWS.get(resource)
    return shown(world, obj) if shown is not None else obj


def has_view(resource: str) -> bool:
    """Whether reading the resource shows more than what is stored."""
    return resource in _VIEWS


def on_subresource(resource: str, subresource: str, handler: Handler) -> None:
    """Answer the requests for a subresource (or, with an empty one, all of the resource's)."""
    _SUBRESOURCES[resource, subresource] = handler


def on_any_subresource(subresource: str, handler: Handler) -> None:
    """Answer the requests for a subresource of every resource that nobody else answers for."""
    _SUBRESOURCES["*", subresource] = handler


def subresource_handler(resource: str, subresource: str) -> Handler | None:
    """Who answers for it."""
    found = _SUBRESOURCES.get((resource, subresource))
    return found if found is not None or not subresource else _SUBRESOURCES.get(("*", subresource))


def on_list(resource: str, lister: Lister) -> None:
    """Compute the objects of the resource when they are asked for."""
    _COMPUTED[resource] = lister


def computed(resource: str) -> Lister | None:
    """Who computes them."""
    return _COMPUTED.get(resource)
