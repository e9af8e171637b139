"""What the traffic finds in a cluster: pods, what they may use, and what reaches what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from firedrill.world.app.graph import NEVER, Graph
from firedrill.world.app.rows import REFUSED
from firedrill.world.app.tables.draw import erlang_rows

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class PodInfo(NamedTuple):
    """One pod that runs a service of the application.

    Attributes:
        service: index in the graph; the number of services for the load generator.
        namespace, name, uid: of the pod.
        attempt: how often its container was restarted.
        node: where it runs.
        cores: processors that it may use.
        limit: bytes of memory that it may use; 0 for no bound.
        container: that runs the program.
        ip: of the pod.
    """

    service: int
    namespace: str
    name: str
    uid: str
    attempt: int
    node: str
    cores: float
    limit: int
    container: str = ""
    ip: str = ""

    @property
    def key(self) -> tuple[str, int]:
        """What its memory and queues belong to: this start of this pod."""
        return self.uid, self.attempt


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """What each pod gets when it makes each call: a list of endpoints, one of which a request takes.

    Attributes:
        start, count: by source pod and edge (`source * edges + edge`): which part of the lists below.
        target: pod, -1 for none.
        code: an outcome of `rows.KINDS`; `OK` where the call arrives.
    """

    start: Ints
    count: Ints
    target: Ints
    code: Ints


def reach_from(graph: Graph, lists: dict[tuple[int, int], list[tuple[int, int]]], pods: int) -> Reach:
    """The arrays for lists of (target, code) by (source pod, edge).

    Where a pair is missing or its list is empty, nobody listens.
    """
    edges = len(graph.edge_call)
    start = np.zeros(pods * edges, np.int64)
    count = np.ones(pods * edges, np.int64)
    targets, codes = [-1], [REFUSED]
    for (source, edge), found in lists.items():
        if not found:
            continue
        start[source * edges + edge] = len(targets)
        count[source * edges + edge] = len(found)
        targets += [target for target, _ in found]
        codes += [code for _, code in found]
    return Reach(start, count, np.array(targets, np.int64), np.array(codes, np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Topology:
    """Pods and routes of one moment, and what follows from them for the queues.

    Stations are where requests wait: the processors of each pod, then its workers, then each connection
    pool (of one pod and one edge).

    Attributes:
        pods: all of them; those of the load generator are among them.
        reach: between them.
        users: how many there are, over the running load generators.
        load_pods: indexes of these.
        patience: of proxies on the way of calls, in µs by edge.
        notes: why proxies turn calls away, by (source pod, edge, pod).
        service, node, cores: by pod; nodes count from 0. `node_cores` is by node.
        flow_edge, flow_pod, flow_weight: a request of the edge comes to the pod with that probability.
        sources: by edge, how many pods make the call.
        asker, asked, asking: a request in the service `asker` has so many calls at the pod `asked` at a time.
        servers, erlang: by station.
        speed: of one processor of a pod (1 where it has a whole one).
        active: stations that bound anything.
        bound: requests that can wait there, by station.
        pool_pod, pool_edge: of the pools. `pool_station` is by (source pod, edge), -1 for none.
    """

    pods: tuple[PodInfo, ...]
    reach: Reach
    users: float
    load_pods: Ints
    patience: Ints
    notes: Mapping[tuple[int, int, int], str]
    service: Ints = field(init=False)
    node: Ints = field(init=False)
    cores: Floats = field(init=False)
    node_cores: Floats = field(init=False)
    base: Floats = field(init=False)
    request: Floats = field(init=False)
    flow_edge: Ints = field(init=False)
    flow_pod: Ints = field(init=False)
    flow_weight: Floats = field(init=False)
    sources: Floats = field(init=False)
    asker: Ints = field(init=False)
    asked: Ints = field(init=False)
    asking: Floats = field(init=False)
    servers: Floats = field(init=False)
    erlang: Floats = field(init=False)
    speed: Floats = field(init=False)
    active: NDArray[np.bool_] = field(init=False)
    bound: Floats = field(init=False)
    pool_pod: Ints = field(init=False)
    pool_edge: Ints = field(init=False)
    pool_station: Ints = field(init=False)


def make_topology(
    graph: Graph,
    pods: tuple[PodInfo, ...],
    reach: Reach,
    *,
    users: float,
    load_pods: tuple[int, ...],
    node_cores: dict[str, float],
    patience: Mapping[int, int] | None = None,
    notes: Mapping[tuple[int, int, int], str] | None = None,
) -> Topology:
    """Put a topology together; see `Topology`."""
    limits = np.full(len(graph.edge_call), NEVER, np.int64)
    for edge, limit in (patience or {}).items():
        limits[edge] = limit
    made = Topology(pods, reach, users, np.array(load_pods, np.int64), limits, notes or {})
    nodes = sorted(node_cores)
    services = graph.app.services
    own = [services[pod.service] if pod.service < len(services) else None for pod in pods]
    put = object.__setattr__  # the rest of a frozen value follows from its first fields
    put(made, "service", np.array([pod.service for pod in pods], np.int64))
    put(made, "node", np.array([nodes.index(pod.node) for pod in pods], np.int64))
    put(made, "cores", np.array([pod.cores for pod in pods], np.float64))
    put(made, "node_cores", np.array([node_cores[name] for name in nodes], np.float64))
    put(made, "base", np.array([item.memory_base if item else 0 for item in own], np.float64))
    put(made, "request", np.array([item.memory_request if item else 0 for item in own], np.float64))
    _flows(made, graph)
    _stations(made, graph)
    return made


def _flows(made: Topology, graph: Graph) -> None:
    edges = len(graph.edge_call)
    weights: dict[tuple[int, int], float] = {}
    sources = np.zeros(edges)
    callers = [
        [int(pod) for pod in np.flatnonzero(made.service == service)]
        for service in range(len(graph.app.services) + 1)
    ]
    callers[-1] = [int(pod) for pod in made.load_pods]
    for edge in range(edges):
        pods = callers[int(graph.edge_service[edge])]
        if graph.entries <= edge < graph.roots:  # only consumers that reach their broker take messages
            pods = [pod for pod in pods if made.reach.start[pod * edges + edge]]
        sources[edge] = len(pods)
        for source in pods:
            key = source * edges + edge
            first, count = int(made.reach.start[key]), int(made.reach.count[key])
            for place in range(first, first + count):
                target = int(made.reach.target[place])
                if target >= 0 and made.reach.code[place] == 0:
                    share = 1.0 / (count * len(pods))
                    weights[edge, target] = weights.get((edge, target), 0.0) + share
    asking: dict[tuple[int, int], float] = {}
    for (edge, pod), share in weights.items():
        call = graph.edge_call[edge]
        many = share * (call.times if call.parallel else 1)
        pair = (int(graph.edge_service[edge]), pod)
        if edge < graph.entries or edge >= graph.roots:
            before = asking.get(pair, 0.0)
            asking[pair] = before + many if call.group else max(before, many)
    put = object.__setattr__
    put(made, "asker", np.array([service for service, _ in asking], np.int64))
    put(made, "asked", np.array([pod for _, pod in asking], np.int64))
    put(made, "asking", np.array(list(asking.values()), np.float64))
    put(made, "flow_edge", np.array([edge for edge, _ in weights], np.int64))
    put(made, "flow_pod", np.array([pod for _, pod in weights], np.int64))
    put(made, "flow_weight", np.array(list(weights.values()), np.float64))
    put(made, "sources", np.maximum(sources, 1.0))


def _stations(made: Topology, graph: Graph) -> None:
    services, edges = graph.app.services, len(graph.edge_call)
    cpus, workers, bound = [], [], []
    for pod in made.pods:
        known = services[pod.service] if pod.service < len(services) else None
        whole = int(-(-max(pod.cores, 1e-3) // 1))
        cpus.append(min(whole, known.threads) if known and known.threads else whole)
        workers.append(known.workers if known else 0)
        bound.append(float(known.queue if known else 1_000_000))
    pools = [
        (number, edge)
        for number, pod in enumerate(made.pods)
        for edge in np.flatnonzero(graph.edge_pool)
        if graph.edge_source[edge] >= 0 and graph.op_service[graph.edge_source[edge]] == pod.service
    ]
    count = len(made.pods)
    station = np.full(count * edges, -1, np.int64)
    for number, (pod_index, edge) in enumerate(pools):
        station[pod_index * edges + edge] = 2 * count + number
    sizes = [*cpus, *workers, *(int(graph.edge_pool[edge]) for _, edge in pools)]
    put = object.__setattr__
    put(made, "servers", np.maximum(np.array(sizes, np.float64), 1.0))
    put(made, "erlang", erlang_rows(tuple(sizes)))
    put(made, "speed", np.minimum(made.cores / np.maximum(np.array(cpus, np.float64), 1.0), 1.0))
    put(made, "active", np.array(sizes) > 0)
    put(made, "bound", np.array([*bound, *bound, *([1e6] * len(pools))], np.float64))
    put(made, "pool_pod", np.array([pod for pod, _ in pools], np.int64))
    put(made, "pool_edge", np.array([edge for _, edge in pools], np.int64))
    put(made, "pool_station", station)
