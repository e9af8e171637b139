"""What one tick of traffic amounts to, counted: the narrow end at which metrics, logs and traces begin.

All three are made from the same rows, so their counts agree. A `Sample` holds sums of one tick (not since the
start): whoever keeps counters adds them up. Times in µs, rates and shares as said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedrill.world.app import rows as kinds
from firedrill.world.app.graph import Graph
from firedrill.world.app.rows import Rows
from firedrill.world.app.state import Inputs, State
from firedrill.world.app.topology import PodInfo

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
BOUNDS_MS: Final = (2, 4, 6, 8, 10, 50, 100, 200, 400, 800, 1000, 1400, 2000, 5000, 10000, 15000)
"""Upper bounds of the histograms, those of OpenTelemetry's span metrics; one more bucket is above them."""
_BOUNDS = np.array(BOUNDS_MS, np.int64) * 1000


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Requests by cell, all arrays with one entry (or row) for each cell that had a request.

    Attributes:
        source: index of the caller's pod in `Sample.pods`; -1 where the caller does not matter.
        edge: call of the graph; -1 where it does not matter.
        op: operation of the graph.
        pod: index of the callee's pod; -1 where no pod was reached.
        counts: requests by outcome, cells x `rows.KINDS`.
        duration: sum of durations.
        histogram: requests by duration, cells x (BOUNDS_MS + 1); not cumulative.
    """

    source: Ints
    edge: Ints
    op: Ints
    pod: Ints
    counts: Ints
    duration: Floats
    histogram: Ints

    @property
    def requests(self) -> Ints:
        """All of them, by cell."""
        return np.asarray(self.counts.sum(axis=1), np.int64)

    @property
    def timeouts(self) -> Ints:
        """Those whose caller gave up or never got through, by cell."""
        return np.asarray(self.counts[:, _LATE].sum(axis=1), np.int64)

    @property
    def errors(self) -> Ints:
        """Those that ended with an error, time-outs apart, by cell."""
        return self.requests - self.timeouts - self.counts[:, kinds.OK]

    def quantile(self, share: float) -> Floats:
        """An upper bound of that quantile of the durations by cell, in ms; infinite above all bounds."""
        reached = np.cumsum(self.histogram, axis=1) >= share * self.histogram.sum(axis=1)[:, None]
        bounds = np.append(np.array(BOUNDS_MS, np.float64), np.inf)
        return np.asarray(bounds[reached.argmax(axis=1)], np.float64)


_LATE = [kinds.TIMEOUT, kinds.DROPPED, kinds.DNS_TIMEOUT, kinds.POOL]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One tick.

    Attributes:
        number: of the tick.
        moment, length: its start in ms since the Unix epoch, and how long it is in ms.
        graph: names of operations (`op_names`) and calls (`edge_call`).
        pods: whose indexes the cells use.
        calls: as callers saw them, by (source, edge, pod): every attempt, those of users included.
        served: as callees saw them, by (op, pod).
        cpu, throttled, memory, in_flight, backlog: by pod: ms of processor per second, share of periods in
            which the limit was reached, bytes, requests being worked on, requests that wait.
        lag, consumed: messages by consumer (`graph.edge_call[graph.entries + number]`): waiting, taken.
        users: of the load generators.
    """

    number: int
    moment: int
    length: int
    graph: Graph
    pods: tuple[PodInfo, ...]
    calls: Cells
    served: Cells
    cpu: Floats
    throttled: Floats
    memory: Floats
    in_flight: Floats
    backlog: Floats
    lag: Floats
    consumed: Ints
    users: float


def make_sample(graph: Graph, inputs: Inputs, number: int, rows: Rows, state: State) -> Sample:
    """Count the rows of a tick.

    Args:
        graph: of the application.
        inputs: of the tick.
        number: of the tick.
        rows: of the tick.
        state: after it.
    """
    pods = len(inputs.topology.pods)
    here = np.flatnonzero(rows.arrived)
    nowhere = np.full(len(here), -1, np.int64)
    taken = np.bincount(rows.edge[(rows.attempt == 0) & (rows.parent < 0)], minlength=graph.roots)
    return Sample(
        number=number,
        moment=inputs.moment,
        length=inputs.length,
        graph=graph,
        pods=inputs.topology.pods,
        calls=_cells(
            graph, pods, rows.source, rows.edge, rows.op, rows.pod, rows.kind, rows.duration, rows.weight
        ),
        served=_cells(
            graph,
            pods,
            nowhere,
            nowhere,
            rows.op[here],
            rows.pod[here],
            rows.server_kind[here],
            rows.server_duration[here],
            rows.weight,
        ),
        cpu=state.cpu,
        throttled=state.throttled,
        memory=state.memory,
        in_flight=state.in_flight,
        backlog=state.backlog[:pods] + state.backlog[pods : 2 * pods],
        lag=state.lag,
        consumed=taken[graph.entries : graph.roots] * rows.weight,
        users=inputs.topology.users * inputs.effects.load,
    )


def _cells(
    graph: Graph,
    pods: int,
    source: Ints,
    edge: Ints,
    op: Ints,
    pod: Ints,
    kind: Ints,
    duration: Ints,
    weight: int,
) -> Cells:
    edges, ops, some = len(graph.edge_call) + 1, len(graph.op_cpu), pods + 1
    key = (((source + 1) * edges + edge + 1) * ops + op) * some + pod + 1
    cells, place = np.unique(key, return_inverse=True)
    count = len(cells)
    outcomes, buckets = len(kinds.KINDS), len(_BOUNDS) + 1
    counts = np.bincount(place * outcomes + kind, minlength=count * outcomes).reshape(count, outcomes)
    bucket = np.searchsorted(_BOUNDS, duration, side="left")
    spread = np.bincount(place * buckets + bucket, minlength=count * buckets).reshape(count, buckets)
    rest, pod_of = np.divmod(cells, some)
    rest, op_of = np.divmod(rest, ops)
    source_of, edge_of = np.divmod(rest, edges)
    return Cells(
        source=source_of - 1,
        edge=edge_of - 1,
        op=op_of,
        pod=pod_of - 1,
        counts=counts.astype(np.int64) * weight,
        duration=np.asarray(np.bincount(place, duration, minlength=count) * weight, np.float64),
        histogram=spread.astype(np.int64) * weight,
    )
