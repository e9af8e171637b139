"""The metrics that a collector makes of spans: calls and durations, as OpenTelemetry's connector names them.

They are counted from the same rows as traces, one by one. The series belong to the collector: those of a pod
that is gone stay as they are until the collector forgets them, and a restart of a container does not reset
them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from firedrill.world.telemetry import labels as label_sets
from firedrill.world.telemetry.monitoring import Monitoring
from firedrill.world.telemetry.producers.appstate import AppMetering
from firedrill.world.telemetry.producers.cells import distinct, growth
from firedrill.world.telemetry.traces.describe import Describer

if TYPE_CHECKING:
    from firedrill.world.app.rows import Rows
    from firedrill.world.app.topology import Topology
    from firedrill.world.telemetry.labels import Labels
    from firedrill.world.telemetry.store import SeriesStore
    from firedrill.world.telemetry.traces.requests import Names
    from firedrill.world.world import World

TARGET = "opentelemetry-collector"
_LABELS = {"job": TARGET, "instance": f"{TARGET}.monitoring.svc:8889"}
BOUNDS_MS = (2, 4, 6, 8, 10, 50, 100, 200, 400, 800, 1000, 1400, 2000, 5000, 10000, 15000)
_BOUNDS = np.array(BOUNDS_MS, np.int64) * 1000
KEPT_MS = 3_600_000
"""For how long the collector keeps telling of a pod that is gone."""
_CALLS = "traces_span_metrics_calls_total"
_DURATION = "traces_span_metrics_duration_milliseconds"
NAMES = (_CALLS, _DURATION)


class Kinds(NamedTuple):
    """The kinds of spans of an application.

    Attributes:
        items: service, name of the span, and its kind, as `server`.
        client, server: kind by call; -1 where that end makes no spans.
    """

    items: tuple[tuple[int, str, str], ...]
    client: NDArray[np.int64]
    server: NDArray[np.int64]


@lru_cache(maxsize=64)
def kinds_of(names: Names, makers: tuple[int, ...]) -> Kinds:
    """The kinds of spans.

    Args:
        names: of the application.
        makers: by call the service that makes it.
    """
    describer = Describer(names)
    found: dict[tuple[int, str, str], int] = {}
    columns: list[list[int]] = [[], []]
    for edge, call in enumerate(names.calls):
        for server, service in enumerate((makers[edge], names.operations[call.target].service)):
            if names.services[service].database or (call.consumer and not server):
                columns[server].append(-1)
                continue
            what = (
                service,
                describer.span_name(edge, service, server=bool(server)),
                describer.span_kind(edge, server=bool(server)),
            )
            columns[server].append(found.setdefault(what, len(found)))
    return Kinds(tuple(found), np.array(columns[0], np.int64), np.array(columns[1], np.int64))


def begin(world: World, store: SeriesStore) -> None:
    """Let the collector be scraped."""
    store.add_target(TARGET, _LABELS, world.now, offset_ms=0)
    store.describe(_CALLS, "counter", "Calls.")
    store.describe(_DURATION, "histogram", "Duration of spans in ms.")


def update(world: World, names: Names, kinds: Kinds, topology: Topology, rows: Rows) -> None:
    """Count the spans of a tick."""
    part, store = world.cluster.part(AppMetering), world.cluster.part(Monitoring).store
    _forget(world, part, store, topology)
    client, server = kinds.client[rows.edge], kinds.server[rows.edge]
    asked, served = np.flatnonzero(client >= 0), np.flatnonzero((server >= 0) & rows.arrived)
    many, pods = 2 * len(kinds.items), len(topology.pods)
    pod = np.concatenate([rows.source[asked], rows.pod[served]])
    kind = np.concatenate([client[asked], server[served]])
    bad = np.concatenate([rows.kind[asked], rows.server_kind[served]]) != 0
    duration = np.concatenate([rows.duration[asked], rows.server_duration[served]])
    key = (pod + 1) * many + kind * 2 + bad
    cells, place = distinct(key, (pods + 1) * many)
    if not len(cells):
        return
    amounts = growth(_BOUNDS, place, len(cells), duration, rows.weight, 1000.0)

    def block(cell: int) -> int:
        number, what = divmod(cell, many)
        return _block(world, part, store, names, kinds, topology, number - 1, what)

    starts = part.rows("spans").find(store, topology, (pods + 1) * many, cells, block)
    width = amounts.shape[1]
    # calls are counted once more under a name of their own
    store.add(starts[:, None] + np.arange(width), amounts)
    store.add(starts + width, amounts[:, -1])


def _block(
    world: World,
    part: AppMetering,
    store: SeriesStore,
    names: Names,
    kinds: Kinds,
    topology: Topology,
    pod: int,
    what: int,
) -> int:
    info = topology.pods[pod] if pod >= 0 else None
    key = (info.uid if info is not None else "", what)
    found = part.spans.get(key)
    if found is None:
        service, name, kind = kinds.items[what // 2]
        known = names.services[service]
        common = {
            "service_name": known.name,
            "span_name": name,
            "span_kind": f"SPAN_KIND_{kind.upper()}",
            "status_code": "STATUS_CODE_ERROR" if what % 2 else "STATUS_CODE_UNSET",
            "namespace": info.namespace if info is not None else known.namespace,
            "job": f"{names.application}/{known.name}",
            "instance": info.uid if info is not None else "",
            "k8s_pod_name": info.name if info is not None else "",
            "k8s_node_name": info.node if info is not None else "",
        }
        found = part.spans[key] = store.block(TARGET, _series(common), world.now)
    return found


def _series(common: dict[str, str]) -> list[Labels]:
    bounds = [*(str(bound) for bound in BOUNDS_MS), "+Inf"]
    out = [label_sets.make({**common, "le": bound}, f"{_DURATION}_bucket") for bound in bounds]
    out += [label_sets.make(common, f"{_DURATION}_{name}") for name in ("sum", "count")]
    return [*out, label_sets.make(common, _CALLS)]


def _forget(world: World, part: AppMetering, store: SeriesStore, topology: Topology) -> None:
    """Let series of pods go that were gone for long."""
    if part.scratch.get("seen") is not topology:
        part.scratch["seen"] = topology
        here = {info.uid for info in topology.pods}
        known = {uid for uid, _ in part.spans if uid}
        part.gone = {uid: part.gone.get(uid, world.now) for uid in sorted(known - here)}
    over = [uid for uid, since in part.gone.items() if world.now - since > KEPT_MS]
    for uid in over:
        del part.gone[uid]
        for key in [key for key in part.spans if key[0] == uid]:
            store.retire(part.spans.pop(key), world.now)


__all__ = ["BOUNDS_MS", "KEPT_MS", "TARGET", "Kinds", "begin", "kinds_of", "update"]
