"""The graph of an application as arrays: compiled once, shared by all worlds and their forks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from firedrill.core.errors import InputError
from firedrill.world.app.model import Application, Call
from firedrill.world.app.tables.draw import cv_class

if TYPE_CHECKING:
    from collections.abc import Mapping

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_MOST_ROWS = 20_000
NEVER = 1 << 60
"""A patience without end, in µs."""


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """Operations, edges and slots. An edge is a call in the text; a slot is one of the times it is made.

    Edges that start a tree of requests come first: those of the load generator (the entries), then those by
    which consumers take messages out of queues. Their `edge_source` is -1.

    Attributes:
        app: what was compiled.
        op_service, op_cpu, op_cv2, op_class, op_io, op_error: by operation: its service, mean work in ms,
            squared variation, class of the table, waiting in ms, share of failures.
        op_names: (service, operation) by operation.
        edge_source, edge_target: operations at both ends; -1 where no operation makes the call.
        edge_service: the service that makes the call; the number of services for the load generator.
        edge_call: the calls themselves.
        edge_probability, edge_times, edge_hit: as in the text.
        edge_cache: the call to the service that is the cache of a call; -1 where the caller itself is.
        edge_critical, edge_timeout, edge_retries, edge_backoff: times in µs.
        edge_publishes: queue into which a success puts a message; -1 for none.
        edge_pool, edge_pool_timeout: connections of one pod of the caller (0: no bound), µs.
        slot_start: slots of operation `i` are `slot_start[i]:slot_start[i + 1]`.
        slot_edge, slot_stage: their edge, and which step of the operation they belong to.
        stages: the most steps of any operation.
        entries: how many edges are entries; `entry_share` their cumulative shares.
        roots: how many edges start a tree; `consumer_queue` has the queue of those behind the entries.
        depth: levels of calls, the entries being the first.
        most_retries: of any edge.
        parallel: some calls are made at once.
    """

    app: Application
    op_service: Ints
    op_cpu: Floats
    op_cv2: Floats
    op_class: Ints
    op_io: Floats
    op_error: Floats
    op_names: tuple[tuple[str, str], ...]
    edge_source: Ints
    edge_target: Ints
    edge_service: Ints
    edge_call: tuple[Call, ...]
    edge_probability: Floats
    edge_times: Floats
    edge_hit: Floats
    edge_cache: Ints
    edge_critical: Bools
    edge_timeout: Ints
    edge_retries: Ints
    edge_backoff: Ints
    edge_publishes: Ints
    edge_pool: Ints
    edge_pool_timeout: Ints
    slot_start: Ints
    slot_count: Ints
    slot_edge: Ints
    slot_stage: Ints
    stages: int
    entries: int
    roots: int
    entry_share: Floats
    consumer_queue: Ints
    depth: int
    most_retries: int
    parallel: bool


@lru_cache(maxsize=64)
def compile_graph(app: Application) -> Graph:
    """The arrays of an application.

    Raises:
        InputError: a call names a service or an operation that is not in the graph.
    """
    names = tuple((service.name, op.name) for service in app.services for op in service.operations)
    index = {name: number for number, name in enumerate(names)}
    ops = [op for service in app.services for op in service.operations]
    calls = [entry.call for entry in app.load.entries]
    queues = {queue.name: number for number, queue in enumerate(app.queues)}
    consumers = [(number, call) for number, queue in enumerate(app.queues) for call in queue.consumers]
    calls += [call for _, call in consumers]
    sources = [-1] * len(calls)
    slots: list[tuple[int, int]] = []
    starts = [0]
    for number, op in enumerate(ops):
        for edge, (_, stages) in enumerate(_staged(op.calls), start=len(calls)):
            slots += [(edge, stage) for stage in stages]
            sources.append(number)
        calls += op.calls
        starts.append(len(slots))
    targets = [_target(index, call, app.name) for call in calls]
    ops_of = [number for number, service in enumerate(app.services) for _ in service.operations]
    _refuse_explosion(sources, targets, calls, len(ops), app)
    share = np.cumsum([entry.share for entry in app.load.entries])
    floats = _column(calls, np.float64)
    whole = _column(calls, np.int64)
    return Graph(
        app=app,
        op_service=np.array(ops_of, np.int64),
        op_cpu=np.array([op.cpu_ms for op in ops]),
        op_cv2=np.array([op.cv * op.cv for op in ops]),
        op_class=np.array([cv_class(op.cv) for op in ops], np.int64),
        op_io=np.array([op.io_ms for op in ops]),
        op_error=np.array([op.error_rate for op in ops]),
        op_names=names,
        edge_source=np.array(sources, np.int64),
        edge_target=np.array(targets, np.int64),
        edge_service=np.array(_makers(app, calls, sources, ops_of), np.int64),
        edge_call=tuple(calls),
        edge_probability=floats["probability"],
        edge_times=floats["times"],
        edge_hit=floats["cache_hit"],
        edge_cache=np.array(_caches(app, calls, sources), np.int64),
        edge_critical=np.array([call.critical for call in calls], np.bool_),
        edge_timeout=np.where(whole["timeout_ms"] > 0, whole["timeout_ms"] * 1000, NEVER),
        edge_retries=whole["retries"],
        edge_backoff=whole["backoff_ms"] * 1000,
        edge_publishes=np.array([_queue(queues, call, app.name) for call in calls], np.int64),
        edge_pool=whole["pool"],
        edge_pool_timeout=whole["pool_timeout_ms"] * 1000,
        slot_start=np.array(starts[:-1], np.int64),
        slot_count=np.array([last - first for first, last in pairwise(starts)], np.int64),
        slot_edge=np.array([edge for edge, _ in slots], np.int64),
        slot_stage=np.array([stage for _, stage in slots], np.int64),
        stages=1 + max((stage for _, stage in slots), default=0),
        entries=len(app.load.entries),
        roots=len(app.load.entries) + len(consumers),
        entry_share=share / share[-1],
        consumer_queue=np.array([number for number, _ in consumers], np.int64),
        depth=_depth(sources, targets, len(ops), app.depth),
        most_retries=max(call.retries for call in calls),
        parallel=len({(sources[edge], stage) for edge, stage in slots}) < len(slots),
    )


def _column(calls: list[Call], kind: Any) -> Mapping[str, NDArray[Any]]:
    names = (
        ("probability", "times", "cache_hit")
        if kind is np.float64
        else ("timeout_ms", "retries", "backoff_ms", "pool", "pool_timeout_ms")
    )
    return {name: np.array([getattr(call, name) for call in calls], kind) for name in names}


def _staged(calls: tuple[Call, ...]) -> list[tuple[Call, list[int]]]:
    """Each call with the step of each time that it is made."""
    out = []
    stage, group = -1, ""
    for call in calls:
        if not (call.group and call.group == group):
            stage += 1
        group = call.group
        stages = [stage] * call.times
        if call.times > 1 and not call.parallel:
            stages = list(range(stage, stage + call.times))
            stage += call.times - 1
        out.append((call, stages))
    return out


def _makers(app: Application, calls: list[Call], sources: list[int], ops_of: list[int]) -> list[int]:
    names = [service.name for service in app.services]
    entries = len(app.load.entries)
    return [
        ops_of[source] if source >= 0 else len(names) if edge < entries else names.index(calls[edge].service)
        for edge, source in enumerate(sources)
    ]


def _caches(app: Application, calls: list[Call], sources: list[int]) -> list[int]:
    out = []
    for call, source in zip(calls, sources, strict=True):
        found = [n for n, other in enumerate(calls) if sources[n] == source and other.service == call.cache]
        if call.cache and (source < 0 or not found):
            raise InputError(
                f"who calls {call.service}.{call.operation} does not ask {call.cache!r} too",
                source=app.name,
                field="cache",
                mend="add a call to the cache, or correct the name",
            )
        out.append(found[0] if call.cache else -1)
    return out


def _queue(queues: Mapping[str, int], call: Call, source: str) -> int:
    if call.publishes and call.publishes not in queues:
        raise InputError(
            f"no queue is called {call.publishes!r}",
            source=source,
            field="publishes",
            mend="correct the name, or add the queue",
        )
    return queues.get(call.publishes, -1)


def _refuse_explosion(
    sources: list[int], targets: list[int], calls: list[Call], count: int, app: Application
) -> None:
    """Refuse graphs in which one request can become very many."""
    here = np.array([float(target in targets[: len(app.load.entries)]) for target in range(count)])
    total = 0.0
    for _ in range(app.depth):
        total += float(here.sum())
        below = np.zeros(count)
        for source, target, call in zip(sources, targets, calls, strict=True):
            if source >= 0:
                below[target] += here[source] * call.times
        here = np.minimum(below, 1e12)
    if total > _MOST_ROWS:
        raise InputError(
            f"one request of each kind can become {total:.3g} of them",
            source=app.name,
            field="calls",
            mend=f"call less often, or set `depth`: {_MOST_ROWS} are the most",
        )


def _target(index: Mapping[tuple[str, str], int], call: Call, source: str) -> int:
    found = index.get((call.service, call.operation))
    if found is None:
        raise InputError(
            f"nothing is called {call.service}.{call.operation}",
            source=source,
            field="to",
            mend="correct the call, or add the operation",
        )
    return found


def _depth(sources: list[int], targets: list[int], count: int, most: int) -> int:
    """Levels of calls that requests can reach, the entries being the first."""
    below: list[set[int]] = [set() for _ in range(count)]
    for source, target in zip(sources, targets, strict=True):
        if source >= 0:
            below[source].add(target)
    here = {target for source, target in zip(sources, targets, strict=True) if source < 0}
    depth = 0
    while here and depth < most:
        depth += 1
        here = {target for op in sorted(here) for target in below[op]}
    return depth
