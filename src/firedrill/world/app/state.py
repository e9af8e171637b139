"""What the traffic remembers from tick to tick, and what acts on it. Arrays are replaced, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firedrill.world.app.graph import Graph
from firedrill.world.app.rules import Rule, Thrown
from firedrill.world.app.topology import Topology

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Queues and averages. `by pod` follows the order of a topology's pods.

    Attributes:
        backlog: requests that wait, by station.
        holding: how long a request holds a worker, in µs, by pod.
        served: share of what comes that is worked on, by pod.
        warmth: of caches, 0 to 1, by pod.
        leaked: bytes, by pod.
        attempts: attempts of each call, by edge; 1 where nothing is tried again.
        made: share of calls that are made, by edge: those after a failure are not.
        good: share of calls that succeeded, by edge.
        lasting: how long a call holds a connection, in µs, by edge.
        lag: messages that wait, by consumer.
        waiting: how long a request that comes at the end of the tick waits, in µs, by pod.
        response: how long users wait for an answer, in µs.
        cpu, throttled, in_flight, memory: of the last tick, by pod: ms of processor per second, share of
            the scheduler's periods in which the limit was reached, requests, bytes.
    """

    backlog: Floats
    holding: Floats
    served: Floats
    warmth: Floats
    leaked: Floats
    attempts: Floats
    made: Floats
    good: Floats
    lasting: Floats
    lag: Floats
    waiting: Floats
    response: float
    cpu: Floats
    throttled: Floats
    in_flight: Floats
    memory: Floats

    def digest(self) -> str:
        """A digest of all of it."""
        made = blake2b(digest_size=16)
        for item in fields(self):
            value = getattr(self, item.name)
            made.update(np.asarray(value, np.float64).tobytes())
        return made.hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class Effects:
    """What faults, flags and neighbours do, as arrays. Zeros (or ones for factors) where nothing happens.

    Attributes:
        pod_delay, pod_loss: of packets from and to the pod: ms, share.
        node_delay, node_loss: of packets from and to other nodes, by node.
        pod_steal: share of its processors that something else uses.
        pod_io: ms of delay of each disk operation.
        pod_frozen: it takes connections and never answers.
        pod_abort: share of requests that are answered by an error before the program sees them.
        pod_error: share of requests that the program of the pod fails.
        pod_ballast, pod_leak: bytes; bytes per second.
        op_error: share that fails, on top of the graph's.
        op_work: factor of work.
        op_io: ms of waiting, on top.
        cold: caches that do not work, by service.
        edge_code: outcome of each call that is not even tried; 0 where it is.
        messages: factor of the messages that a call puts into a queue, by edge.
        load: factor of the load.
        flood: further requests with each one that users make, by entry; empty for none.
        rules: what acts on some calls only.
        thrown: what programs say of failures of their own, where that is known.
        silent: by pod: it takes no messages out of queues; None where all do.
        skew: ms by which clocks are ahead, by pod.
    """

    pod_delay: Floats
    pod_loss: Floats
    node_delay: Floats
    node_loss: Floats
    pod_steal: Floats
    pod_io: Floats
    pod_frozen: NDArray[np.bool_]
    pod_abort: Floats
    pod_error: Floats
    pod_ballast: Floats
    pod_leak: Floats
    op_error: Floats
    op_work: Floats
    op_io: Floats
    cold: Floats
    edge_code: NDArray[np.int64]
    messages: Floats
    load: float = 1.0
    flood: tuple[float, ...] = ()
    rules: tuple[Rule, ...] = ()
    thrown: tuple[Thrown, ...] = ()
    silent: NDArray[np.bool_] | None = None
    skew: Mapping[int, int] = field(default_factory=dict)


def no_effects(graph: Graph, topology: Topology) -> Effects:
    """Nothing acts on anything."""
    pods, ops, edges = len(topology.pods), len(graph.op_cpu), len(graph.edge_call)
    zero, none = np.zeros(pods), np.zeros(ops)
    near = np.zeros(len(topology.node_cores))
    return Effects(
        pod_delay=zero,
        pod_loss=zero,
        node_delay=near,
        node_loss=near,
        pod_steal=zero,
        pod_io=zero,
        pod_frozen=np.zeros(pods, np.bool_),
        pod_abort=zero,
        pod_error=zero,
        pod_ballast=zero,
        pod_leak=zero,
        op_error=none,
        op_work=np.ones(ops),
        op_io=none,
        cold=np.zeros(len(graph.app.services) + 1),
        edge_code=np.zeros(edges, np.int64),
        messages=np.ones(edges),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """All that a tick depends on besides the state before it.

    Attributes:
        topology, effects: of the cluster at the tick's start.
        moment: the tick's start, in ms since the Unix epoch.
        length: of the tick, in ms.
    """

    topology: Topology
    effects: Effects
    moment: int
    length: int = 5000


def entry_shares(graph: Graph, effects: Effects) -> Floats:
    """The cumulative shares of the kinds of requests that users make."""
    if not any(effects.flood):
        return graph.entry_share
    share = np.diff(graph.entry_share, prepend=0.0) + np.array(effects.flood)
    whole: Floats = np.cumsum(share)
    whole /= whole[-1]
    return whole


def hits(graph: Graph, state: State) -> Floats:
    """The share of calls that a warm cache saves, by edge: none where the cache does not answer."""
    if (graph.edge_cache < 0).all():
        return graph.edge_hit
    answers: Floats = np.where(graph.edge_cache < 0, 1.0, state.good[graph.edge_cache])
    return graph.edge_hit * answers


def first_state(graph: Graph, topology: Topology) -> State:
    """Before the first request."""
    pods, edges = len(topology.pods), len(graph.edge_call)
    zero, one = np.zeros(pods), np.ones(edges)
    return State(
        backlog=np.zeros(len(topology.servers)),
        holding=zero,
        served=np.ones(pods),
        warmth=zero,
        leaked=zero,
        attempts=one,
        made=one,
        good=one,
        lasting=np.zeros(edges),
        lag=np.zeros(graph.roots - graph.entries),
        waiting=zero,
        response=0.0,
        cpu=zero,
        throttled=zero,
        in_flight=zero,
        memory=topology.base,
    )


def carried(graph: Graph, state: State, before: Topology, after: Topology) -> State:
    """The state for other pods: what stayed keeps its queues, what was started begins anew."""
    old = {pod.key: number for number, pod in enumerate(before.pods)}
    place = np.array([old.get(pod.key, -1) for pod in after.pods], np.int64)
    fresh = first_state(graph, after)
    kept = place >= 0

    def moved(was: Floats, new: Floats) -> Floats:
        return np.where(kept, was[place] if len(was) else new, new)

    pods, gone = len(after.pods), len(before.pods)
    backlog = np.zeros(len(after.servers))
    backlog[:pods] = moved(state.backlog[:gone], fresh.backlog[:pods])
    backlog[pods : 2 * pods] = moved(state.backlog[gone : 2 * gone], fresh.backlog[:pods])
    by_pod = ("holding", "served", "warmth", "leaked", "waiting", "cpu", "throttled", "in_flight", "memory")
    changed: dict[str, Any] = {name: moved(getattr(state, name), getattr(fresh, name)) for name in by_pod}
    return replace(state, backlog=backlog, **changed)
