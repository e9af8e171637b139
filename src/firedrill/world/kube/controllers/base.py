"""How controllers run: a change marks keys, a key waits a little, one reconcile does all there is to do.

Controllers have no fields of their own. What waits and what failed is data in the cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.api.pressure import delay
from firedrill.world.kube.objects import name_of, namespace_of
from firedrill.world.kube.store import Change
from firedrill.world.sim.handlers import handler

if TYPE_CHECKING:
    from firedrill.world.world import World

Keys = Callable[["World", Change], Iterable[str]]
"""Which keys of a controller a change concerns."""

_PER_SECOND = 2_000
_BACK_OFF_START = 5
_BACK_OFF_MAX = 1_000_000


class RunawayError(RuntimeError):
    """A controller comes back to the same key without end, and time stands still."""


@dataclass(frozen=True, slots=True)
class Controller:
    """One control loop.

    Attributes:
        name: as its events and its user name call it, such as `deployment-controller`.
        component: the process it lives in (`kube-controller-manager`, `kube-scheduler`, `kubelet`, …);
            while that is down, nothing of it runs.
        watches: for each resource (`*` for all), which keys a change of one of its objects concerns.
        reconcile: brings the object of that key one step nearer to what is wanted; called again
            by further changes. An `ApiError` or a `Later` puts the key back.
        resync: all keys that the controller should look at, when it starts or starts again.
        delay: shortest and longest time between a change and the reconcile, in ms.
    """

    name: str
    component: str
    watches: Mapping[str, Keys]
    reconcile: Callable[[World, str], None]
    resync: Callable[[World], Iterable[str]]
    delay: tuple[int, int] = (5, 50)


class Later(Exception):
    """Raised by a reconcile that wants to be called again after a time.

    Attributes:
        after_ms: None for the controller's rate-limited retry (5 ms, doubling, at most 1 000 s).
    """

    def __init__(self, after_ms: int | None = None) -> None:
        super().__init__(after_ms)
        self.after_ms = after_ms


_CONTROLLERS: dict[str, Controller] = {}
_BY_RESOURCE: dict[str, tuple[tuple[Controller, Keys], ...]] = {}


def register(controller: Controller) -> Controller:
    """Make the controller part of every cluster. Called once, when its module is imported."""
    _CONTROLLERS[controller.name] = controller
    for resource, keys in controller.watches.items():
        rest = tuple(item for item in _BY_RESOURCE.get(resource, ()) if item[0].name != controller.name)
        _BY_RESOURCE[resource] = (*rest, (controller, keys))
    return controller


def controllers() -> list[Controller]:
    """All of them, by name."""
    return [_CONTROLLERS[name] for name in sorted(_CONTROLLERS)]


def key_of(namespace: str, name: str) -> str:
    """`namespace/name`."""
    return f"{namespace}/{name}"


def split_key(key: str) -> tuple[str, str]:
    """(namespace, name)."""
    namespace, _, name = key.partition("/")
    return namespace, name


def own_key(_: World, change: Change) -> Iterable[str]:
    """The usual mapping: the object itself."""
    return (key_of(namespace_of(change.obj), name_of(change.obj)),)


def owner_keys(kind: str) -> Keys:
    """The mapping of what a controller made to the object it made it for."""

    def keys(_: World, change: Change) -> Iterable[str]:
        out = []
        for obj in (change.obj, change.previous):
            for reference in (obj or {}).get("metadata", {}).get("ownerReferences") or ():
                if reference.get("controller") and reference.get("kind") == kind:
                    key = key_of(namespace_of(change.obj), str(reference["name"]))
                    if key not in out:
                        out.append(key)
        return out

    return keys


def notify(world: World, change: Change) -> None:
    """Tell the controllers of a change. Called by the API server after each write."""
    for watched in (change.resource, "*"):
        for controller, keys in _BY_RESOURCE.get(watched, ()):
            for key in keys(world, change):
                enqueue(world, controller.name, key)


def enqueue(world: World, name: str, key: str, after_ms: int | None = None) -> None:
    """Let the controller look at the key: soon, or after the given time if nothing happens before."""
    work = world.cluster.work
    controller = _CONTROLLERS[name]
    if controller.component in work.down:
        return
    if after_ms is None:
        low, high = controller.delay
        after_ms = world.rng.integer(low, high, "reconcile", name, key, world.now) + delay(world)
    due = max(world.now + max(after_ms, 0), work.rests.get((name, key), 0))
    waiting = work.pending.get((name, key))
    if waiting is not None and waiting <= due:
        return
    work.pending[name, key] = due
    world.schedule(due - world.now, "controllers.reconcile", name, key, due)


def rest(world: World, name: str, key: str, ms: int) -> None:
    """Let the key rest after a long reconcile, whatever happens meanwhile."""
    if ms > 0:
        world.cluster.work.rests[name, key] = world.now + ms


@handler("controllers.reconcile")
def _reconcile(world: World, name: str, key: str, due: int) -> None:
    work = world.cluster.work
    if work.pending.get((name, key)) != due:
        return  # a nearer one has taken its place
    del work.pending[name, key]
    work.rests.pop((name, key), None)
    controller = _CONTROLLERS[name]
    if controller.component in work.down:
        return
    _count(world, name, key)
    try:
        controller.reconcile(world, key)
    except ApiError:
        _again(world, name, key, None)
    except Later as later:
        if later.after_ms is not None:
            work.failures.pop((name, key), None)
        _again(world, name, key, later.after_ms)
    else:
        work.failures.pop((name, key), None)


def _again(world: World, name: str, key: str, after_ms: int | None) -> None:
    if after_ms is None:
        failures = world.cluster.work.failures.get((name, key), 0)
        world.cluster.work.failures[name, key] = failures + 1
        after_ms = min(_BACK_OFF_START * 2 ** min(failures, 30), _BACK_OFF_MAX)
    enqueue(world, name, key, after_ms)


def _count(world: World, name: str, key: str) -> None:
    work = world.cluster.work
    second = world.now // 1000
    if work.second != second:
        work.second, work.in_second = second, {}
    count = work.in_second.get((name, key), 0) + 1
    work.in_second[name, key] = count
    if count > _PER_SECOND:
        raise RunawayError(
            f"more than {_PER_SECOND} reconciles of {key!r} by {name} in the virtual second {second}"
        )


def is_up(world: World, component: str) -> bool:
    """Whether the component runs."""
    return component not in world.cluster.work.down


def stop_component(world: World, component: str) -> None:
    """Stop a component (`kube-scheduler`, `kube-controller-manager`): its controllers do nothing more."""
    world.cluster.work.down |= {component}
    for entry in [
        item for item in world.cluster.work.pending if _CONTROLLERS[item[0]].component == component
    ]:
        del world.cluster.work.pending[entry]


def start_component(world: World, component: str) -> None:
    """Start it again: it looks at everything anew, as after any start."""
    world.cluster.work.down -= {component}
    for controller in controllers():
        if controller.component == component:
            resync(world, controller)


def resync(world: World, controller: Controller) -> None:
    """Let the controller look at all its keys."""
    for key in controller.resync(world):
        enqueue(world, controller.name, key)


def resync_all(world: World) -> None:
    """Start every controller: called once when a world is made."""
    for controller in controllers():
        if is_up(world, controller.component):
            resync(world, controller)


def all_keys(resource: str) -> Callable[[World], Iterable[str]]:
    """The usual `resync`: every object of the resource."""

    def keys(world: World) -> Iterable[str]:
        return [key_of(namespace_of(obj), name_of(obj)) for obj in world.cluster.store.list(resource)]

    return keys
