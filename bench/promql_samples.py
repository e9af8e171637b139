"""A store of every sort of series, for tests and benches.

Counters that restart, gauges with holes, histograms, series that end and return, values that are no numbers.
"""

from __future__ import annotations

import math

import numpy as np

from firedrill.world.telemetry import SeriesStore, labels
from firedrill.world.telemetry.selection import FAR, one_series
from prometheus_service import STALE

START = 1_700_000_000_000 // 3_600_000 * 3_600_000
"""The first moment, a whole hour."""
MINUTES = 90
BOUNDS = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf")


def filled(minutes: int = MINUTES) -> SeriesStore:
    """The store, scraped for that long."""
    rng = np.random.default_rng(7)
    store = SeriesStore()
    blocks: dict[str, int] = {}
    for index in range(6):
        job, name = ("api", "web")[index % 2], f"pod-{index}"
        store.add_target(
            name, {"job": job, "instance": f"10.0.0.{index}:80"}, START, offset_ms=1000 + index * 2317
        )
        blocks[name] = store.block(name, _families(index), START)
    hidden = store.block("pod-5", [labels.make({"phase": "late"}, "visits_total")], START + 40 * 60_000)
    retired = 0
    for step in range(minutes * 6):
        now = START + (step + 1) * 10_000
        for index in range(6):
            values = store.values(blocks[f"pod-{index}"])
            _advance(values, index, step, rng)
        if step == 200:
            store.restart(blocks["pod-1"])
        if step == 230:
            store.set_up("pod-2", False, now)
        if step == 290:
            store.set_up("pod-2", True, now)
        if step == 320:
            retired = store.block("pod-3", [labels.make({"phase": "short"}, "visits_total")], now)
            store.values(retired)[:] = 5.0
        if step == 360:
            store.retire(retired, now)
        store.values(hidden)[:] += 3.0
        store.scrape(now)
    _single(store, minutes)
    return store


def _families(index: int) -> list[labels.Labels]:
    out = [
        labels.make({"path": path, "code": code}, "requests_total")
        for path in ("/", "/cart", "/pay")
        for code in ("200", "404", "500")
    ]
    out += [
        labels.make({"le": bound, "path": path}, "latency_seconds_bucket")
        for path in ("/", "/cart")
        for bound in BOUNDS
    ]
    out += [
        labels.make({"path": path}, f"latency_seconds_{part}")
        for path in ("/", "/cart")
        for part in ("count", "sum")
    ]
    out += [labels.make({"unit": unit}, "memory_bytes") for unit in ("heap", "stack")]
    out += [
        labels.make({}, "temperature"),
        labels.make({"zone": f"z{index // 2}"}, "node_info"),
        labels.make({}, "odd"),
    ]
    return out


def _advance(values: np.ndarray, index: int, step: int, rng: np.random.Generator) -> None:
    values[:9] += rng.poisson(2.0 + index, 9) * np.array([5, 1, 0.25] * 3)
    for at in (9, 19):
        counts = rng.multinomial(rng.integers(0, 30), [0.05, 0.1, 0.2, 0.2, 0.15, 0.1, 0.1, 0.05, 0.03, 0.02])
        values[at : at + 10] += np.cumsum(counts)
    values[29], values[31] = values[18], values[28]
    values[30] += rng.random() * 2
    values[32] += rng.random()
    values[33:35] = (1 + index) * 1e6 * (1.5 + math.sin(step / 20)) + rng.integers(0, 1000, 2)
    values[35] = math.cos(step / 50) * 20 - index
    values[36] = 1.0
    values[37] = (math.nan, math.inf, -math.inf, 0.0, 2.5, 1e-9)[(step // 8 + index) % 6]


def _single(store: SeriesStore, minutes: int) -> None:
    """Series that no target has: with holes, with times of their own, with marks where they end."""
    rng = np.random.default_rng(8)
    for index, name in enumerate(("job:requests:rate", "sparse", "sparse", "up_to_date")):
        times = START + np.cumsum(rng.integers(500, 40_000, minutes * 3))
        times = times[times < START + minutes * 60_000]
        values = np.round(rng.normal(10, 5, len(times)), 3)
        hole = (times > START + 1_500_000) & (times < START + 2_400_000)
        made = labels.make({"part": str(index), "team": "blue" if index % 2 else "red"}, name)
        first, last = np.flatnonzero(hole)[0], np.flatnonzero(hole)[-1]
        store.write_samples(made, times[:first], values[:first])
        if index == 1:
            store.append_stale(made, int(times[first]))
        store.write_samples(made, times[last:], values[last:])


def dumped(store: SeriesStore) -> list[tuple[labels.Labels, list[tuple[int, float]]]]:
    """All samples of a store with the marks where series end, for another program to read."""
    out = []
    for number in store.numbers(None):
        times, values, ends = one_series(store, number)
        samples: list[tuple[int, float]] = []
        for at, value, end in zip(times.tolist(), values.tolist(), ends.tolist(), strict=True):
            samples.append((at, value))
            if end < FAR:
                samples.append((end, STALE))
        if samples:
            out.append((store.labels(number), samples))
    return out
