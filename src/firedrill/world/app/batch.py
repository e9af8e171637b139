"""Rows that are made together, and how long a callee needs for each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from firedrill.world.app import rows as kinds
from firedrill.world.app.graph import Graph
from firedrill.world.app.tables import draw

if TYPE_CHECKING:
    from firedrill.world.app.table import Table

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_NONE = np.zeros(0, np.int64)
_NET_LEAST, _NET_MORE = 150.0, 90.0
"""µs of a message there and back within the cluster, and the mean of what comes on top."""
_PERIOD = 100_000.0
"""µs after which a pod that has used up its limit may go on."""
_RETRANSMIT = np.array([0, 200_000, 600_000, 1_400_000, 3_000_000, 6_200_000], np.int64)


class Batch:
    """Rows of some calls and of all below them, level after level, parents before children.

    On the way down columns are lists with an array for each level; `join` makes arrays of them, among
    which `parent` is an index within the batch.
    """

    __slots__ = (
        "_levels",
        "answer",
        "arrived",
        "at",
        "attempt",
        "base",
        "begin",
        "code",
        "cpu",
        "duration",
        "edge",
        "elapsed",
        "inner",
        "kind",
        "lead",
        "made",
        "net",
        "op",
        "parent",
        "pod",
        "ranges",
        "server_duration",
        "server_kind",
        "size",
        "source",
        "stage",
        "struck",
        "twin",
        "waited",
    )

    def __init__(self, base: int) -> None:
        self.base = base
        self.size = 0
        self.attempt = 0
        self.struck = False
        self.twin: Ints | None = None
        self.elapsed = _NONE
        self.ranges: list[tuple[int, int]] = []
        self._levels: list[tuple[Ints, ...]] = []
        self.net = self.lead = self.waited = self.cpu = _NONE

    def add(self, *columns: Ints) -> None:
        """One more level: parent, edge, stage, source, pod, code, at."""
        self.ranges.append((self.size, self.size + len(columns[0])))
        self.size += len(columns[0])
        self._levels.append(columns)

    def join(self, graph: Graph) -> None:
        """All levels are there."""
        if not self._levels:
            self.ranges.append((0, 0))
            self._levels.append((_NONE,) * 7)
        joined = [np.concatenate(column) for column in zip(*self._levels, strict=True)]
        self.parent, self.edge, self.stage, self.source, self.pod, self.code, self.at = joined
        self.op = graph.edge_target[self.edge]
        self.arrived = self.code == kinds.OK
        size = self.size
        self.inner, self.begin = np.zeros(size, np.int64), np.zeros(size, np.int64)
        self.duration, self.kind = np.zeros(size, np.int64), np.zeros(size, np.int64)
        self.server_duration = np.zeros(size, np.int64)
        self.server_kind = np.zeros(size, np.int64)
        self.made = np.ones(size, np.bool_)
        self.answer = np.zeros(size, np.int64)


class Service(NamedTuple):
    """µs of each row: at the callee without its calls, in the network, and waiting for a connection."""

    busy: Ints
    net: Ints
    pool: Ints | None


def service_times(table: Table, batch: Batch) -> Service:
    """Draw what a row needs by itself, and whether it fails by itself."""
    setting, effects, topology = table.setting, table.inputs.effects, table.inputs.topology
    size, op, pod = batch.size, batch.op, batch.pod
    drawn = table.draws.uniform(5, size)
    own = draw.work_from(setting.op_table[op], drawn[0]) * setting.op_cpu[op]
    if table.quota is not None:
        quota = table.quota[pod]
        own += np.floor(own / quota) * (_PERIOD - quota)
    waited = table.waits(pod, drawn[1], batch.at) + table.waits(len(topology.pods) + pod, drawn[2], batch.at)
    late = table.late(pod)
    if late is not None:
        waited += late
    cpu = np.rint(own).astype(np.int64)
    own = cpu
    idle = np.rint(waited).astype(np.int64)
    net = np.rint(_NET_LEAST + _NET_MORE * draw.exponential(drawn[3])).astype(np.int64)
    for chances, of in ((setting.op_error if setting.failing else None, op), (setting.pod_error, pod)):
        if chances is not None:
            batch.server_kind[(drawn[4] < chances[of]) & batch.arrived] = kinds.FAILED
    other: Any = 0
    if setting.slow:
        other = np.rint(setting.op_io[op] * draw.exponential(table.draws.uniform(1, size)[0])).astype(
            np.int64
        )
        other = other + np.rint(effects.pod_io[pod] * 1000.0).astype(np.int64)
    if setting.distant:
        net = net + _distance(table, batch)
    if table.rules:
        more, far = _ruled(table, batch, own)
        other, net = other + more, net + far
    pool = _pool_waits(table, batch) if len(topology.pool_pod) else None
    batch.net, batch.waited, batch.cpu = net if pool is None else net + pool, idle, cpu
    batch.lead = idle + (own + other) // 2
    return Service(own + idle + other, net, pool)


def _distance(table: Table, batch: Batch) -> Ints:
    """What slow and lossy networks add."""
    effects = table.inputs.effects
    delay = effects.pod_delay[batch.source] + effects.pod_delay[batch.pod]
    keep: Floats = (1.0 - effects.pod_loss[batch.source]) * (1.0 - effects.pod_loss[batch.pod])
    here, there = (table.inputs.topology.node[side] for side in (batch.source, batch.pod))
    apart = here != there
    delay = delay + apart * (effects.node_delay[here] + effects.node_delay[there])
    keep = keep * (1.0 - apart * effects.node_loss[here]) * (1.0 - apart * effects.node_loss[there])
    late: Ints = np.rint(delay * 1000.0).astype(np.int64) + _again(table, batch.size, 1.0 - keep * keep)
    return late


def _ruled(table: Table, batch: Batch, own: Ints) -> tuple[Ints, Ints]:
    """µs that rules add at the callee, by its work, and on the way; outcomes go into the batch."""
    busy, far = np.zeros(batch.size), np.zeros(batch.size)
    keep = np.ones(batch.size)
    for rule in table.rules:
        drawn = table.draws.uniform(2, batch.size)
        here = rule.hits(batch.edge, batch.source, batch.pod, drawn[0])
        if rule.what == "far":
            varied = rule.value + rule.more * (2.0 * drawn[1] - 1.0) if rule.more else rule.value
            far += here * np.asarray(varied * 1000.0)
        elif rule.what == "loss":
            keep *= 1.0 - here * rule.value
        elif rule.what == "busy":
            busy += here * (rule.value * 1000.0)
        elif rule.what == "stretch":
            busy += here * own * (rule.value - 1.0)
        elif rule.what == "pause":
            busy += here * (rule.value * 1000.0 * drawn[1])
        elif rule.what == "fail":
            batch.server_kind[here & batch.arrived] = kinds.FAILED
        else:
            batch.answer[here & (batch.answer == kinds.OK)] = int(rule.value)
    late = np.rint(np.maximum(far, 0.0)).astype(np.int64)
    if keep.min(initial=1.0) < 1.0:
        late += _again(table, batch.size, 1.0 - keep)
    return np.rint(busy).astype(np.int64), late


def _again(table: Table, size: int, lost: Floats) -> Ints:
    """µs until a message comes through of which that share is lost at each attempt."""
    drawn = table.draws.uniform(1, size)[0]
    again = np.zeros(size, np.int64)
    chance: Floats = lost
    for _ in range(len(_RETRANSMIT) - 1):
        again += drawn < chance
        chance = chance * lost
    late: Ints = _RETRANSMIT[again]
    return late


def _pool_waits(table: Table, batch: Batch) -> Ints:
    topology = table.inputs.topology
    edges = len(table.graph.edge_call)
    station = topology.pool_station[batch.source * edges + batch.edge]
    rows = np.flatnonzero(station >= 0)
    out = np.zeros(batch.size, np.int64)
    if len(rows):
        drawn = table.draws.uniform(1, len(rows))[0]
        waits = table.waits(station[rows], drawn, batch.at[rows])
        out[rows] = np.rint(waits).astype(np.int64)
    return out
