"""The traffic of a world: a tick every five seconds, what it does to the cluster, and what can be read of it.

`start` begins it. Each tick looks at what the cluster has become (`cluster`), lets the requests of the last
five seconds happen (`solve`), tells kubelets what they weigh (`kubelet.set_load`), and calls whoever asked
for it (`call_after_ticks`). Only what each tick began with is kept, and the states of the last hour and of
every minute before: the requests of any tick are made again, the same ones, when they are read (`rows_of`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

from firedrill.world.app import cluster
from firedrill.world.app.graph import Graph, compile_graph
from firedrill.world.app.model import Application
from firedrill.world.app.rows import Rows
from firedrill.world.app.samples import Sample, make_sample
from firedrill.world.app.solve import solve
from firedrill.world.app.state import Effects, Inputs, State, carried, first_state
from firedrill.world.app.topology import Topology
from firedrill.world.kube.cluster import Log
from firedrill.world.kube.kubelet import set_load
from firedrill.world.kube.programs.model import Load
from firedrill.world.sim.handlers import find_handler, handler

if TYPE_CHECKING:
    from firedrill.world.app.routes import Running
    from firedrill.world.telemetry.traces.requests import Names
    from firedrill.world.world import World

TICK_MS = 5000
_METRICS = 3
"""Ticks between the moments at which usage is told: metrics are read every 15 s."""
_FELT_MS = 200
_NOTICED_MS = 1500
"""Until nobody is sent any more to a pod that has died."""
_SPARSE = 12
"""Each so many ticks the state is kept for good."""
_RECENT = 720
"""States of so many ticks are kept for a while."""
_EARLY = 4
"""Priority of ticks: before what else happens at the same moment."""


class Record(NamedTuple):
    """What a tick began with.

    Attributes:
        number: of the tick, from 0.
        state: before it, where it was kept for good.
        inputs: what the cluster was like.
    """

    number: int
    state: State | None
    inputs: Inputs


class _Known(NamedTuple):
    """What the last look at the cluster gave, and what it depends on."""

    mark: cluster.Mark
    version: int
    topology: Topology
    effects: Effects
    acting: cluster.Acting
    cut: bool
    pods: tuple[Running, ...]


class Traffic:
    """The traffic as a part of a cluster's state; idle until `start`.

    Attributes:
        graph: of the application; None while there is no traffic.
        after: the state after the last tick.
        history: a `Record` for each tick.
        followers: names of handlers that are called after each tick.
        names: what numbers in rows mean to readers of logs and traces, once somebody has asked.
    """

    __slots__ = (
        "_known",
        "_last",
        "_later",
        "_placed",
        "_recent",
        "_seen",
        "after",
        "followers",
        "graph",
        "history",
        "names",
    )

    def __init__(self) -> None:
        self.graph: Graph | None = None
        self.after: State | None = None
        self.history = Log()
        self.followers: tuple[str, ...] = ()
        self.names: Names | None = None
        self._known: _Known | None = None
        self._placed: tuple[int, cluster.Placed] | None = None
        self._seen: cluster.Seen | None = None
        self._last: tuple[int, Rows] | None = None
        self._recent: dict[int, State] = {}
        self._later: tuple[int, State] | None = None

    def fork(self) -> Self:
        """An independent copy: all that it holds is replaced, never changed."""
        twin = type(self)()
        twin.graph, twin.after, twin.followers = self.graph, self.after, self.followers
        twin.history = self.history.fork()
        twin.names = self.names
        twin._known, twin._placed, twin._last = self._known, self._placed, self._last
        twin._seen = self._seen
        twin._recent, twin._later = self._recent.copy(), self._later
        return twin

    def state(self) -> object:
        """All of it as plain data."""
        if self.graph is None or self.after is None:
            return []
        return [self.graph.app.name, len(self.history), self.after.digest(), list(self.followers)]


def start(world: World, application: Application) -> None:
    """Let an application's users come, from the next full five seconds on.

    Raises:
        InputError: the graph is wrong.
        ValueError: there is traffic already.
    """
    part = world.cluster.part(Traffic)
    if part.graph is not None:
        raise ValueError("there is traffic already")
    part.graph = compile_graph(application)
    world.schedule(TICK_MS - world.now % TICK_MS, "traffic.tick", priority=_EARLY)


def call_after_ticks(world: World, name: str) -> None:
    """Let the handler of that name be called as `handler(world)` after each tick; `sample` then tells of it.

    Raises:
        LookupError: there is no such handler.
    """
    find_handler(name)
    part = world.cluster.part(Traffic)
    if name not in part.followers:
        part.followers = (*part.followers, name)


def sample(world: World, number: int = -1) -> Sample:
    """What a tick amounts to.

    Args:
        world: where.
        number: of the tick; negative ones count from the last.

    Raises:
        LookupError: there was no such tick.
    """
    part = world.cluster.part(Traffic)
    record = _record(part, number)
    assert part.graph is not None
    if part._last is not None and part._last[0] == record.number and part.after is not None:
        rows, after = part._last[1], part.after
    else:  # what the next tick began with may be about other pods
        rows, after = _again(part, part.graph, record, _seed(world))
    return make_sample(part.graph, record.inputs, record.number, rows, after)


def rows_of(world: World, number: int = -1) -> Rows:
    """The requests of a tick, one row for each attempt of each call; see `sample`."""
    part = world.cluster.part(Traffic)
    record = _record(part, number)
    if part._last is not None and part._last[0] == record.number:
        return part._last[1]
    assert part.graph is not None
    return _again(part, part.graph, record, _seed(world))[0]


def record_of(world: World, number: int) -> Record:
    """What a tick began with; see `sample`."""
    return _record(world.cluster.part(Traffic), number)


def placed(world: World) -> cluster.Placed:
    """All pods of the application at the last tick, whether or not they run."""
    part = world.cluster.part(Traffic)
    return part._placed[1] if part._placed is not None else ()


def _record(part: Traffic, number: int) -> Record:
    count = len(part.history)
    place = number if number >= 0 else count + number
    if not 0 <= place < count:
        raise LookupError(f"there was no tick {number}")
    found: Record = next(part.history.after(place))
    return found


def _again(part: Traffic, graph: Graph, record: Record, seed: int) -> tuple[Rows, State]:
    """The requests of a tick and the state after it, made once more."""
    state = _before(part, graph, record, seed)
    rows, after = solve(graph, state, record.inputs, seed, record.number)
    _follow(part, graph, record, after)
    return rows, after


def _before(part: Traffic, graph: Graph, record: Record, seed: int) -> State:
    """The state that a tick began with: kept, or made again from the last one before that was."""
    number = record.number
    while True:
        found = part._recent.get(number) or _record(part, number).state
        if found is None and part._later is not None and part._later[0] == number:
            found = part._later[1]
        if found is not None:
            break
        number -= 1
    while number < record.number:
        here = _record(part, number)
        found = _follow(part, graph, here, solve(graph, found, here.inputs, seed, number)[1])
        number += 1
    return found


def _follow(part: Traffic, graph: Graph, record: Record, after: State) -> State:
    """What the next tick begins with, kept for whoever reads on."""
    if record.number + 1 < len(part.history):
        topology = _record(part, record.number + 1).inputs.topology
        if topology is not record.inputs.topology:
            after = carried(graph, after, record.inputs.topology, topology)
        part._later = (record.number + 1, after)
    return after


def _seed(world: World) -> int:
    return world.rng.integer(0, (1 << 63) - 1, "traffic")


@handler("traffic.tick")
def _tick(world: World) -> None:
    part = world.cluster.part(Traffic)
    graph = part.graph
    if graph is None:
        return
    version = world.cluster.store.rv
    if part._placed is None or part._placed[0] != version:
        part._placed = (version, cluster.placed_pods(world, graph))
    part._seen = cluster.see_pods(world, part._placed[1], part._seen)
    pods = part._seen.pods
    known, state = _look(world, part, graph, pods)
    moment, number = world.now - TICK_MS, len(part.history)
    inputs = Inputs(known.topology, known.effects, moment, TICK_MS)
    record = Record(number, None if number % _SPARSE else state, inputs)
    rows, part.after = solve(graph, state, inputs, _seed(world), number)
    part.history.append(record)
    part._recent[number] = state
    part._recent.pop(number - _RECENT, None)
    part._last = (record.number, rows)
    _weigh(world, graph, part.after, record, pods)
    world.schedule(TICK_MS - world.now % TICK_MS, "traffic.tick", priority=_EARLY)
    for name in part.followers:
        find_handler(name)(world)


def _look(world: World, part: Traffic, graph: Graph, pods: tuple[Running, ...]) -> tuple[_Known, State]:
    """What the cluster is like, looked at anew where something has changed, and the state that fits it."""
    known, state = part._known, part.after
    same = known if known is not None and known.pods is pods else None
    mark = cluster.mark(world, pods, same.mark.programs if same is not None else None)
    acting = cluster.acting(world, graph, pods, same.acting if same is not None else None)
    version = world.cluster.store.rv
    cut: dict[int, float] = {}
    if known is None or state is None:
        topology = cluster.read_topology(world, graph, pods)
        state = first_state(graph, topology)
    elif mark != known.mark or known.cut or cluster.network_changed(world, known.version):
        died = cluster.just_died(world, known.mark, mark)
        cut = {service: share * _NOTICED_MS / TICK_MS for service, share in sorted(died.items())}
        topology = cluster.read_topology(world, graph, pods, cut)
        state = carried(graph, state, known.topology, topology)
    else:
        topology = known.topology
    if known is None or topology is not known.topology or acting != known.acting:
        effects = cluster.read_effects(world, graph, topology, pods)
    else:
        effects = known.effects
    part._known = _Known(mark, version, topology, effects, acting, bool(cut), pods)
    return part._known, state


def _weigh(world: World, graph: Graph, state: State, record: Record, pods: tuple[Running, ...]) -> None:
    """Tell the kubelets what the requests make each pod use: at once where it hurts, else now and then."""
    told = (world.now // TICK_MS) % _METRICS == 0
    if not told and not _hurts(state, record, pods):
        return
    steal = record.inputs.effects.pod_steal.tolist()
    waiting, memories, cpus = state.waiting.tolist(), state.memory.tolist(), state.cpu.tolist()
    for number, info in enumerate(record.inputs.topology.pods):
        found = pods[number].container
        if found.run is None or pods[number].service >= len(graph.app.services):
            continue
        latency = int(waiting[number]) // 1000
        memory = int(memories[number]) - found.run.plan.memory
        full = bool(info.limit) and memories[number] > info.limit
        if not (told or full or latency > _FELT_MS or found.load.latency > _FELT_MS):
            continue
        taken = max(steal[number] * info.cores * 1000.0 - found.health.cpu, 0.0)
        cpu = int(cpus[number] + taken)
        set_load(world, info.uid, info.container, Load(cpu, memory, latency))


def _hurts(state: State, record: Record, pods: tuple[Running, ...]) -> bool:
    """Whether a pod has become slow, has just ceased to be so, or has outgrown its memory."""
    if state.waiting.max(initial=0.0) >= (_FELT_MS + 1) * 1000:
        return True
    if any(pod.container.load.latency > _FELT_MS for pod in pods):
        return True
    memories = zip(record.inputs.topology.pods, state.memory.tolist(), strict=True)
    return any(memory > info.limit > 0 for info, memory in memories)


__all__ = [
    "TICK_MS",
    "Record",
    "Traffic",
    "call_after_ticks",
    "placed",
    "record_of",
    "rows_of",
    "sample",
    "start",
]
