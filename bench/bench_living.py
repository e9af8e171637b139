"""Times of living worlds, with users, all telemetry and all rules: `python bench/bench_living.py [APP …]`.

Seconds are those of one processor. `loop` says how long a fixed piece of work takes on this machine now, in
ms: on a busy one all figures grow with it.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable

import numpy as np

from firedrill.world.app import load_package
from firedrill.world.living import make_living
from firedrill.world.telemetry import Monitoring, promql
from firedrill.world.world import World
from table import Row, show

HOUR = 3_600_000
PARTS = 12
"""Pieces of the hour: on a busy machine the fastest of them tells what the work takes."""
QUANTILE = (
    "histogram_quantile(0.95, sum by (le, service_name) "
    "(rate(traces_span_metrics_duration_milliseconds_bucket[2m])))"
)


def clocked(work: Callable[[], object], times: int = 1) -> float:
    """Seconds of a processor for one turn."""
    begun = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - begun) / times


def loop() -> None:
    """A fixed piece of work, half of it in Python and half in arrays."""
    total = 0
    for number in range(200_000):
        total += number % 7
    np.sort(np.random.default_rng(0).random(200_000))


def megabytes() -> float:
    """The most memory that this process has used."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(name: str) -> list[Row]:
    """The figures of one application."""
    package = load_package(name)
    worlds: list[World] = []
    making = clocked(lambda: worlds.append(make_living(package)))
    world = worlds[0]
    world.run_for(10 * 60_000)
    parts = [clocked(lambda: world.run_for(HOUR // PARTS)) for _ in range(PARTS)]
    hour, calm = sum(parts), min(parts) * PARTS
    most = megabytes()
    store = world.cluster.part(Monitoring).store
    rules = world.cluster.part(Monitoring).rules
    count = sum(len(group.rules) for group in rules.groups)
    span = (world.now - HOUR, world.now, 15_000)
    ranged = clocked(lambda: promql.over_range(store, QUANTILE, *span), 5)
    every = [rule.expression for group in rules.groups for rule in group.rules]
    each = clocked(lambda: [promql.instant(store, one, world.now, memo={}) for one in every], 5) / count
    fork = clocked(world.fork, 20)
    series = len(store.numbers(None))
    return [
        (f"{name}: made", "", f"{making:.2f} s"),
        (f"{name}: one virtual hour, {series} series, {count} rules", "< 2 s", f"{hour:.2f} s"),
        (f"{name}: the same, {PARTS} times its fastest {60 // PARTS} minutes", "< 2 s", f"{calm:.2f} s"),
        (f"{name}: memory after it", "< 250 MB", f"{most:.0f} MB"),
        (f"{name}: a rule, evaluated", "< 1 ms", f"{each * 1000:.2f} ms"),
        (f"{name}: p95 of all services over an hour, each 15 s", "< 60 ms", f"{ranged * 1000:.0f} ms"),
        (f"{name}: a fork", "< 20 ms", f"{fork * 1000:.1f} ms"),
    ]


def main() -> None:
    """Print the table for the applications that are named, or for the astronomy shop."""
    rows = [("loop", "", f"{clocked(loop, 5) * 1000:.0f} ms")]
    for name in sys.argv[1:] or ["astronomy-shop"]:
        rows += measure(name)
    show("Living worlds", rows)


if __name__ == "__main__":
    main()
