"""What has happened in a world by itself: known to those who judge, seen by nobody inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from firedrill.world.world import World


class Change(NamedTuple):
    """An innocent change.

    Attributes:
        at: when, in ms of virtual time.
        entity: what was changed, as `namespace/Kind/name`.
        what: in a few words.
    """

    at: int
    entity: str
    what: str


class Life:
    """Background life, as a part of a cluster's state.

    Attributes:
        level: 0 for none, to 3.
        since: when it began, in ms.
        changes: what was changed, oldest first.
    """

    __slots__ = ("changes", "level", "since")

    def __init__(self) -> None:
        self.level = 0
        self.since = 0
        self.changes: tuple[Change, ...] = ()

    def fork(self) -> Self:
        """An independent copy."""
        twin = type(self)()
        twin.level, twin.since, twin.changes = self.level, self.since, self.changes
        return twin

    def state(self) -> object:
        """All of it as plain data."""
        return [self.level, self.since, [list(item) for item in self.changes]]


def note(world: World, entity: str, what: str) -> None:
    """Remember a change that was made now."""
    part = world.cluster.part(Life)
    part.changes = (*part.changes, Change(world.now, entity, what))


def changes(world: World) -> tuple[Change, ...]:
    """What was changed so far, oldest first: the truth that red herrings are held against."""
    return world.cluster.part(Life).changes
