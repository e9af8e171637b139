"""What an agent's requests changed: request by request, and between its begin and its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from firedrill.core.digest import digest_of
from firedrill.core.living import Diff, RequestLine, Written
from firedrill.faults._diff import differences, plain, stamp_of
from firedrill.runner.living.assessing.broken import entity_of
from firedrill.world.kube.objects import Obj, is_deleting, uid_of
from firedrill.world.kube.store import TooOldError

if TYPE_CHECKING:
    from firedrill.world.kube.store import Change
    from firedrill.world.world import World

_MOST_FIELDS = 20
_TELLING = frozenset({"events", "leases.coordination.k8s.io"})
"""What is no state of the system."""


class Touched(NamedTuple):
    """One object that one request wrote: before and after; None where it was not there."""

    request: int
    resource: str
    entity: str
    before: Obj | None
    after: Obj | None

    @property
    def made(self) -> bool:
        """It was not there before."""
        return self.before is None and self.after is not None

    @property
    def gone(self) -> bool:
        """It is not there any more, or about to go."""
        return self.before is not None and (
            self.after is None or (is_deleting(self.after) and not is_deleting(self.before))
        )

    @property
    def changed(self) -> bool:
        """Something that people write of it is another than before, or its pods start anew."""
        if self.before is None or self.after is None or self.gone:
            return True
        return fields(self.before, self.after) != () or stamp_of(self.before) != stamp_of(self.after)


def touched(world: World, requests: Sequence[RequestLine]) -> tuple[tuple[Touched, ...], bool]:
    """What each request wrote, in order, and whether the log of changes reaches back far enough to say all.

    Args:
        world: in which the requests were carried out.
        requests: in order, with the store's versions around each.
    """
    wanted = [(n, item) for n, item in enumerate(requests) if item.rv > item.since_rv]
    wanted.sort(key=lambda pair: pair[1].rv)
    if not wanted:
        return (), True
    try:
        log = list(world.cluster.store.since(wanted[0][1].since_rv))
    except TooOldError as error:
        log, whole = list(world.cluster.store.since(error.oldest)), False
    else:
        whole = True
    return tuple(_touched(log, wanted)), whole


def _touched(log: Sequence[Change], wanted: Sequence[tuple[int, RequestLine]]) -> Iterator[Touched]:
    place = 0
    for number, line in wanted:
        first: dict[tuple[str, str], Touched] = {}
        while place < len(log) and log[place].rv <= line.rv:
            change, place = log[place], place + 1
            if change.rv <= line.since_rv or change.resource in _TELLING:
                continue
            after = None if change.type == "DELETED" else change.obj
            key = (change.resource, entity_of(change.obj))
            known = first.get(key)
            before = change.previous if known is None else known.before
            first[key] = Touched(number, *key, before, after)
        yield from first.values()


def fields(before: Obj, after: Obj) -> tuple[str, ...]:
    """What differs of that which people write, as `spec.replicas`."""
    found = dict.fromkeys(
        ".".join(step if isinstance(step, str) else step.name for step in leaf.path)
        for leaf in differences(plain(before), plain(after))
    )
    return tuple(found)[:_MOST_FIELDS]


def written(found: Sequence[Touched]) -> tuple[Written, ...]:
    """The same as facts."""
    return tuple(
        Written(
            request=item.request,
            entity=item.entity,
            before=_digest(item.before),
            after="" if item.gone else _digest(item.after),
            fields=fields(item.before, item.after) if item.before and item.after else (),
        )
        for item in found
        if item.changed
    )


def _digest(obj: Obj | None) -> str:
    return "" if obj is None else digest_of([plain(obj), stamp_of(obj)])


def diffs(found: Sequence[Touched], began: World, ended: World) -> tuple[Diff, ...]:
    """What became of each object that requests wrote, from the agent's begin to its end."""
    places: Mapping[tuple[str, str], None] = dict.fromkeys(
        (item.resource, item.entity) for item in found if item.changed
    )
    return tuple(
        _diff(entity, _get(began, resource, entity), _get(ended, resource, entity))
        for resource, entity in places
    )


def _diff(entity: str, was: Obj | None, now: Obj | None) -> Diff:
    if now is not None and is_deleting(now):
        now = None
    if was is None and now is None:
        return Diff(entity=entity, change="restored")
    if was is None:
        return Diff(entity=entity, change="created")
    if now is None:
        return Diff(entity=entity, change="deleted")
    found = fields(was, now)
    anew = uid_of(was) != uid_of(now) or stamp_of(was) != stamp_of(now)
    return Diff(entity=entity, change="changed" if found or anew else "restored", fields=found)


def _get(world: World, resource: str, entity: str) -> Obj | None:
    namespace, _, name = entity.split("/", 2)
    return world.cluster.store.get(resource, "" if namespace == "cluster" else namespace, name)


__all__ = ["Touched", "diffs", "fields", "touched", "written"]
