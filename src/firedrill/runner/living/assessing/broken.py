"""What the faults themselves did to objects: what of it is theirs, and what is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from firedrill.faults._diff import differences, plain
from firedrill.faults.acting import recreated
from firedrill.faults.base import NO_OBJECTS
from firedrill.world.kube.objects import Obj, name_of, namespace_of

if TYPE_CHECKING:
    from firedrill.faults import Injection

Path = tuple[str, ...]


def entity_of(obj: Obj) -> str:
    """An object as `namespace/Kind/name`, or `cluster/Kind/name`."""
    return f"{namespace_of(obj) or 'cluster'}/{obj['kind']}/{name_of(obj)}"


class Broken:
    """What some injections touched.

    Args:
        injections: that were made.

    Attributes:
        causes: the entities that are root causes.
        objects: those, and all objects that were changed, made or deleted.
    """

    def __init__(self, injections: Iterable[Injection]) -> None:
        self.causes: frozenset[str]
        self._paths: dict[str, list[Path] | None] = {}
        causes: list[str] = []
        for injection in injections:
            causes += injection.causes
            for change in injection.changes:
                obj = change.after or change.before
                if change.resource in NO_OBJECTS or obj is None:
                    continue
                self._note(entity_of(obj), change.before, change.after, again=recreated(change))
        self.causes = frozenset(causes)
        self.objects = self.causes | frozenset(self._paths)

    def _note(self, entity: str, before: Obj | None, after: Obj | None, *, again: bool) -> None:
        whole = before is None or after is None or again
        if whole or self._paths.get(entity, []) is None:
            self._paths[entity] = None
            return
        leaves = differences(plain(before or {}), plain(after or {}))
        found = [
            tuple(str(step) if isinstance(step, str) else step.name for step in leaf.path) for leaf in leaves
        ]
        self._paths.setdefault(entity, [])
        known = self._paths[entity]
        if known is not None:
            known += found

    def touched(self, entity: str, *, under: Sequence[str] = ()) -> bool:
        """Whether a fault changed that very object; with `under`, something below that path of it."""
        paths, wanted = self._paths.get(entity, []), tuple(under)
        if paths is None or (entity in self.causes and not wanted):
            return True
        return any(_meet(path, wanted) for path in paths)


def _meet(path: Path, wanted: Path) -> bool:
    shared = min(len(path), len(wanted))
    return path[:shared] == wanted[:shared]


__all__ = ["Broken", "entity_of"]
