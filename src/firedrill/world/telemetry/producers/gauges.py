"""Series whose values are measured by name: lists of them from data, and writing them into rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import yaml

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


@cache
def document() -> Mapping[str, Any]:
    """`data/machines.yaml`."""
    text = files("firedrill.world.telemetry.producers").joinpath("data/machines.yaml").read_text("utf-8")
    found: Mapping[str, Any] = yaml.safe_load(text)
    return found


@cache
def gauges(part: str, limited: bool = True, cores: int = 1) -> tuple[Gauge, ...]:
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
    return tuple(sorted(out, key=lambda one: one.kind != "counter"))


def describe(store: SeriesStore) -> None:
    """Say what the metrics are."""
    for part in ("containers", "cadvisor", "kubelet", "claims", "node-exporter"):
        for one in gauges(part):
            store.describe(one.name, one.kind, one.name.replace("_", " ").capitalize() + ".")


def series(found: tuple[Gauge, ...], common: Mapping[str, str]) -> list[Labels]:
    """Their labels."""
    return [label_sets.make({**common, **dict(one.labels)}, one.name) for one in found]


def write(store: SeriesStore, block: int, found: tuple[Gauge, ...], values: Values) -> None:
    """Let counters grow by their values and set the gauges."""
    row = store.values(block)
    count = _counters(found)
    if count:
        row[:count] += [values[one.source] for one in found[:count]]
    row[count:] = [values[one.source] for one in found[count:]]


@cache
def _counters(found: tuple[Gauge, ...]) -> int:
    return sum(one.kind == "counter" for one in found)
