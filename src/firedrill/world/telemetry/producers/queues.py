"""What is told of queues: groups of consumers as seen at the broker, and what consumers say themselves."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from firedrill.world.telemetry import labels as label_sets
from firedrill.world.telemetry.monitoring import Monitoring
from firedrill.world.telemetry.producers.appstate import AppMetering
from firedrill.world.telemetry.traces import failures

if TYPE_CHECKING:
    from firedrill.world.app.graph import Graph
    from firedrill.world.app.rows import Rows
    from firedrill.world.app.state import State
    from firedrill.world.app.topology import Topology
    from firedrill.world.telemetry.labels import Labels
    from firedrill.world.telemetry.producers.cells import Floats
    from firedrill.world.telemetry.store import SeriesStore
    from firedrill.world.telemetry.traces.requests import Names
    from firedrill.world.world import World

TARGET = "kafka-metrics"
_GROUP = (
    ("kafka_consumer_group_members", "gauge", "Consumers of the group."),
    ("kafka_consumer_group_lag", "gauge", "Messages of the partition that wait for the group."),
    (
        "kafka_consumer_group_lag_ratio",
        "gauge",
        "Messages of the partition that wait for the group.",
    ),
    ("kafka_consumer_group_lag_sum", "gauge", "Messages of the topic that wait for the group."),
    (
        "kafka_consumer_group_lag_sum_ratio",
        "gauge",
        "Messages of the topic that wait for the group.",
    ),
    ("kafka_consumer_group_offset", "gauge", "Messages of the partition that the group has taken."),
    ("kafka_partition_current_offset", "gauge", "Messages that were put into the partition."),
    ("kafka_topic_partitions", "gauge", "Partitions of the topic."),
    ("kafka_brokers", "gauge", "Brokers."),
)
_CLIENT = (
    ("kafka_consumer_connection_close_rate", "gauge", "Connections closed per second in the last 30 s."),
    ("kafka_consumer_connection_count", "gauge", "Connections."),
    ("kafka_consumer_records_lag_max", "gauge", "Messages that the consumer has not taken yet."),
    ("kafka_consumer_records_consumed_total", "counter", "Messages taken."),
)
NAMES = tuple(name for name, _, _ in (*_GROUP, *_CLIENT))
_BY_PARTITION = frozenset(
    ("kafka_consumer_group_lag", "kafka_consumer_group_lag_ratio", "kafka_consumer_group_offset")
)
_WINDOW_TICKS = 6
_CONNECTIONS = 2


def begin(world: World, store: SeriesStore, graph: Graph) -> None:
    """Let the queues be scraped, where there are some."""
    if graph.roots == graph.entries:
        return
    labels = {"job": TARGET, "instance": f"{TARGET}.monitoring.svc:8889"}
    store.add_target(TARGET, labels, world.now, offset_ms=0)
    for name, kind, text in (*_GROUP, *_CLIENT):
        store.describe(name, kind, text)
    store.steadiness.follow("", (name for name, _, _ in (*_GROUP, *_CLIENT)))


def update(world: World, names: Names, graph: Graph, topology: Topology, rows: Rows, state: State) -> None:
    """Write what is told of the queues after a tick."""
    consumers = range(graph.roots - graph.entries)
    if not consumers:
        return
    part, store = world.cluster.part(AppMetering), world.cluster.part(Monitoring).store
    held: Any = part.scratch.get("reached")
    if held is None or held[0] is not topology:
        found = [_reached(graph, topology, graph.entries + number) for number in consumers]
        held = part.scratch["reached"] = (topology, found)
    known: list[dict[int, int]] = held[1]
    first = (rows.parent < 0) & (rows.attempt == 0)
    taken = np.bincount(rows.edge[first], minlength=graph.roots)[graph.entries :] * rows.weight
    for number in consumers:
        edge = graph.entries + number
        reached = known[number]
        lag, count = float(state.lag[number]), float(taken[number])
        _group(world, part, store, names, graph, topology, number, len(reached), lag, count)
        _clients(world, part, store, names, graph, topology, edge, reached, lag, count)


def _reached(graph: Graph, topology: Topology, edge: int) -> dict[int, int]:
    """The pods of a consumer that reach a broker, and which one."""
    edges, out = len(graph.edge_call), {}
    for pod in np.flatnonzero(topology.service == graph.edge_service[edge]).tolist():
        start, count = (
            int(part[pod * edges + edge]) for part in (topology.reach.start, topology.reach.count)
        )
        if not start:
            continue
        for place in range(start, start + count):
            if topology.reach.code[place] == 0 and topology.reach.target[place] >= 0:
                out[pod] = int(topology.reach.target[place])
                break
    return out


def _group(
    world: World,
    part: AppMetering,
    store: SeriesStore,
    names: Names,
    graph: Graph,
    topology: Topology,
    number: int,
    members: int,
    lag: float,
    taken: float,
) -> None:
    queue = graph.app.queues[int(graph.consumer_queue[number])]
    call = graph.edge_call[graph.entries + number]
    broker = _broker(graph, queue.name)
    there = broker is None or bool((topology.service == broker).any())
    block = part.queues.get(number)
    if block is None:
        if not there:
            return
        common = {
            "group": call.service,
            "topic": queue.name,
            "namespace": graph.app.namespace,
            "service_name": names.services[broker].name if broker is not None else "",
        }
        block = part.queues[number] = store.block(TARGET, _series(common, number, graph), world.now)
    elif not there:
        # nobody answers the collector: the series end, and what was counted is lost with the broker's disk
        store.retire(part.queues.pop(number), world.now)
        return
    row = store.values(block)
    offset = float(row[5]) + taken
    values = [float(members), lag, lag, lag, lag, offset, offset + lag, 1.0, 1.0]
    _write(world, store, row, values[: len(row)], _GROUP)


def _write(
    world: World,
    store: SeriesStore,
    row: Floats,
    values: list[float],
    about: tuple[tuple[str, str, str], ...],
) -> None:
    """Set values, and tell which metrics have others than before."""
    before = row.tolist()
    if before != values:
        row[:] = values
        pairs = zip(about, before, values, strict=False)
        store.steadiness.note([one[0] for one, old, new in pairs if old != new], world.now)


@lru_cache(maxsize=256)
def _broker(graph: Graph, queue: str) -> int | None:
    """The service into which the messages of a queue are put."""
    for edge, call in enumerate(graph.edge_call):
        if call.publishes == queue:
            return int(graph.op_service[graph.edge_target[edge]])
    return None


def _series(common: dict[str, str], number: int, graph: Graph) -> list[Labels]:
    out = []
    first = int(np.flatnonzero(graph.consumer_queue == graph.consumer_queue[number])[0]) == number
    for name, _, _ in _GROUP:
        labels = dict(common)
        if name in _BY_PARTITION:
            labels["partition"] = "0"
        if not name.startswith("kafka_consumer_group"):
            if not first:
                break  # what is not about a group is told once for each topic
            del labels["group"]
            if name == "kafka_partition_current_offset":
                labels["partition"] = "0"
            if name == "kafka_brokers" and number:
                break
            if name == "kafka_brokers":
                del labels["topic"]
        out.append(label_sets.make(labels, name))
    return out


# --- clients


def _clients(
    world: World,
    part: AppMetering,
    store: SeriesStore,
    names: Names,
    graph: Graph,
    topology: Topology,
    edge: int,
    reached: dict[int, int],
    lag: float,
    taken: float,
) -> None:
    """Consumers on a Java machine tell of their connections."""
    service = int(graph.edge_service[edge])
    if failures.family(names.services[service].language) != "java":
        return
    for pod in np.flatnonzero(topology.service == service).tolist():
        info = topology.pods[pod]
        target = part.pods.get(info.uid)
        if target is None:
            continue
        key = (info.uid, -1 - edge)
        block = part.requests.get(key)
        if block is None:
            common = {"client_id": f"{names.services[service].name}-consumer-1"}
            common["service_name"] = names.services[service].name
            series = [label_sets.make(common, name) for name, _, _ in _CLIENT]
            block = part.requests[key] = store.block(target.target, series, world.now)
        closed = _closed(world, part, info.uid, reached.get(pod), topology)
        row = store.values(block)
        more = taken / max(len(reached), 1) if pod in reached else 0.0
        values = [sum(closed) / (_WINDOW_TICKS * 5.0), float(_CONNECTIONS if pod in reached else 0), lag]
        _write(world, store, row, [*values, float(row[3]) + more], _CLIENT)


def _closed(
    world: World, part: AppMetering, uid: str, broker: int | None, topology: Topology
) -> tuple[int, ...]:
    """The connections that a consumer lost in each of the last ticks."""
    here = topology.pods[broker] if broker is not None else None
    now = f"{here.uid}/{here.attempt}" if here is not None else ""
    before = part.brokers.get(uid, now)
    lost = 0
    if before and before != now:
        lost = _CONNECTIONS
    if not now:
        # a client tries again about once a second; each attempt that fails is a connection that was closed
        lost += world.rng.integer(3, 6, "kafka.reconnect", uid, world.now)
    part.brokers[uid] = now
    out = (*part.closed.get(uid, ()), lost)[-_WINDOW_TICKS:]
    part.closed[uid] = out
    return out


def forget(part: AppMetering) -> None:
    """Let consumers go whose pods are gone."""
    for held in (part.closed, part.brokers):
        for uid in [uid for uid in held if uid not in part.pods]:
            del held[uid]


__all__ = ["TARGET", "begin", "forget", "update"]
