"""What OpenCost tells: what containers are given of their nodes, and what an hour of it costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import quantity
from firedrill.world.kube.objects import dig
from firedrill.world.telemetry import labels as label_sets
from firedrill.world.telemetry.producers.state import Metered, Metering

if TYPE_CHECKING:
    from firedrill.world.telemetry.store import SeriesStore
    from firedrill.world.world import World

TARGET = "opencost"
CPU_HOUR, GIB_HOUR = 10.0, 5.0
"""Prices of a core and of a GiB, as a configuration of one's own may set them."""
_GIVEN = ("container_cpu_allocation", "container_memory_allocation_bytes")
GIVEN = len(_GIVEN)
_PRICES = ("node_cpu_hourly_cost", "node_ram_hourly_cost", "node_total_hourly_cost")


NAMES = (*_GIVEN, *_PRICES)


def begin(world: World, store: SeriesStore) -> None:
    """Let it be scraped."""
    store.add_target(
        TARGET, {"job": TARGET, "instance": f"{TARGET}.{TARGET}.svc:9003"}, world.now, offset_ms=0
    )
    for name in (*_GIVEN, *_PRICES):
        store.describe(name, "gauge", name.replace("_", " ").capitalize() + ".")


def begin_container(world: World, store: SeriesStore, labels: Mapping[str, str], node: str) -> int:
    """The rows of a run of a container."""
    common = {key: labels[key] for key in ("namespace", "pod", "container")} | {"node": node}
    # a container that starts anew has the same labels as the one before
    series = [label_sets.make(common, name) for name in _GIVEN]
    return store.block(TARGET, series, world.now)


def given(known: Metered, milli: int, size: int) -> tuple[float, float]:
    """What a container is given: what it asks for, or what it takes where that is more."""
    return max(known.requests[0], milli / 1000), max(known.requests[1], float(size))


def node(world: World, part: Metering, store: SeriesStore, name: str, obj: Any) -> None:
    """The prices of a node."""
    key = f"{TARGET}/{name}"
    if key in part.machines:
        return
    series = [label_sets.make({"node": name}, metric) for metric in _PRICES]
    block = store.block(TARGET, series, world.now)
    part.machines[key] = Metered(block, 0, world.now)
    cores = quantity.value(dig(obj, "status", "capacity", "cpu", default="1"))
    memory = quantity.value(dig(obj, "status", "capacity", "memory", default="1Gi")) / 1024**3
    store.values(block)[:] = [CPU_HOUR, GIB_HOUR, CPU_HOUR * cores + GIB_HOUR * memory]


__all__ = ["CPU_HOUR", "GIB_HOUR", "GIVEN", "TARGET", "begin", "begin_container", "given", "node"]
