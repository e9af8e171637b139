"""Collections of all garbage of Java machines, as the OpenTelemetry agent counts them.

A series of this kind appears with the first such collection: machines that only ever clear their young
objects have none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from firedrill.world.kube.effects import Effect, Effects
from firedrill.world.telemetry import labels as label_sets
from firedrill.world.telemetry.monitoring import Monitoring
from firedrill.world.telemetry.producers.appstate import AppMetering
from firedrill.world.telemetry.traces import failures

if TYPE_CHECKING:
    from firedrill.world.app.topology import PodInfo, Topology
    from firedrill.world.telemetry.labels import Labels
    from firedrill.world.telemetry.traces.requests import Names
    from firedrill.world.world import World

METRIC = "jvm_gc_duration_seconds"
BOUNDS_S = (0.01, 0.1, 1.0, 10.0)
_MOST = 0.95
"""Of a second that a machine can stand still and still do something."""
_KIND = {"jvm_gc_name": "G1 Old Generation", "jvm_gc_action": "end of major GC"}


def update_collections(world: World, names: Names, topology: Topology, length: int) -> None:
    """Count the collections of a tick of so many ms: one in a second, as long as the machine stands still."""
    rows = [row for row in world.cluster.part(Effects).rows if row.parameter == "gc_pause_ms"]
    if not rows:
        return
    part, store = world.cluster.part(AppMetering), world.cluster.part(Monitoring).store
    for info in topology.pods:
        pauses = [row.value for row in rows if _is_on(row, info)]
        known, service = part.pods.get(info.uid), names.services[info.service]
        if not pauses or known is None or failures.family(service.language) != "java":
            continue
        block = part.collections.get(info.uid)
        if block is None:
            block = part.collections[info.uid] = store.block(known.target, _series(service.name), world.now)
            store.describe(METRIC, "histogram", "Duration of JVM garbage collection actions.")
        pause, seconds = min(sum(pauses) / 1000, _MOST), length / 1000
        within = [seconds if pause <= bound else 0.0 for bound in BOUNDS_S]
        grown = np.array([*within, seconds, pause * seconds, seconds])
        store.add(store.first_row(block) + np.arange(len(grown)), grown)


def _is_on(row: Effect, info: PodInfo) -> bool:
    if row.on != f"pod/{info.uid}":
        return False
    return not row.container or (row.container == info.container and row.attempt in (-1, info.attempt))


def _series(service: str) -> list[Labels]:
    common = {"service_name": service, **_KIND}
    buckets = [{**common, "le": f"{bound:g}"} for bound in BOUNDS_S] + [{**common, "le": "+Inf"}]
    series = [label_sets.make(labels, f"{METRIC}_bucket") for labels in buckets]
    return [*series, label_sets.make(common, f"{METRIC}_sum"), label_sets.make(common, f"{METRIC}_count")]


__all__ = ["BOUNDS_S", "METRIC", "update_collections"]
