"""What a tick needs of the graph, of the cluster and of what acts on it, worked out once while they hold."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from firedrill.world.app.graph import Graph
from firedrill.world.app.rules import Rule
from firedrill.world.app.state import Effects, entry_shares
from firedrill.world.app.tables.draw import SIZE
from firedrill.world.app.topology import Topology

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_LOST = 0.999


class Consumers(NamedTuple):
    """Pods that take messages out of queues, one entry for each pod and consumer.

    Attributes:
        pod, number: which ones.
        least: µs that a message takes at least.
        workers: that work on messages at a time.
        of: by consumer, its pods.
    """

    pod: Ints
    number: Ints
    least: Floats
    workers: Floats
    of: tuple[Ints, ...]


class Bursts(NamedTuple):
    """Flows of requests that make several calls of a pod, grouped by caller and pod.

    Attributes:
        inner: the flows that begin within the application.
        number: the group of each.
        op, pod: of each group, the caller's operation and the pod.
    """

    inner: Ints
    number: Ints
    op: Ints
    pod: Ints


class Setting(NamedTuple):
    """All of it; None where nothing acts in that way.

    Attributes:
        flow_op: operation of each flow of the topology.
        flow_cpu: ms of processor of each of its requests; `flow_spread` is 1 + its squared variation.
        replicas: pods by service, at least 1.
        caching: by service, how well caches work; `pod_caching` by pod.
        maker: service that makes a call, by edge.
        ratio: calls for each request of the caller, by edge; 0 for those of users and consumers.
        mix, mix_up_to: shares of the requests that users make, and their sums.
        consumers, bursts: see there.
        cores: processors that are left to pods by what else runs there.
        pools: how many there are; `pool_sources` and `pool_patience` (s) are by pool.
        ones: for all stations but the processors of pods.
        warming: ms until caches are warm, by pod.
        op_cpu, op_io, op_error: in µs and as a share, by operation; `op_table` is where its draws begin.
        thinned: some calls are not always made; `cached`: for a cache that answers.
        slow, distant: something waits for a disk; something is far away.
        failing: some operations fail by themselves; `pod_error` is by pod.
        patience: of callers in µs by edge, that of proxies on the way included.
        codes, dead, aborts: by edge, by pod, by pod.
        stops: the rules about what does not arrive; `acts`: there are others.
    """

    flow_op: Ints
    flow_cpu: Floats
    flow_spread: Floats
    replicas: Ints
    caching: Floats
    pod_caching: Floats
    maker: Ints
    ratio: Floats
    mix: Floats
    mix_up_to: Floats
    consumers: Consumers
    bursts: Bursts
    cores: Floats
    pools: int
    pool_sources: Floats
    pool_patience: Floats
    ones: Floats
    warming: Floats
    op_cpu: Floats
    op_io: Floats
    op_error: Floats
    op_table: Ints
    thinned: bool
    cached: bool
    slow: bool
    distant: bool
    failing: bool
    pod_error: Floats | None
    patience: Ints
    codes: Ints | None
    dead: Bools | None
    aborts: Floats | None
    stops: tuple[Rule, ...]
    acts: bool


@lru_cache(maxsize=64)
def setting_of(graph: Graph, topology: Topology, effects: Effects) -> Setting:
    """What follows from them; they are never changed, so that the same ones give the same."""
    op = graph.edge_target[topology.flow_edge]
    services, pods, pools = len(graph.app.services) + 1, len(topology.pods), len(topology.pool_edge)
    ratio = graph.edge_probability * graph.edge_times
    ratio[: graph.roots] = 0.0
    up_to = entry_shares(graph, effects)
    op_io = (graph.op_io + effects.op_io) * 1000.0
    op_error = np.minimum(graph.op_error + effects.op_error, 1.0)
    far = (effects.pod_delay, effects.pod_loss, effects.node_delay, effects.node_loss)
    dead = effects.pod_frozen | (effects.pod_loss >= _LOST)
    stops = tuple(rule for rule in effects.rules if rule.what in ("code", "name"))
    warm = np.array([*(service.warm_ms for service in graph.app.services), 60_000], np.float64)
    return Setting(
        flow_op=op,
        flow_cpu=graph.op_cpu[op] * effects.op_work[op],
        flow_spread=1.0 + graph.op_cv2[op],
        replicas=np.maximum(np.bincount(topology.service, minlength=services), 1),
        caching=1.0 - effects.cold,
        pod_caching=1.0 - effects.cold[topology.service],
        maker=graph.op_service[graph.edge_source],
        ratio=ratio,
        mix=np.diff(up_to, prepend=0.0),
        mix_up_to=up_to,
        consumers=_consumers(graph, topology, effects),
        bursts=_bursts(graph, topology),
        cores=np.maximum(topology.cores * (1.0 - effects.pod_steal), 1e-3),
        pools=pools,
        pool_sources=topology.sources[topology.pool_edge],
        pool_patience=graph.edge_pool_timeout[topology.pool_edge].astype(np.float64) * 1e-6,
        ones=np.ones(pods + pools),
        warming=warm[topology.service],
        op_cpu=graph.op_cpu * effects.op_work * 1000.0,
        op_io=op_io,
        op_error=op_error,
        op_table=graph.op_class * SIZE,
        thinned=bool((graph.edge_probability < 1).any() or graph.edge_hit.any()),
        cached=bool(graph.edge_hit.any()),
        slow=bool(op_io.any() or effects.pod_io.any()),
        distant=any(bool(item.any()) for item in far),
        failing=bool(op_error.any()),
        pod_error=effects.pod_error if effects.pod_error.any() else None,
        patience=np.minimum(graph.edge_timeout, topology.patience),
        codes=effects.edge_code if effects.edge_code.any() else None,
        dead=dead if dead.any() else None,
        aborts=effects.pod_abort if effects.pod_abort.any() else None,
        stops=stops,
        acts=len(effects.rules) > len(stops),
    )


def _consumers(graph: Graph, topology: Topology, effects: Effects) -> Consumers:
    here = (topology.flow_edge >= graph.entries) & (topology.flow_edge < graph.roots)
    if effects.silent is not None:
        here &= ~effects.silent[topology.flow_pod]
    pod = topology.flow_pod[here]
    op = graph.edge_target[topology.flow_edge[here]]
    return Consumers(
        pod,
        topology.flow_edge[here] - graph.entries,
        (graph.op_cpu[op] * effects.op_work[op] + graph.op_io[op] + effects.op_io[op]) * 1000,
        np.maximum(topology.servers[len(topology.pods) :][pod], 1.0),
        tuple(topology.flow_pod[topology.flow_edge == edge] for edge in range(graph.entries, graph.roots)),
    )


def _bursts(graph: Graph, topology: Topology) -> Bursts:
    source, pods = graph.edge_source[topology.flow_edge], len(topology.pods)
    inner = np.flatnonzero(source >= 0)
    group, number = np.unique(source[inner] * pods + topology.flow_pod[inner], return_inverse=True)
    return Bursts(inner, number, group // max(pods, 1), group % max(pods, 1))
