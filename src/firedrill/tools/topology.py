"""What is joined to what: neighbours, what lies up and down stream, and paths."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, Protocol

from pydantic import Field

from firedrill.core.topology import Edge
from firedrill.tools.base import Answer, Paged, Texts, Tool
from firedrill.tools.case import Case
from firedrill.tools.errors import Mistake
from firedrill.tools.objects import seen_objects

Types = Literal["owns", "selects", "mounts", "calls", "targets", "runs_on", "contains"]
_PATHS = 20
_VISITS = 200_000
_SHARED = frozenset(
    {"Cluster", "ConfigMap", "LimitRange", "Namespace", "NetworkPolicy", "Node", "ResourceQuota", "Secret"}
) | {"ServiceAccount", "StorageClass"}


class TopologyParams(Paged):
    """Parameters of ``topology``."""

    entity: str | None = Field(
        None, max_length=300, description="Where to start; without it, a count of entities and edges by kind."
    )
    to: str | None = Field(
        None, max_length=300, description="Only the shortest paths from entity to this one."
    )
    direction: Literal["both", "downstream", "upstream"] = Field(
        "both", description="downstream: what it owns, selects, mounts, calls; upstream: what does so to it."
    )
    depth: int = Field(1, ge=1, le=10, description="How many steps to follow.")
    types: Texts = Field(
        (), description="Only edges of these types: owns, selects, mounts, calls, targets, runs_on, contains."
    )


def _run(case: Case, params: TopologyParams) -> Answer:
    known = set(Types.__args__)  # type: ignore[attr-defined]  # what a Literal holds
    strange = [name for name in params.types if name not in known]
    if strange:
        raise Mistake(f"no edges of type {', '.join(strange)}; types: {', '.join(sorted(known))}")
    if params.entity is None:
        if params.to is not None:
            raise Mistake("a path needs entity as well as to")
        return _summary(case)
    notes: list[str] = []
    start = case.entity(params.entity, notes)
    # without a word about it, membership of a namespace is left out: it joins everything to everything
    wanted = frozenset(params.types) or frozenset(known - {"contains"})
    if params.to is not None:
        return _paths(case, start, case.entity(params.to, notes), wanted, notes)
    well = {item.entity: item.status for item in seen_objects(case)} if case.has("objects") else {}
    rows: list[tuple[object, ...]] = []
    for side in ("downstream", "upstream"):
        if params.direction in ("both", side):
            for hop, edge in walk(case, start, side, wanted, params.depth):
                far = edge.target if side == "downstream" else edge.source
                rows.append((side, hop, edge.source, edge.type, edge.target, well.get(far)))
    if start not in case.inventory:
        notes.append(f"{start} is only referred to: it was not recorded itself")
    columns = ("direction", "step", "source", "edge", "target", "status")
    return Answer(columns, rows, tuple(notes), width=300)


def _summary(case: Case) -> Answer:
    kinds: dict[tuple[str, str], int] = {}
    for node in case.resolver.ids:
        key = ("entities", node.split("/", 2)[1])
        kinds[key] = kinds.get(key, 0) + 1
    for edge in case.topology.edges:
        kinds["edges", edge.type] = kinds.get(("edges", edge.type), 0) + 1
    rows = [(what, name, count) for (what, name), count in sorted(kinds.items())]
    return Answer(("what", "kind", "count"), rows, ("name an entity to see what is joined to it",))


class Joined(Protocol):
    """What is joined to what, by the id of either end."""

    @property
    def edges_from(self) -> Mapping[str, Sequence[Edge]]:
        """Edges that begin there."""

    @property
    def edges_to(self) -> Mapping[str, Sequence[Edge]]:
        """Edges that end there."""


def walk(
    case: Joined, start: str, side: str, types: frozenset[str], depth: int
) -> Iterator[tuple[int, Edge]]:
    """Edges by breadth, each once, away from ``start`` along or against their direction."""
    seen = {start}
    queue = deque([(start, 0)])
    while queue:
        here, done = queue.popleft()
        if done >= depth:
            continue
        edges = case.edges_from if side == "downstream" else case.edges_to
        for edge in edges.get(here, ()):
            if edge.type not in types:
                continue
            yield done + 1, edge
            far = edge.target if side == "downstream" else edge.source
            if far not in seen:
                seen.add(far)
                queue.append((far, done + 1))


def _paths(case: Case, start: str, end: str, types: frozenset[str], notes: list[str]) -> Answer:
    columns = ("path", "step", "source", "edge", "target")
    rows: list[tuple[object, ...]] = []
    for number, path in enumerate(shortest_paths(case, start, end, types), 1):
        rows += [(number, step, edge.source, edge.type, edge.target) for step, edge in enumerate(path, 1)]
    if not rows:
        notes.append("nothing joins the two" if start != end else "both are the same entity")
    else:
        notes.append("a path may follow an edge against its direction")
    return Answer(columns, rows, tuple(notes))


def shortest_paths(case: Joined, start: str, end: str, types: frozenset[str]) -> Sequence[Sequence[Edge]]:
    """The shortest ways between two entities, edges taken in either direction; at most twenty.

    What many share (nodes, service accounts, configuration, quotas) joins things that have nothing to do with
    one another: ways go through it only when there is no other.
    """
    return _shortest(case, start, end, types, _SHARED) or _shortest(case, start, end, types, frozenset())


def _shortest(
    case: Joined, start: str, end: str, types: frozenset[str], closed: frozenset[str]
) -> Sequence[Sequence[Edge]]:
    before: dict[str, list[tuple[str, Edge]]] = {start: []}
    level = [start]
    while level and end not in before and len(before) < _VISITS:
        found: dict[str, list[tuple[str, Edge]]] = {}
        for here in level:
            for edge in (*case.edges_from.get(here, ()), *case.edges_to.get(here, ())):
                far = edge.target if edge.source == here else edge.source
                passable = far == end or far.split("/", 2)[1] not in closed
                if edge.type in types and passable and far not in before:
                    found.setdefault(far, []).append((here, edge))
        before.update(found)
        level = sorted(found)
    if end not in before or start == end:
        return []
    ways: list[list[Edge]] = []
    stack: list[tuple[str, list[Edge]]] = [(end, [])]
    while stack and len(ways) < _PATHS:
        here, way = stack.pop()
        if here == start:
            ways.append(way[::-1])
            continue
        stack += [(near, [*way, edge]) for near, edge in reversed(before[here])]
    return ways


TOPOLOGY = Tool(
    "topology",
    "What is joined to what: owners, selectors, mounts, calls, targets, nodes. Neighbours of an"
    " entity up and down"
    " stream to any depth, or the shortest paths between two entities.",
    TopologyParams,
    _run,
)
