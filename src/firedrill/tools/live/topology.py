"""The tool ``topology``: who calls, owns, selects, mounts and targets whom, by objects and traces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources as files
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import Field

from firedrill.core.topology import EDGE_TYPES, Edge
from firedrill.snapshot.relations import KubeObject, Relations, entity_id, reduce
from firedrill.tools.base import Answer, Paged, Texts
from firedrill.tools.errors import Mistake
from firedrill.tools.live.base import LiveTool
from firedrill.tools.resolve import Resolver, split_id
from firedrill.tools.status import status_of
from firedrill.tools.times import spell
from firedrill.tools.topology import shortest_paths, walk

if TYPE_CHECKING:
    from firedrill.tools.live.desk import Desk
    from firedrill.tools.live.discovery import Resource

_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
_AGE_MS = 10 * 60_000


class TopologyParams(Paged):
    """Parameters of ``topology``."""

    entity: str | None = Field(
        None,
        max_length=300,
        description="Where to start: namespace/Kind/name, Kind/name or a name. Without it: all workloads and"
        " services, with their state.",
    )
    to: str | None = Field(
        None, max_length=300, description="Only the shortest ways from entity to this one."
    )
    direction: Literal["both", "downstream", "upstream"] = Field(
        "both", description="downstream: what it owns, selects, mounts, calls; upstream: what does so to it."
    )
    depth: int = Field(1, ge=1, le=10, description="How many steps to follow.")
    types: Texts = Field(
        (), description="Only edges of these types: owns, selects, mounts, calls, targets, runs_on, contains."
    )
    namespace: str | None = Field(
        None, max_length=253, description="Which namespace to draw; by default the application's."
    )
    kinds: Texts = Field((), description="Further resources to look at, as in networkchaos.chaos-mesh.org.")
    fresh: bool = Field(False, description="Draw it anew, even if it was drawn in the last ten minutes.")


@cache
def _resources() -> tuple[str, ...]:
    text = files.files("firedrill.tools.live").joinpath("data/topology.yaml").read_text("utf-8")
    return tuple(yaml.safe_load(text)["resources"])


@dataclass
class Graph:
    """What is joined to what in a namespace."""

    ids: frozenset[str]
    status: Mapping[str, str]
    edges: tuple[Edge, ...]
    edges_from: Mapping[str, Sequence[Edge]] = field(init=False)
    edges_to: Mapping[str, Sequence[Edge]] = field(init=False)

    def __post_init__(self) -> None:
        outward: dict[str, list[Edge]] = defaultdict(list)
        inward: dict[str, list[Edge]] = defaultdict(list)
        for edge in self.edges:
            outward[edge.source].append(edge)
            inward[edge.target].append(edge)
        self.edges_from, self.edges_to = dict(outward), dict(inward)


def draw(bodies: Iterable[tuple[str, Mapping[str, Any]]], calls: Iterable[tuple[str, str]]) -> Graph:
    """The graph of objects, given with their kinds, and of calls between services by name."""
    objects: list[KubeObject] = []
    status: dict[str, str] = {}
    for kind, body in bodies:
        meta = body.get("metadata", {})
        entity = entity_id(kind, meta.get("namespace"), meta.get("name"))
        if entity is None:
            continue
        objects.append(reduce(entity, body))
        words, well = status_of(kind, body)
        status[str(entity)] = words if well else f"NOT WELL: {words}"
    edges = set(Relations(objects).edges())
    named: dict[str, list[str]] = defaultdict(list)
    for item in objects:
        if item.id.kind == "Service" or item.id.kind in _WORKLOADS:
            named[item.id.name].append(str(item.id))
    for caller, callee in calls:
        source, target = _called(caller, named), _called(callee, named)
        if source and target and source != target:
            edges.add(Edge(source, target, "calls"))
    ordered = tuple(sorted(edges))
    ids = frozenset(status) | {end for edge in ordered for end in (edge.source, edge.target)}
    return Graph(ids, status, ordered)


def _called(name: str, named: Mapping[str, Sequence[str]]) -> str | None:
    """The entity of a service's name in traces: the Service, else the workload."""
    found = named.get(name) or named.get(name.partition(".")[0]) or ()
    return min(found, key=lambda entity: (split_id(entity).kind != "Service", entity), default=None)


