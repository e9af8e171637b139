"""Series whose values are measured by name: lists of them from data, and writing them into rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from firedrill.world.sim.tables import table
from firedrill.world.telemetry import labels as label_sets

if TYPE_CHECKING:
    from firedrill.world.telemetry.labels import Labels
    from firedrill.world.telemetry.store import SeriesStore

Values = Mapping[str, float]
_MOST_CORES = 256


@dataclass(frozen=True, slots=True)
class Gauge:
    """One series; see `data/machines.yaml`."""

    name: str
    kind: str
    source: str
    labels: tuple[tuple[str, str], ...]
    limited: bool
    per_core: bool


@dataclass(frozen=True, slots=True, eq=False)
class Gauges:
    """Several series, counters first.

    Attributes:
        items: what they are.
        counters: how many of them are counters.
        sources: of all their values.
        pick: takes these values out of a mapping, as a tuple.
    """

    items: tuple[Gauge, ...]
    counters: int
    sources: tuple[str, ...]
    pick: Callable[[Values], tuple[float, ...]]

    def __iter__(self) -> Iterator[Gauge]:
        return iter(self.items)


@cache
def document() -> Mapping[str, Any]:
    """`data/machines.yaml`."""
    found: Mapping[str, Any] = table("firedrill.world.telemetry.producers", "machines.yaml")
    return found


@cache
def gauges(part: str, limited: bool = True, cores: int = 1) -> Gauges:
    """The series of a part of the document, counters first; those for each core so many times."""
    out = []
    for entry in document()[part]:
        labels = dict(entry.get("labels", {}))
        one = Gauge(
            entry["name"],
            entry["kind"],
            entry["from"],
            tuple(labels.items()),
            entry.get("limited", False),
            entry.get("each") == "cpu",
        )
        if one.limited and not limited:
            continue
        if not one.per_core:
            out.append(one)
            continue
        for core in range(min(max(cores, 1), _MOST_CORES)):
            pairs = (*one.labels, ("cpu", str(core)))
            out.append(Gauge(one.name, one.kind, one.source, pairs, one.limited, True))
    out.sort(key=lambda one: one.kind != "counter")
    count = sum(one.kind == "counter" for one in out)
    sources = tuple(one.source for one in out)
    if len(sources) == 1:  # one name alone would give a value, not a tuple
        return Gauges(tuple(out), count, sources, lambda values: (values[sources[0]],))
    return Gauges(tuple(out), count, sources, itemgetter(*sources))


def describe(store: SeriesStore) -> None:
    """Say what the metrics are."""
    for part in ("containers", "cadvisor", "kubelet", "claims", "node-exporter"):
        for one in gauges(part):
            store.describe(one.name, one.kind, one.name.replace("_", " ").capitalize() + ".")


def series(found: Gauges, common: Mapping[str, str]) -> list[Labels]:
    """Their labels."""
    return [label_sets.make({**common, **dict(one.labels)}, one.name) for one in found]


def write(store: SeriesStore, block: int, found: Gauges, values: Values) -> None:
    """Let counters grow by their values and set the gauges."""
    row, count = store.values(block), found.counters
    told = found.pick(values)
    if count:
        row[:count] += told[:count]
    row[count:] = told[count:]
