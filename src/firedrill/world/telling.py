"""What the traffic of a world tells: its requests as logs and traces read them.

The traffic knows neither logs nor traces, and these know no traffic: here they meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from firedrill.world.app.graph import Graph
from firedrill.world.app.rows import KINDS
from firedrill.world.app.traffic import TICK_MS, Traffic, rows_of
from firedrill.world.kube.kubelet import history, lines
from firedrill.world.telemetry.traces import Call, Names, Operation, Pod, Service, Tick

if TYPE_CHECKING:
    from firedrill.world.world import World


class AppRequests:
    """The requests of a world's traffic.

    Args:
        world: whose; it is only read.
        graph: of its application.
    """

    def __init__(self, world: World, graph: Graph) -> None:
        self._world = world
        self._part = world.cluster.part(Traffic)
        self.names = names_of(graph)
        self.seed = world.rng.integer(0, (1 << 63) - 1, "telling")

    @property
    def until(self) -> int:
        """See `Requests`."""
        count = len(self._part.history)
        if not count:
            return 0
        last = next(self._part.history.after(count - 1)).inputs
        return int(last.moment + last.length)

    def ticks(self, start: int, end: int) -> range:
        """See `Requests`."""
        count = len(self._part.history)
        if not count:
            return range(0)
        begin = next(iter(self._part.history)).inputs.moment
        first = max((start - begin) // TICK_MS, 0)
        last = min(-((begin - end) // TICK_MS), count)
        return range(min(first, count), max(last, 0))

    def tick(self, number: int) -> Tick:
        """See `Requests`."""
        record = next(self._part.history.after(number))
        pods = tuple(
            Pod(pod.service, pod.namespace, pod.name, pod.uid, pod.node, pod.container, pod.attempt)
            for pod in record.inputs.topology.pods
        )
        return Tick(number, record.inputs.moment, record.inputs.length, rows_of(self._world, number), pods)


def requests_of(world: World) -> AppRequests | None:
    """The requests of a world; None where no application is used by anybody."""
    graph = world.cluster.part(Traffic).graph
    return AppRequests(world, graph) if graph is not None else None


@lru_cache(maxsize=16)
def names_of(graph: Graph) -> Names:
    """What the numbers of an application's requests mean."""
    app = graph.app
    services = [
        Service(
            name=item.name,
            namespace=app.namespace,
            workload=item.workload[1],
            language=item.language,
            framework=item.framework,
            port=item.port,
            database=item.database,
        )
        for item in app.services
    ]
    loader = app.load.workload[1]
    services.append(Service(loader, app.namespace, loader, "python", "locust"))
    operations = tuple(
        Operation(number, op.name, op.title, op.error, op.logs)
        for number, item in enumerate(app.services)
        for op in item.operations
    )
    calls = tuple(_call(graph, number) for number in range(len(graph.edge_call)))
    return Names(app.name, tuple(services), operations, calls, KINDS)


def _call(graph: Graph, number: int) -> Call:
    call = graph.edge_call[number]
    consumer = graph.entries <= number < graph.roots
    queue = call.publishes
    if consumer:
        queue = graph.app.queues[int(graph.consumer_queue[number - graph.entries])].name
    target = int(graph.edge_target[number])
    host = call.host.rpartition(":")[0]
    source = int(graph.edge_source[number])
    return Call(target, call.protocol, host, queue, call.timeout_ms, consumer, source)


def _speak(world: World, record: history.Record, start: int, end: int) -> Sequence[lines.Line]:
    """The lines of a container about its requests; see `lines.Speaker`."""
    scratch = history.runs(world).scratch
    made = scratch.get("requests")
    if made is None:
        requests = requests_of(world)
        if requests is None:
            return ()
        from firedrill.world.telemetry.logs.requests import RequestLines

        made = scratch["requests"] = RequestLines(requests)
    out: Sequence[lines.Line] = made.lines(record.uid, record.container, record.run.attempt, start, end)
    return out


def _murmur(_: World, record: history.Record, start: int, end: int) -> Sequence[lines.Line]:
    """What a program writes by itself; see `lines.Speaker`."""
    from firedrill.world.telemetry.logs.background import background

    run = record.run
    return background(run.plan.style, f"{record.uid}/{record.container}", run.started * lines.MS, start, end)


def listen() -> None:
    """Let whoever reads logs in this process see what programs write about requests and by themselves."""
    lines.on_lines("requests", _speak)
    lines.on_lines("background", _murmur)
