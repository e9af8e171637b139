"""What the programs of an application tell of themselves: their runtime, their data store, their requests.

Each pod is a target of its own: its series end with it, and what it counts begins anew with its container.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from firedrill.world.kube.kubelet.state import kubelets, node_of
from firedrill.world.kube.objects import dig, name_of, namespace_of, uid_of
from firedrill.world.sim.tables import table
from firedrill.world.telemetry import labels as label_sets
from firedrill.world.telemetry.monitoring import Monitoring
from firedrill.world.telemetry.producers.appstate import AppMetering, Watched
from firedrill.world.telemetry.producers.cells import Floats, Ints, distinct, growth
from firedrill.world.telemetry.producers.machines import offset_of
from firedrill.world.telemetry.traces import failures

if TYPE_CHECKING:
    from firedrill.world.app.cluster import Placed
    from firedrill.world.app.graph import Graph
    from firedrill.world.app.rows import Rows
    from firedrill.world.app.state import State
    from firedrill.world.app.topology import PodInfo, Topology
    from firedrill.world.telemetry.labels import Labels
    from firedrill.world.telemetry.store import SeriesStore
    from firedrill.world.telemetry.traces.requests import Names
    from firedrill.world.world import World

SOURCES = ("one", "cpu", "memory", "requests", "waiting", "served", "good", "failed", "age", "started")
BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_BOUNDS = (np.array(BOUNDS_S) * 1_000_000).astype(np.int64)
_OVER = frozenset({"Succeeded", "Failed"})
_SERVERS = {
    "http": ("http_server_request_duration_seconds", 1.0),
    "grpc": ("rpc_server_duration_milliseconds", 1000.0),
}


class Told(NamedTuple):
    """One series of a program; see `data/programs.yaml`. `source` counts operations behind `SOURCES`."""

    series: Labels
    counter: bool
    source: int
    times: float
    plus: float


@cache
def document() -> Mapping[str, Any]:
    """`data/programs.yaml`."""
    found: Mapping[str, Any] = table("firedrill.world.telemetry.producers", "programs.yaml")
    return found


@lru_cache(maxsize=512)
def told_by(names: Names, service: int) -> tuple[Told, ...]:
    """The series of a program besides those of its requests."""
    known, data = names.services[service], document()
    store = data["databases"].get(known.database)
    entries = store or data["families"][failures.family(known.language)]
    entries = [*entries, *data["frameworks"].get(known.framework, ())] if not store else entries
    common = {"service_name": known.name}
    out = []
    for entry in entries:
        words = {
            key: value.replace("@database@", known.name) for key, value in entry.get("labels", {}).items()
        }
        counter, times, plus = entry["kind"] == "counter", entry.get("times", 1.0), entry.get("plus", 0.0)
        if entry.get("each") != "op":
            made = label_sets.make({**common, **words}, entry["name"])
            out.append(Told(made, counter, SOURCES.index(entry["from"]), times, plus))
            continue
        for number, op in enumerate(names.operations):
            if op.service == service:
                made = label_sets.make({**common, **words, entry["as"]: op.name}, entry["name"])
                out.append(Told(made, counter, len(SOURCES) + number, times, plus))
    return tuple(out)


def names() -> list[str]:
    """The metrics that programs tell of themselves."""
    listed = [entry["name"] for part in document().values() for entries in part.values() for entry in entries]
    return [*listed, *(name for name, _ in _SERVERS.values())]


def describe(store: SeriesStore) -> None:
    """Say what the metrics are."""
    for part in document().values():
        for entry in (one for entries in part.values() for one in entries):
            store.describe(entry["name"], entry["kind"], entry["name"].replace("_", " ").capitalize() + ".")
    for name, _ in _SERVERS.values():
        store.describe(name, "histogram", "Duration of requests that a server answered.")


# --- targets


def update_targets(world: World, names: Names, topology: Topology, placed: Placed) -> None:
    """Find the pods anew, and say which of them answer."""
    part, store = world.cluster.part(AppMetering), world.cluster.part(Monitoring).store
    down = tuple(node.down for node in kubelets(world).nodes.values())
    held: Any = part.scratch.get("targets")
    if held is not None and held[0] is placed and held[1] is topology and held[2] == down:
        return
    part.scratch["targets"] = (placed, topology, down)
    runs = {info.uid: info for info in topology.pods}
    seen = set()
    for service, container, obj in placed:
        uid = uid_of(obj)
        address = dig(obj, "status", "podIP")
        info = runs.get(uid)
        if uid in seen or (info is None and (not address or dig(obj, "status", "phase") in _OVER)):
            continue
        seen.add(uid)
        known = part.pods.get(uid)
        if known is None:
            known = part.pods[uid] = _add(world, store, names, service, container, obj)
        node = node_of(world, str(dig(obj, "spec", "nodeName") or ""))
        store.set_up(known.target, info is not None and node is not None and node.runs("network"), world.now)
        if info is not None and info.attempt != known.attempt:
            _begin_anew(part, store, uid, info.attempt)
    for uid in [uid for uid in part.pods if uid not in seen]:
        store.remove_target(part.pods.pop(uid).target, world.now)
        part.collections.pop(uid, None)
        for key in [key for key in part.requests if key[0] == uid]:
            del part.requests[key]


def _add(world: World, store: SeriesStore, names: Names, service: int, container: str, obj: Any) -> Watched:
    known = names.services[service]
    target = f"{namespace_of(obj)}/{name_of(obj)}"
    labels = {
        "job": f"{names.application}/{known.name}",
        "instance": f"{dig(obj, 'status', 'podIP')}:{known.port or 8080}",
        "namespace": namespace_of(obj),
        "pod": name_of(obj),
        "container": container,
    }
    store.add_target(target, labels, world.now, offset_ms=offset_of(store, target))
    told = told_by(names, service)
    return Watched(target, -1, store.block(target, [one.series for one in told], world.now) if told else -1)


def _begin_anew(part: AppMetering, store: SeriesStore, uid: str, attempt: int) -> None:
    known = part.pods[uid]
    part.pods[uid] = known._replace(attempt=attempt)
    if known.attempt >= 0:
        blocks = [block for key, block in part.requests.items() if key[0] == uid]
        for block in (known.block, part.collections.get(uid, -1), *blocks):
            if block >= 0:
                store.restart(block)


# --- values


class Layout(NamedTuple):
    """Where the series of all programs are: one entry for each.

    Attributes:
        rows: of the store.
        source: of its value, in the table of sources x pods as one line.
        times, plus: what is made of it.
        counters: how many come first that are counters.
    """

    rows: Ints
    source: Ints
    times: Floats
    plus: Floats
    counters: int


def _layout(part: AppMetering, store: SeriesStore, names: Names, topology: Topology) -> Layout:
    pods = len(topology.pods)
    entries: list[tuple[bool, int, int, float, float]] = []
    for number, info in enumerate(topology.pods):
        known = part.pods.get(info.uid)
        if known is None or known.block < 0:
            continue
        first = store.first_row(known.block)
        for place, one in enumerate(told_by(names, info.service)):
            entries.append((not one.counter, first + place, one.source * pods + number, one.times, one.plus))
    entries.sort()
    return Layout(
        np.array([entry[1] for entry in entries], np.int64),
        np.array([entry[2] for entry in entries], np.int64),
        np.array([entry[3] for entry in entries]),
        np.array([entry[4] for entry in entries]),
        sum(not entry[0] for entry in entries),
    )


def update(world: World, names: Names, topology: Topology, rows: Rows, state: State, length: int) -> None:
    """Write what the programs tell after a tick, requests apart."""
    part, store = world.cluster.part(AppMetering), world.cluster.part(Monitoring).store
    held = part.scratch.get("layout")
    if not isinstance(held, tuple) or held[0] is not topology or held[1] != store.stamp(None):
        held = part.scratch["layout"] = (
            topology,
            store.stamp(None),
            _layout(part, store, names, topology),
            _starts(world, topology),
        )
    layout, started = held[2], held[3]
    pods, ops = len(topology.pods), len(names.operations)
    here = np.flatnonzero(rows.arrived)
    key = rows.op[here] * pods + rows.pod[here]
    by_op = np.bincount(key, minlength=ops * pods).reshape(ops, pods) * rows.weight
    bad = here[rows.server_kind[here] != 0]
    failed = np.bincount(rows.pod[bad], minlength=pods) * rows.weight
    served = by_op.sum(axis=0)
    found = np.empty((len(SOURCES) + ops, pods))
    found[0] = 1.0
    found[1] = state.cpu * (length / 1e6)
    found[2], found[3] = state.memory, state.in_flight
    found[4] = state.backlog[:pods] + state.backlog[pods : 2 * pods]
    found[5], found[6], found[7] = served, served - failed, failed
    found[8], found[9] = world.now / 1000 - started, started
    found[len(SOURCES) :] = by_op
    values = found.ravel()[layout.source] * layout.times + layout.plus
    many = layout.counters
    store.add(layout.rows[:many], values[:many])
    store.put(layout.rows[many:], values[many:])


def _starts(world: World, topology: Topology) -> Floats:
    states, out = kubelets(world).pods, []
    for info in topology.pods:
        found = states[info.uid].containers.get(info.container) if info.uid in states else None
        out.append(found.run.started / 1000 if found is not None and found.run is not None else 0.0)
    return np.array(out)


# --- requests


class Statuses(NamedTuple):
    """Statuses of answers, by operation.

    Attributes:
        texts: all that there are.
        of: by operation and outcome, a number of `texts`; -1 where the operation is not measured.
    """

    texts: tuple[str, ...]
    of: NDArray[np.int64]


@lru_cache(maxsize=64)
def statuses(names: Names, protocols: tuple[str, ...]) -> Statuses:
    """The statuses by which servers count their requests.

    Args:
        names: of the application.
        protocols: by service.
    """
    texts: dict[str, int] = {}
    out = np.full((len(names.operations), len(names.outcomes)), -1, np.int64)
    for number, op in enumerate(names.operations):
        protocol = protocols[op.service]
        if protocol not in _SERVERS or names.services[op.service].database:
            continue
        for place, outcome in enumerate(names.outcomes):
            if protocol == "http":
                text = "200" if not place else str(failures.http_status(outcome) or 500)
            else:
                text = "0" if not place else str(failures.grpc_status(outcome)[1])
            out[number, place] = texts.setdefault(text, len(texts))
    return Statuses(tuple(texts), out)


@lru_cache(maxsize=64)
def _units(protocols: tuple[str, ...]) -> Floats:
    """What a µs is in the unit of a server's sums, by protocol."""
    units: Floats = np.array([_SERVERS.get(protocol, ("", 1.0))[1] for protocol in protocols]) / 1e6
    return units


