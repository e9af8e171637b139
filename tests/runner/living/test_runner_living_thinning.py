"""A world's metrics as a Prometheus has them that scrapes less often."""

from __future__ import annotations

import random

import numpy as np
import pytest

from firedrill.runner.living.thinning import Less, less
from firedrill.world.telemetry import SeriesStore
from firedrill.world.telemetry import labels as label_sets
from firedrill.world.telemetry.promql import engine

START = 1_699_999_800_000
QUERIES = (
    "up",
    "work",
    "rate(work[5m])",
    "rate(work[1m])",
    "increase(work[150s])",
    "count_over_time(work[10m])",
    "sum by (job) (last_over_time(work[2m]))",
    "max_over_time(sum(rate(work[4m]))[10m:1m])",
    "ALERTS",
    "count_over_time(ALERTS[5m])",
    "timestamp(work)",
)


def lives(interval_ms: int, seed: int, minutes: int = 40) -> SeriesStore:
    """A store in which targets come, fail, return and go; the same in each interval."""
    store, draw = SeriesStore(interval_ms=interval_ms), random.Random(seed)
    blocks: dict[str, int] = {}
    for now in range(START, START + minutes * 60_000, 5_000):
        store.scrape(now)
        dice = draw.random()
        name = f"t{draw.randrange(6)}"
        if name not in blocks and dice < 0.2:
            offset = draw.randrange(15_000)
            store.add_target(name, {"instance": name, "job": f"j{offset % 2}"}, now, offset_ms=offset)
            blocks[name] = store.block(name, [label_sets.make({"n": str(n)}, "work") for n in range(3)], now)
        elif name in blocks and dice < 0.05:
            store.set_up(name, draw.random() < 0.5, now)
        elif name in blocks and dice < 0.06:
            store.remove_target(name, now)
            del blocks[name]
        for block in blocks.values():
            if draw.random() < 0.01:
                store.restart(block)
            store.values(block)[:] += draw.randrange(20)
        if now % interval_ms == 0:
            alert = label_sets.make({"alertname": "Slow"}, "ALERTS")
            if (now // 600_000) % 2:
                store.append(alert, now, 1.0)
            elif now % 600_000 == 0:
                store.append_stale(alert, now)
    return store


def answered(store: SeriesStore, query: str) -> list[object]:
    end = START + 40 * 60_000
    found = engine.over_range(store, query, START + 60_000, end, 7_000)
    out: list[object] = [(one.labels, one.times.tolist(), one.values.tolist()) for one in found.series]
    for at in range(START + 300_000, end, 97_000):
        vector = engine.instant(store, query, at)
        assert isinstance(vector, engine.Vector)
        out.append(sorted(zip(vector.labels, vector.values.tolist(), strict=True)))
    return out


@pytest.mark.parametrize("seed", range(2))
def test_it_answers_as_a_server_that_scrapes_less_often(seed: int) -> None:
    whole, slow = lives(15_000, seed), lives(60_000, seed)
    seen: Less | None = None
    for query in QUERIES:
        seen = less(whole, seen, every_ms=60_000)
        assert answered(seen, query) == answered(slow, query), query
    assert answered(less(whole), "rate(work[1m])") == answered(whole, "rate(work[1m])")


def test_what_comes_later_is_seen_by_who_looks_later() -> None:
    store = lives(15_000, 1)
    alert = label_sets.make({"alertname": "Slow"}, "ALERTS")
    seen = less(store, every_ms=60_000)
    before = engine.instant(seen, "ALERTS", START + 40 * 60_000 + 30_000)
    store.append(alert, START + 41 * 60_000, 1.0)
    after = engine.instant(less(store, seen, every_ms=60_000), "ALERTS", START + 41 * 60_000)
    assert isinstance(before, engine.Vector)
    assert isinstance(after, engine.Vector)
    assert (len(before.values), np.asarray(after.values).tolist()) == (0, [1.0])


def test_hidden_metrics_are_in_no_list() -> None:
    seen = less(lives(15_000, 0), hidden={"up"}, every_ms=60_000)
    assert seen.names() == ["ALERTS", "work"]
    assert {label_sets.metric(seen.labels(number)) for number in seen.numbers(None)} == {"ALERTS", "work"}
    assert seen.interval_ms == 60_000
