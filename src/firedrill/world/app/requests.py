"""The requests of a world's traffic as logs and traces want them: see `telemetry.traces.requests`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firedrill.world.app import traffic
from firedrill.world.app.address import parse_address
from firedrill.world.app.graph import Graph
from firedrill.world.app.model import Call as Described
from firedrill.world.app.rows import KINDS
from firedrill.world.kube.objects import Obj, dig
from firedrill.world.kube.programs.reference import parse_reference
from firedrill.world.telemetry.traces.requests import Call, Names, Operation, Pod, Service, Tick

if TYPE_CHECKING:
    from firedrill.world.world import World


class WorldRequests:
    """Reads a world's requests; they are made again at each reading, always the same ones.

    Args:
        world: whose traffic has been started.

    Raises:
        LookupError: it has no traffic.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._part = world.cluster.part(traffic.Traffic)
        if self._part.graph is None:
            raise LookupError("the world has no traffic")
        self._graph = self._part.graph

    @property
    def names(self) -> Names:
        """What numbers mean; the same object for a world and its forks."""
        if self._part.names is None:
            self._part.names = _names(self._world, self._graph)
        return self._part.names

    @property
    def seed(self) -> int:
        """Of ids and of what is drawn for lines and spans."""
        return self._world.rng.integer(0, (1 << 63) - 1, "traffic.telemetry")

    @property
    def until(self) -> int:
        """When the last tick ended, in ms; the world's time where there was none."""
        count = len(self._part.history)
        return self._first() + count * traffic.TICK_MS if count else self._world.now

    def _first(self) -> int:
        return traffic.record_of(self._world, 0).inputs.moment

    def ticks(self, start: int, end: int) -> range:
        """The numbers of the ticks that overlap [start, end), in ms."""
        count = len(self._part.history)
        if not count or end <= start:
            return range(0)
        first = self._first()
        low = max((start - first) // traffic.TICK_MS, 0)
        high = min(-((first - end) // traffic.TICK_MS), count)
        return range(low, max(low, high))

    def tick(self, number: int) -> Tick:
        """One of them.

        Raises:
            LookupError: there was no such tick.
        """
        inputs = traffic.record_of(self._world, number).inputs
        pods = [
            Pod(
                pod.service,
                pod.namespace,
                pod.name,
                pod.uid,
                pod.node,
                pod.container,
                pod.attempt,
                ip=pod.ip,
            )
            for pod in inputs.topology.pods
        ]
        rows, notes = traffic.rows_of(self._world, number), inputs.topology.notes
        effects = inputs.effects
        thrown = {(item.pod, item.op): (item.type, item.message) for item in effects.thrown}
        return Tick(number, inputs.moment, inputs.length, rows, pods, notes, thrown, effects.skew)


def _names(world: World, graph: Graph) -> Names:
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
            version=_version(_container(world, graph, item.workload, item.container)),
        )
        for item in app.services
    ]
    load = app.load
    users = Service(load.workload[1], app.namespace, load.workload[1], load.language, load.framework)
    operations = [
        Operation(number, item.name, item.title, item.error, item.logs)
        for number, service in enumerate(app.services)
        for item in service.operations
    ]
    calls = [_call(world, graph, edge, call) for edge, call in enumerate(graph.edge_call)]
    return Names(app.name, (*services, users), tuple(operations), tuple(calls), KINDS)


def _call(world: World, graph: Graph, edge: int, call: Described) -> Call:
    consumer = graph.entries <= edge < graph.roots
    queue = call.publishes
    if consumer:
        queue = graph.app.queues[int(graph.consumer_queue[edge - graph.entries])].name
    text = call.host
    if call.address:
        maker = int(graph.edge_service[edge])
        own = graph.app.services[maker] if maker < len(graph.app.services) else graph.app.load
        env = _container(world, graph, own.workload, own.container).get("env") or ()
        text = next((str(item.get("value") or "") for item in env if item.get("name") == call.address), "")
    host = parse_address(text, 1).host if text else ""
    return Call(int(graph.edge_target[edge]), call.protocol, host, queue, call.timeout_ms, consumer)


def _container(world: World, graph: Graph, workload: tuple[str, str], name: str) -> Obj:
    found = world.cluster.store.get(workload[0], graph.app.namespace, workload[1])
    items = dig(found, "spec", "template", "spec", "containers", default=())
    return next((item for item in items if item.get("name") == name), {})


def _version(container: Obj) -> str:
    reference = parse_reference(str(container.get("image") or ""))
    return reference.tag if reference is not None else ""