async def ask_topology(desk: Desk, params: TopologyParams) -> Answer:
    """Answer from the graph of a namespace.

    Raises:
        Mistake: there is no such entity, namespace or type of edge.
    """
    strange = [name for name in params.types if name not in EDGE_TYPES]
    if strange:
        raise Mistake(f"no edges of type {', '.join(strange)}; types: {', '.join(EDGE_TYPES)}")
    graph, notes = await _graph(desk, params)
    if params.entity is None:
        if params.to is not None:
            raise Mistake("a path needs entity as well as to")
        return _overview(graph, notes)
    resolver = Resolver(graph.ids)
    start = resolver.find(params.entity)
    if start.others:
        notes.append(f"{params.entity} also fits {', '.join(start.others[:6])}")
    # without a word about it, membership of a namespace is left out: it joins everything to everything
    wanted = frozenset(params.types) or frozenset(EDGE_TYPES) - {"contains"}
    if params.to is not None:
        ways = shortest_paths(graph, start.id, resolver.find(params.to).id, wanted)
        found = [
            (number, step, edge.source, edge.type, edge.target)
            for number, way in enumerate(ways, 1)
            for step, edge in enumerate(way, 1)
        ]
        notes.append("a way may follow an edge against its direction" if found else "nothing joins the two")
        return Answer(("way", "step", "source", "edge", "target"), found, tuple(notes), width=300)
    rows: list[tuple[object, ...]] = []
    for side in ("downstream", "upstream"):
        if params.direction in ("both", side):
            for hop, edge in walk(graph, start.id, side, wanted, params.depth):
                far = edge.target if side == "downstream" else edge.source
                rows.append((side, hop, edge.source, edge.type, edge.target, graph.status.get(far)))
    if start.id not in graph.status:
        notes.append(f"{start.id} is only referred to: it was not looked at, or does not exist")
    return Answer(("direction", "step", "source", "edge", "target", "status"), rows, tuple(notes), width=300)


def _overview(graph: Graph, notes: Sequence[str]) -> Answer:
    kinds = (*_WORKLOADS, "Service", "Job", "CronJob")
    rows = []
    for entity in sorted(graph.status):
        if split_id(entity).kind in kinds:
            calls = [edge.target.rpartition("/")[2] for edge in graph.edges_from.get(entity, ())
                     if edge.type == "calls"]  # fmt: skip
            rows.append((entity, graph.status[entity], " ".join(calls)))
    return Answer(("entity", "status", "calls"), rows, tuple(notes), width=300)


async def _graph(desk: Desk, params: TopologyParams) -> tuple[Graph, list[str]]:
    namespace = params.namespace or desk.site.namespace
    name = f"graph {namespace} {' '.join(sorted(params.kinds))}"
    known: tuple[int, Graph] | None = None if params.fresh else await desk.known(name, _AGE_MS)
    now = await desk.site.now()
    if known is not None:
        from firedrill.tools.live.desk import from_ms

        return known[1], [f"drawn {spell(from_ms(now) - from_ms(known[0]))} ago; fresh=true draws it anew"]
    resources = await desk.resources()
    wanted: dict[str, Resource] = {}
    for word in (*_resources(), *params.kinds):
        try:
            resource = resources.find(word)
        except Mistake:
            if word in params.kinds:
                raise
            continue
        if "list" in resource.verbs:
            wanted.setdefault(resource.name, resource)
    bodies: list[tuple[str, Mapping[str, Any]]] = []
    notes = []
    for resource in wanted.values():
        try:
            told = await desk.ask("kubernetes", resource.path(namespace))
        except Mistake as error:
            notes.append(f"{resource.name} could not be looked at: {error}")
            continue
        bodies += [(resource.kind, item) for item in told.get("items", ())]
    if not bodies:
        raise Mistake(f"there is nothing in the namespace {namespace!r}; `kubectl get namespaces` lists all")
    try:
        told = await desk.ask("jaeger", "/api/dependencies", lookback="3600000")
        calls = [(str(item["parent"]), str(item["child"])) for item in told.get("data") or ()]
    except Mistake as error:
        calls = []
        notes.append(f"without calls: {error}")
    if not calls and not notes:
        notes.append("without calls: no spans were written in the last hour")
    graph = draw(bodies, calls)
    await desk.learn(name, (await desk.site.now(), graph))
    return graph, notes


TOPOLOGY = LiveTool(
    "topology",
    "What is joined to what in a namespace now: owners, selectors, mounts, calls, targets, nodes, with the"
    " state of each. Drawing it looks at some twenty resources, so it takes about a minute of the"
    " incident's time; it is kept for ten.",
    TopologyParams,
    ask_topology,
)
