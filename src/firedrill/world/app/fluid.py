"""How busy everything is in one tick: rates along the graph, then waiting times from queueing theory.

Time in a queue is 0 with probability 1 - C (Erlang's C), else exponential with mean
S (1 + cv²) / 2c(1 - utilisation); what comes above the capacity piles up to a bound and is refused beyond it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from firedrill.world.app.graph import Graph
from firedrill.world.app.setting import Bursts, Setting
from firedrill.world.app.state import Inputs, State, hits
from firedrill.world.app.tables.draw import left_over, waiting

Floats = NDArray[np.float64]
_BUSIEST = 0.98
"""Queues of a busier station are followed by its backlog rather than by the formula of the steady state."""
_HOUR = 3_600_000
_MANY = 1e9
_GOLDEN = 0.6180339887498949
_PERIOD = 100_000.0
"""µs after which a pod that has used up its limit may go on."""


@dataclass(frozen=True, slots=True, eq=False)
class Fluid:
    """What rows are drawn from. Times in µs.

    Attributes:
        rate: requests per second that users make.
        consumed: messages that are worked on in this tick, by consumer.
        edges: attempts per second, by edge.
        probability: that a slot's call is made, by edge, for a warm cache; caches are seen to by rows.
        wait_share, wait_mean: by station: the share that waits, and how long these do on average.
        late_share, late_mean: by pod: the share that comes when the quota of a period is used up, and how
            long these wait on average.
        backlog: at the start and the end of the tick, by station; `pace` is what one of it costs.
        refused: share that finds no room, by station.
        served: share that is worked on, by pod.
        cores: processors that are left to the pod.
        cpu, throttled: ms of processor per second, share of throttled periods, by pod.
    """

    rate: float
    consumed: Floats
    edges: Floats
    wait_share: Floats
    wait_mean: Floats
    late_share: Floats
    late_mean: Floats
    backlog_before: Floats
    backlog: Floats
    pace: Floats
    refused: Floats
    served: Floats
    cores: Floats
    cpu: Floats
    throttled: Floats


def offered_rate(graph: Graph, state: State, inputs: Inputs) -> float:
    """Requests per second that the users make."""
    load = graph.app.load
    users = inputs.topology.users * inputs.effects.load
    if load.daily:
        hour, rest = divmod(inputs.moment % (24 * _HOUR), _HOUR)
        first, second = load.daily[hour], load.daily[(hour + 1) % 24]
        users *= first + (second - first) * rest / _HOUR
    for burst in load.bursts:
        if inputs.moment % burst.every_ms < burst.length_ms:
            users *= burst.factor
    more = 1.0 + sum(inputs.effects.flood)
    if load.loop == "open":
        return users * load.rate * more
    return users * more * 1000.0 / (load.think_ms + more * state.response / 1000.0)


def consumed_messages(graph: Graph, state: State, inputs: Inputs, setting: Setting) -> Floats:
    """Messages that each consumer works on in this tick: what waits, or as much as it can."""
    consumers, known = graph.roots - graph.entries, setting.consumers
    if not consumers:
        return np.zeros(0)
    each = np.maximum(np.maximum(state.holding[known.pod], known.least), 1.0)
    most = np.bincount(known.number, known.workers * inputs.length * 1000.0 / each, minlength=consumers)
    # Slow consumers finish a message in some ticks only; which ones, goes round evenly.
    turn = float(inputs.moment // inputs.length * _GOLDEN % 1.0)
    taken: Floats = np.floor(np.minimum(state.lag, most + turn))
    return taken


def edge_rates(
    graph: Graph, state: State, inputs: Inputs, setting: Setting, rate: float, consumed: Floats
) -> Floats:
    """Attempts per second, by edge."""
    topology = inputs.topology
    edges, ops, entries = len(graph.edge_call), len(graph.op_cpu), graph.entries
    arriving = np.bincount(
        topology.flow_edge, topology.flow_weight * state.served[topology.flow_pod], minlength=edges
    )
    ratio = setting.ratio
    if setting.cached:
        warm = np.bincount(topology.service, state.warmth, minlength=len(setting.replicas)) / setting.replicas
        ratio = ratio * (1.0 - hits(graph, state) * (warm * setting.caching)[setting.maker])
    ratio = ratio * state.made * state.attempts
    here = np.zeros(edges)
    here[:entries] = rate * setting.mix * state.attempts[:entries]
    here[entries : graph.roots] = consumed * 1000.0 / inputs.length
    total = here
    for _ in range(graph.depth - 1):
        reached = np.bincount(graph.edge_target, here * arriving, minlength=ops)
        here = reached[graph.edge_source] * ratio
        total = total + here
    return total


def solve_fluid(graph: Graph, state: State, inputs: Inputs, setting: Setting) -> Fluid:
    """Rates, utilisation and queues of one tick."""
    topology = inputs.topology
    pods, seconds = len(topology.pods), inputs.length / 1000.0
    rate = offered_rate(graph, state, inputs)
    consumed = consumed_messages(graph, state, inputs, setting)
    edges = edge_rates(graph, state, inputs, setting, rate, consumed)
    flow = edges[topology.flow_edge] * topology.flow_weight
    worked = flow * setting.flow_cpu
    work = np.asarray(np.bincount(topology.flow_pod, worked, minlength=pods), np.float64)
    square = np.bincount(topology.flow_pod, worked * setting.flow_cpu * setting.flow_spread, minlength=pods)
    coming = np.asarray(np.bincount(topology.flow_pod, flow, minlength=pods), np.float64)

    cores = _left(setting.cores, work, topology.node, topology.node_cores)
    speed = np.minimum(cores / topology.servers[:pods], 1.0)
    some = np.maximum(coming, 1e-12)
    mean = work / some
    variation = np.maximum(square / some / np.maximum(mean * mean, 1e-18) - 1.0, 0.0)

    pool_rate = edges[topology.pool_edge] / setting.pool_sources
    arrivals = np.concatenate([coming, coming, pool_rate])
    service = np.concatenate(
        [mean / speed, state.holding / 1000.0, state.lasting[topology.pool_edge] / 1000.0]
    )
    spread = np.concatenate([variation, setting.ones])
    service = np.where(topology.active, service, 0.0)

    capacity = topology.servers * 1000.0 / np.maximum(service, 1e-9)
    use = np.minimum(arrivals / capacity, 1.0)
    calm = np.minimum(use, _BUSIEST)
    share = waiting(topology.erlang, calm)
    long = service * (1.0 + spread) * 500.0 / (topology.servers * (1.0 - calm))
    small = np.flatnonzero(cores < 1.0)
    late_share, late = np.zeros(pods), np.zeros(pods)
    throttled = _throttled(use[:pods], cores)
    if len(small):
        bursts = (square + _bursts(graph, setting.bursts, edges, flow, worked, pods))[small]
        load = _Small(calm[small], coming[small], mean[small], bursts / some[small], cores[small])
        found = _under_quota(load)
        share[small], long[small], throttled[small] = found.share, found.own, found.throttled
        late_share[small], late[small] = found.late_share, found.late
    grown = np.maximum(state.backlog + (arrivals - capacity) * seconds, 0.0)
    backlog, refused = grown, np.zeros(len(grown))
    if np.count_nonzero(grown):
        grown = np.where(topology.active, grown, 0.0)
        bound = topology.bound
        if setting.pools:
            bound = np.concatenate([bound[: 2 * pods], capacity[2 * pods :] * setting.pool_patience])
        backlog = np.minimum(grown, bound)
        refused = np.minimum((grown - backlog) / np.maximum(arrivals * seconds, 1e-9), 1.0)
        most = _outstanding(graph, state, inputs, coming)
        backlog[: 2 * pods] = np.minimum(backlog[: 2 * pods], np.tile(most, 2))
    taken = (1.0 - refused[:pods]) * (1.0 - refused[pods : 2 * pods])
    out = np.minimum(arrivals[:pods] + state.backlog[:pods] / seconds, capacity[:pods])
    flowing = np.minimum(out / some, 1.0)
    busy = np.minimum(work * taken, cores * 1000.0)
    return Fluid(
        rate=rate,
        consumed=consumed,
        edges=edges,
        wait_share=share,
        wait_mean=long,
        late_share=late_share,
        late_mean=late,
        backlog_before=state.backlog,
        backlog=backlog,
        pace=1e6 / capacity,
        refused=refused,
        served=np.where(coming > 0.0, np.minimum(taken, flowing), 1.0),
        cores=cores,
        cpu=busy,
        throttled=np.where(use[:pods] >= 1.0, 1.0, throttled),
    )


def _outstanding(graph: Graph, state: State, inputs: Inputs, coming: Floats) -> Floats:
    """The most requests that can wait at each pod: those whose callers wait for them and ask no more."""
    topology, load = inputs.topology, graph.app.load
    services = len(graph.app.services) + 1
    here = state.in_flight + coming * (inputs.length / 1000.0)
    busy = np.asarray(np.bincount(topology.service, here, minlength=services), np.float64)
    busy[-1] = topology.users * inputs.effects.load if load.loop == "closed" else _MANY
    calls = np.bincount(topology.asked, busy[topology.asker] * topology.asking, minlength=len(topology.pods))
    return np.asarray(calls, np.float64) + 1.0


def _left(cores: Floats, work: Floats, node: NDArray[np.int64], node_cores: Floats) -> Floats:
    """Processors that each pod gets: nodes with more work than processors share them in proportion."""
    wanted = np.minimum(work / 1000.0, cores)
    demand = np.bincount(node, wanted, minlength=len(node_cores))
    short = np.minimum(node_cores / np.maximum(demand, 1e-9), 1.0)[node]
    return np.where(short < 1.0, np.maximum(wanted * short, 1e-3), cores)


def _bursts(graph: Graph, known: Bursts, edges: Floats, flow: Floats, work: Floats, pods: int) -> Floats:
    """What comes on top of the squared work per second since requests call a pod several times in a row."""
    reached = np.bincount(graph.edge_target, edges, minlength=len(graph.op_cpu))
    groups, here = len(known.op), work[known.inner]
    together = np.bincount(known.number, here, minlength=groups)
    alone = np.bincount(known.number, here * here / np.maximum(flow[known.inner], 1e-12), minlength=groups)
    extra = together * together / np.maximum(reached[known.op], 1e-9) - alone
    return np.asarray(np.bincount(known.pod, np.maximum(extra, 0.0), minlength=pods), np.float64)


class _Small(NamedTuple):
    """Pods with less than a processor: use of it, requests per second, ms of work, its square, processors."""

    use: Floats
    coming: Floats
    mean: Floats
    square: Floats
    cores: Floats


class _Waits(NamedTuple):
    """Share that waits for the processor, how long in µs; the same for the next period; throttled periods."""

    share: Floats
    own: Floats
    late_share: Floats
    late: Floats
    throttled: Floats


def _under_quota(load: _Small) -> _Waits:
    """How long requests wait where a quota bounds the work.

    Such a pod works with a whole processor until its quota of the period is used up, and then not at all. So
    requests wait for the processor as if it were their own, and those that come too late in a period with
    much work wait for the next one.
    """
    busy = load.use * load.cores
    own = load.square / np.maximum(load.mean, 1e-9) * 500.0 / (1.0 - busy)
    limit = load.cores * _PERIOD
    wanted = load.use * limit
    count = wanted / np.maximum(load.mean * 1000.0, 1e-6)
    deviation = np.sqrt(np.maximum(count * load.square * 1e6, 1e-6))
    periods, left = left_over((limit - wanted) / deviation)
    behind = left * deviation / np.maximum(periods, 1e-9)
    # Those that come behind the quota, and those that come while the next period catches up.
    late_share = np.minimum(left * deviation * (1.0 / np.maximum(wanted, 1e-9) + 1.0 / _PERIOD), 1.0)
    over = behind / limit
    late = _PERIOD * (np.minimum(behind / np.maximum(wanted, 1e-9), 1.0) + over * over / (1.0 + over))
    return _Waits(busy, own, late_share, late, periods)


def _throttled(use: Floats, cores: Floats) -> Floats:
    """Share of periods in which a pod used up its limit: more at high use and with few processors."""
    return np.minimum(use * use * use / np.maximum(cores, 0.25) * 0.25 + (use >= 1.0) * 0.75, 1.0)
