"""`k8s_objects_raw.tsv` and `k8s_events_raw.tsv`: what was pulled and watched of the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from firedrill.snapshot.writer import EventRow, ObjectRow
from firedrill.world.sim.clock import epoch_ms

if TYPE_CHECKING:
    from firedrill.suites.living.recording import Pulled
    from firedrill.world.kube.objects import Obj
    from firedrill.world.world import World

_MS = 1_000_000
_APART = 37_000
"""Nanoseconds between two objects of a pull."""
_EVENTS = "events"


def object_rows(pulls: Iterable[Pulled]) -> Iterator[ObjectRow]:
    """All objects of all pulls."""
    for found in pulls:
        for number, (resource, obj) in enumerate(found.objects):
            yield ObjectRow(found.at * _MS + number * _APART, obj, resource.partition(".")[0])


def event_rows(world: World, start: int, end: int) -> Iterator[EventRow]:
    """The records of a watch of events, by time.

    Args:
        world: at its end.
        start, end: in ms since the Unix epoch: only what was written in between.
    """
    store = world.cluster.store
    rows = []
    for change in store.since(store.oldest):
        if change.resource == _EVENTS and change.type != "DELETED":
            at = written_at(change.obj)
            if start <= at < end:
                rows.append((at * _MS + change.rv * 7919 % 999_983_000, change))
    rows.sort(key=lambda row: (row[0] // 1_000_000_000, row[1].rv))
    last = 0
    for at, change in rows:
        last = max(at, last + _APART)
        yield EventRow(last, change.obj, change.type)


def written_at(event: Obj) -> int:
    """When an event was last written, in ms, by its own account."""
    series = event.get("series") or {}
    told = (event.get("lastTimestamp"), event.get("eventTime"), series.get("lastObservedTime"))
    moments = [epoch_ms(text) for text in told if isinstance(text, str)]
    return max(moments, default=epoch_ms(event["metadata"]["creationTimestamp"]))
