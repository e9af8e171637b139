"""What recorders beside a living world take down while it runs: all objects, every few minutes.

Everything else that an incident's export needs is read from the world at its end: series, spans and log lines
are made again whenever they are read, and the store's log of changes tells of every event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from firedrill.suites.exporting.kinds import pulled_resources
from firedrill.world.kube.api import strategy

if TYPE_CHECKING:
    from firedrill.world.kube.objects import Obj
    from firedrill.world.world import World

PULL_MS = 5 * 60_000


class Pulled(NamedTuple):
    """All recorded objects at a moment: versions that are shared with the world, so they cost little.

    Attributes:
        at: in ms since the Unix epoch.
        rv: the store's resourceVersion then.
        objects: pairs of resource and object, as a reader of the API would have seen them.
    """

    at: int
    rv: int
    objects: tuple[tuple[str, Obj], ...]


def pull(world: World) -> Pulled:
    """All recorded objects now. The world is only read."""
    store = world.cluster.store
    found = [
        (resource, strategy.view(world, resource, obj))
        for resource in pulled_resources(store)
        for obj in store.list(resource)
    ]
    return Pulled(world.now, store.rv, tuple(found))


def pull_in_time(world: World) -> Pulled | None:
    """All recorded objects, at full five minutes; else None."""
    return pull(world) if world.now % PULL_MS == 0 else None


__all__ = ["PULL_MS", "Pulled", "pull", "pull_in_time"]
