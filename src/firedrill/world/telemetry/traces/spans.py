"""Spans of a tick as columns, and single ones with their attributes. Moments in µs since the Unix epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from firedrill.world.telemetry.traces import ids
from firedrill.world.telemetry.traces.requests import Ints, Names, Tick

Words = NDArray[np.uint64]
Bools = NDArray[np.bool_]
CLIENT, SERVER, PRODUCER, CONSUMER = "client", "server", "producer", "consumer"


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """The sampled spans of one tick: entry `i` of each array belongs to span `i`, callers' sides first.

    Attributes:
        tick: whose.
        row: of the tick.
        server: the callee's side of the row; else the caller's.
        trace_high, trace_low: halves of the trace id.
        id, parent: of spans; a parent of 0 is none.
        service: index of the service that made the span.
        pod: index of its pod.
        start, duration: µs.
        kind: index of the outcome; 0 is success.
    """

    tick: Tick
    row: Ints
    server: Bools
    trace_high: Words
    trace_low: Words
    id: Words
    parent: Words
    service: Ints
    pod: Ints
    start: Ints
    duration: Ints
    kind: Ints

    def __len__(self) -> int:
        return len(self.row)

    def take(self, chosen: NDArray[np.intp]) -> Spans:
        """Some of them."""
        names = (
            "row",
            "server",
            "trace_high",
            "trace_low",
            "id",
            "parent",
            "service",
            "pod",
            "start",
            "duration",
            "kind",
        )
        return Spans(self.tick, *(getattr(self, name)[chosen] for name in names))


class Sampling(NamedTuple):
    """Which spans there are.

    Attributes:
        rate: share of traces that are kept, 0 to 1; whole traces, by their id.
        loader: the load generator makes spans of its own, which are then the roots.
    """

    rate: float = 1.0
    loader: bool = True


ALL = Sampling()


def make_spans(names: Names, tick: Tick, seed: int, sampling: Sampling = ALL) -> Spans:
    """All sampled spans of a tick.

    Each row is a span of its caller and, where it arrived, one of its callee. Data stores make none.

    Args:
        names: what the numbers in rows mean.
        tick: its requests.
        seed: of the ids.
        sampling: which of them are kept.
    """
    rows = tick.rows
    count = len(rows.parent)
    every = np.arange(count)
    high, low = ids.traces(seed, tick.number, rows.root)
    kept = ids.sampled(high, sampling.rate)
    silent = np.array([bool(item.database) for item in names.services] or [False])
    if not sampling.loader:
        silent[-1] = True
    pods = np.array([pod.service for pod in tick.pods] or [0], np.int64)
    op_service = np.array([item.service for item in names.operations] or [0], np.int64)
    caller = np.where(rows.source >= 0, pods[rows.source], len(names.services) - 1)
    callee = op_service[rows.op] if count else np.zeros(0, np.int64)
    consumed = np.array([call.consumer for call in names.calls] or [False])
    has_client = kept & ~silent[caller] & ~consumed[rows.edge]
    has_server = kept & rows.arrived & ~silent[callee]
    client_id = ids.spans(seed, tick.number, every, server=False)
    server_id = ids.spans(seed, tick.number, every, server=True)
    above = np.maximum(rows.parent, 0)
    there = (
        (rows.parent >= 0) & rows.arrived[above] & ~silent[callee[above]] if count else np.zeros(0, np.bool_)
    )
    outer = np.where(there, server_id[above] if count else server_id, np.uint64(0))
    inner = np.where(has_client, client_id, outer)
    clients, servers = np.flatnonzero(has_client), np.flatnonzero(has_server)
    row = np.concatenate([clients, servers])
    begin = tick.start * 1000
    return Spans(
        tick=tick,
        row=row,
        server=np.concatenate([np.zeros(len(clients), np.bool_), np.ones(len(servers), np.bool_)]),
        trace_high=high[row],
        trace_low=low[row],
        id=np.concatenate([client_id[clients], server_id[servers]]),
        parent=np.concatenate([outer[clients], inner[servers]]),
        service=np.concatenate([caller[clients], callee[servers]]),
        pod=np.concatenate([rows.source[clients], rows.pod[servers]]),
        start=np.concatenate([rows.start[clients], rows.server_start[servers]]) + begin,
        duration=np.concatenate([rows.duration[clients], rows.server_duration[servers]]),
        kind=np.concatenate([rows.kind[clients], rows.server_kind[servers]]),
    )


class Event(NamedTuple):
    """Something that happened while a span lasted: at a moment, with attributes."""

    at: int
    name: str
    attributes: tuple[tuple[str, str | int | bool], ...]


class Span(NamedTuple):
    """One span.

    Attributes:
        trace_id, span_id, parent_id: hex; the parent is empty for a root.
        name: of the operation.
        kind: `client`, `server`, `producer` or `consumer`.
        service: name.
        pod: index in its tick, for `Describer.resource`.
        tick: number of its tick.
        start, duration: µs.
        error: it failed.
        message: description of its status.
        scope: name of the library that made it.
        attributes: in order.
        events: by time.
    """

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    service: str
    pod: int
    tick: int
    start: int
    duration: int
    error: bool
    message: str
    scope: str
    attributes: tuple[tuple[str, str | int | bool], ...]
    events: tuple[Event, ...]


__all__: Sequence[str] = ["ALL", "Event", "Sampling", "Span", "Spans", "make_spans"]
