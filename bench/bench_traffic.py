"""Traffic: its cost, and its latency against an exact simulation of every request of the same graph.

Run alone: `python bench/bench_traffic.py` (about two minutes; `--quick` for one application and less load).
The exact simulation keeps a heap of events: each request queues at its pod's processors in order of arrival,
works for a drawn time, makes its calls and returns. It shares the graph and the tables of work with the model
and nothing of its queueing theory.
"""

from __future__ import annotations

import heapq
import resource
import sys
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter, process_time

import numpy as np
from numpy.typing import NDArray

from firedrill.world.app import application_names, load_package, traffic
from firedrill.world.app.graph import Graph, compile_graph
from firedrill.world.app.ideal import ideal_topology
from firedrill.world.app.solve import solve
from firedrill.world.app.state import Inputs, first_state, no_effects
from firedrill.world.app.tables import draw
from firedrill.world.app.topology import Topology
from firedrill.world.build import make_world
from table import show

HOUR = 3_600_000
PERIOD = 100_000.0
"""µs of the kernel's scheduler, in each of which a pod with a CPU limit gets its quota."""
NETWORK = (150.0, 90.0)
"""µs there and back: least, and mean of the rest; as the model has it."""


class Exact:
    """Every request by itself: pods are queues with so many servers."""

    def __init__(self, graph: Graph, topology: Topology, seed: int) -> None:
        self.graph, self.topology = graph, topology
        self.rng = np.random.default_rng(seed)
        self.heap: list[tuple[float, int, Callable[[float], None]]] = []
        self.count = 0
        self.free = [int(item) for item in topology.servers[: len(topology.pods)]]
        self.waiting: list[list[Callable[[float], None]]] = [[] for _ in topology.pods]
        self.used = [(0, 0.0)] * len(topology.pods)
        self.now = 0.0

    def at(self, when: float, what: Callable[[float], None]) -> None:
        self.count += 1
        heapq.heappush(self.heap, (when, self.count, what))

    def ran(self, pod: int, work: float, moment: float) -> float:
        """When so much work is done that begins now: less than a processor is a quota in each period."""
        cores = float(self.topology.cores[pod])
        if cores >= 1.0:
            return moment + work
        while True:
            period = int(moment // PERIOD)
            used = self.used[pod][1] if self.used[pod][0] == period else 0.0
            now = min(work, cores * PERIOD - used, (period + 1) * PERIOD - moment)
            self.used[pod] = (period, used + now)
            work, moment = work - now, moment + now
            if work <= 1e-9:
                return moment
            moment = (period + 1) * PERIOD

    def run(self, until: float) -> None:
        while self.heap and self.heap[0][0] <= until:
            self.now, _, what = heapq.heappop(self.heap)
            what(self.now)

    def request(self, edge: int, source: int, now: float, done: Callable[[float], None]) -> None:
        """Make one call; `done` is called with the moment of the answer."""
        key = source * len(self.graph.edge_call) + edge
        start, count = int(self.topology.reach.start[key]), int(self.topology.reach.count[key])
        pod = int(self.topology.reach.target[start + int(self.rng.integers(count))])
        op = int(self.graph.edge_target[edge])
        io = float(self.graph.op_io[op]) * 1000.0
        net = NETWORK[0] + self.rng.exponential(NETWORK[1])
        kind = self.graph.op_class[op : op + 1]
        factor = float(draw.work(kind, self.rng.random(1))[0])
        own = factor * float(self.graph.op_cpu[op]) * 1000.0

        def arrive(moment: float) -> None:
            if self.free[pod] > 0:
                self.free[pod] -= 1
                begin(moment)
            else:
                self.waiting[pod].append(begin)

        def begin(moment: float) -> None:
            self.at(self.ran(pod, own, moment), worked)

        def worked(moment: float) -> None:
            if self.waiting[pod]:
                self.waiting[pod].pop(0)(moment)
            else:
                self.free[pod] += 1
            first = int(self.graph.slot_start[op])
            steps: dict[int, list[int]] = {}
            for slot in range(first, first + int(self.graph.slot_count[op])):
                call = int(self.graph.slot_edge[slot])
                chance = self.graph.edge_probability[call] * (1.0 - self.graph.edge_hit[call])
                if self.rng.random() < chance:
                    steps.setdefault(int(self.graph.slot_stage[slot]), []).append(call)
            follow(list(steps.values()), 0, moment + self.rng.exponential(io) if io else moment)

        def follow(steps: list[list[int]], place: int, moment: float) -> None:
            if place == len(steps):
                done(moment + net / 2)
                return
            left = [len(steps[place])]

            def answered(when: float) -> None:
                left[0] -= 1
                if not left[0]:
                    follow(steps, place + 1, when)

            for call in steps[place]:
                self.request(call, pod, moment, answered)

        self.at(now + net / 2, arrive)


def exact_latency(graph: Graph, topology: Topology, rate: float, seconds: float) -> NDArray[np.float64]:
    """Durations of users' requests in ms, in an open loop at that rate, the first tenth left out."""
    made, out = Exact(graph, topology, 5), []
    share = np.diff(graph.entry_share, prepend=0.0)
    moment, end = 0.0, seconds * 1e6
    source = int(topology.load_pods[0])
    while moment < end:
        moment += made.rng.exponential(1e6 / rate)
        made.run(moment)
        edge = int(made.rng.choice(graph.entries, p=share))
        begun = moment

        def answered(when: float, begun: float = begun) -> None:
            if begun > end / 10:
                out.append((when - begun) / 1000.0)

        made.request(edge, source, moment, answered)
    made.run(end * 2)
    return np.array(out)


def model_latency(
    graph: Graph, topology: Topology, seconds: float
) -> tuple[NDArray[np.float64], float, float]:
    """(durations in ms, requests per second, highest utilisation) by the model."""
    state, out, ticks = first_state(graph, topology), [], int(seconds / 5)
    state = replace(state, warmth=np.ones(len(topology.pods)))
    for tick in range(ticks):
        rows, state = solve(graph, state, Inputs(topology, no_effects(graph, topology), tick * 5000), 1, tick)
        if tick > ticks / 10:
            users = (rows.parent < 0) & (rows.edge < graph.entries)
            out.append(np.repeat(rows.duration[users] / 1000.0, rows.weight))
    use = float((state.cpu / (topology.speed * topology.servers[: len(topology.pods)] * 1000.0)).max())
    return np.concatenate(out), sum(map(len, out)) / len(out) / 5, use


def accuracy(name: str, seconds: float) -> None:
    """Latency against utilisation, model and exact."""
    graph = compile_graph(load_package(name).application)
    rows = []
    for users in (60, 120, 180, 350, 700, 950):
        topology = ideal_topology(graph, users=users, cores=0.3 if name == "online-boutique" else 1.0)
        ours, rate, use = model_latency(graph, topology, seconds)
        if use > 0.9:
            break
        true = exact_latency(graph, topology, rate, seconds)
        for share in (50, 95, 99):
            one, other = float(np.percentile(ours, share)), float(np.percentile(true, share))
            target = "exact +-20 %" if share == 95 and use <= 0.8 else "exact"
            what = f"p{share} at {use:.0%} of the busiest pod, {rate:.0f} users' requests/s"
            rows.append((what, f"{target}: {other:.1f} ms", f"{one:.1f} ms ({one / other - 1:+.0%})"))
    show("latency, against every request by itself", rows)


def cost(name: str) -> None:
    """What an hour, a fork and a tick cost."""
    package = load_package(name)
    begun = process_time()
    world = make_world(1, manifests=package.manifests, application=package.application)
    made = process_time() - begun
    begun = process_time()
    world.run_for(HOUR)
    hour = process_time() - begun
    part = world.cluster.part(traffic.Traffic)
    spans = np.mean([len(traffic.rows_of(world, -number)) for number in range(1, 25)]) / 5
    begun = perf_counter()
    for _ in range(50):
        world.fork()
    fork = (perf_counter() - begun) / 50
    begun = process_time()
    for _ in range(24):
        traffic.sample(world)
    sample = (process_time() - begun) / 24
    begun = process_time()
    for number in range(len(part.history) - 240, len(part.history)):
        traffic.rows_of(world, number)
    old = (process_time() - begun) / 240
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows = [
        ("start, settled and warm", "1.5 s", f"{made:.2f} s"),
        (f"virtual hour, {spans:.0f} requests/s", "2 s", f"{hour:.2f} s"),
        ("fork", "5 ms", f"{fork * 1000:.2f} ms"),
        ("sample of a tick", "1 ms", f"{sample * 1000:.2f} ms"),
        ("old tick made again", "2 ms", f"{old * 1000:.2f} ms"),
        ("memory of the process so far", "250 MB", f"{memory:.0f} MB"),
    ]
    show("cost", rows)


def main() -> None:
    """Print all tables."""
    quick = "--quick" in sys.argv
    for name in application_names()[: 1 if quick else None]:
        cost(name)
    for name in application_names()[: 1 if quick else None]:
        accuracy(name, 60 if quick else 240)


if __name__ == "__main__":
    main()