def update_requests(world: World, names: Names, graph: Graph, topology: Topology, rows: Rows) -> None:
    """Count the requests that servers answered in a tick."""
    part, store = world.cluster.part(AppMetering), world.cluster.part(Monitoring).store
    protocols = tuple(service.protocol for service in graph.app.services)
    known = statuses(names, protocols)
    if not known.texts:
        return
    status = known.of[rows.op, rows.server_kind]
    here = np.flatnonzero(rows.arrived & (status >= 0))
    if not len(here):
        return
    many, pods = len(known.texts), len(topology.pods)
    key = (rows.op[here] * many + status[here]) * pods + rows.pod[here]
    cells, place = distinct(key, len(known.of) * many * pods)
    amounts = growth(_BOUNDS, place, len(cells), rows.server_duration[here], rows.weight, 1.0)
    amounts[:, -2] *= _units(protocols)[graph.op_service[cells // (many * pods)]]

    def block(cell: int) -> int:
        what, number = divmod(cell, pods)
        op, text = divmod(what, many)
        info = topology.pods[number]
        return _block(world, part, store, names, info, protocols, op, known.texts[text])

    starts = part.rows("requests").find(store, topology, len(known.of) * many * pods, cells, block)
    store.add(starts[:, None] + np.arange(amounts.shape[1]), amounts)


def _block(
    world: World,
    part: AppMetering,
    store: SeriesStore,
    names: Names,
    info: PodInfo,
    protocols: tuple[str, ...],
    op: int,
    status: str,
) -> int:
    key = (info.uid, op * 1000 + int(status))
    found = part.requests.get(key)
    if found is None:
        name, unit = _SERVERS[protocols[info.service]]
        title = names.operations[op].title
        method, _, rest = title.partition(" ")
        common = {"service_name": names.services[info.service].name}
        if protocols[info.service] == "http":
            route = rest if rest.startswith("/") else title
            common |= {
                "http_request_method": method if rest.startswith("/") else "POST",
                "http_route": route,
                "http_response_status_code": status,
                "network_protocol_version": "1.1",
                "url_scheme": "http",
            }
        else:
            called = (rest or title).lstrip("/").rpartition("/")
            common |= {
                "rpc_system": "grpc",
                "rpc_service": called[0],
                "rpc_method": called[2],
                "rpc_grpc_status_code": status,
            }
        bounds = [f"{bound * unit:g}" for bound in BOUNDS_S]
        series = [label_sets.make({**common, "le": bound}, f"{name}_bucket") for bound in (*bounds, "+Inf")]
        series += [label_sets.make(common, f"{name}_{part_}") for part_ in ("sum", "count")]
        found = part.requests[key] = store.block(part.pods[info.uid].target, series, world.now)
    return found


__all__ = ["BOUNDS_S", "describe", "told_by", "update", "update_requests", "update_targets"]
