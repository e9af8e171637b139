"""Times of the series store and of PromQL: `python bench/bench_telemetry.py [--prometheus]`.

With `--prometheus` the queries are asked of a real Prometheus on the same samples too (`scripts/prometheus`).
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np

import prometheus_service
import promql_samples
from firedrill.world.telemetry import SeriesStore, labels, promql
from firedrill.world.telemetry.rules import RuleBook, read_groups

SERVICES, PODS = 30, 2
BOUNDS = [f"{2.0**n / 1000:g}" for n in range(16)] + ["+Inf"]
START = promql_samples.START
HOUR = 3_600_000
QUERIES = {
    "quantile of histograms": "histogram_quantile(0.95, "
    "sum by (le, service) (rate(duration_seconds_bucket[2m])))",
    "sums of rates": "sum by (service) (rate(calls_total[2m]))",
    "ratio": "sum by (service) (rate(calls_total{code='500'}[5m])) "
    "/ sum by (service) (rate(calls_total[5m])) > 0.05",
    "rate of 3 060 series": "rate(duration_seconds_bucket[5m])",
    "join": "container_stat * on (pod) group_left (node) pod_info",
    "threshold": "container_stat{stat='s3'} > 100",
    "absent": "absent(container_stat{stat='none'})",
}


def world() -> tuple[SeriesStore, list[int]]:
    """Thirty services of two pods, about 10 000 series."""
    store, blocks = SeriesStore(), []
    for service in range(SERVICES):
        for pod in range(PODS):
            name = f"service-{service}-{pod}"
            store.add_target(name, {"service": f"service-{service}", "pod": name}, START)
            families = [
                labels.make({"le": bound, "op": str(op)}, "duration_seconds_bucket")
                for op in range(3)
                for bound in BOUNDS
            ]
            families += [
                labels.make({"op": str(op), "code": code}, "calls_total")
                for op in range(8)
                for code in ("200", "404", "500")
            ]
            families += [labels.make({"stat": f"s{n}"}, "container_stat") for n in range(90)]
            families.append(labels.make({"node": f"node-{pod}"}, "pod_info"))
            blocks.append(store.block(name, families, START))
    return store, blocks


def timed(run: Callable[[], object], count: int) -> float:
    """The best of a few rounds, in ms."""
    best = float("inf")
    for _ in range(count):
        begin = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - begin)
    return best * 1000


def line(what: str, target: str, measured: str) -> None:
    print(f"{what:48} {target:>12} {measured:>22}")


def main() -> None:
    """Print the table."""
    store, blocks = world()
    line("what", "target", "measured")
    rng = np.random.default_rng(1)
    scrapes = []
    for step in range(720):
        for block in blocks:
            values = store.values(block)
            values[:51] += rng.integers(0, 5, 51)
            values[51:] += 1.0
        begin = time.perf_counter()
        store.scrape(START + (step + 1) * 5000)
        scrapes.append(time.perf_counter() - begin)
    per_interval = sorted(sum(scrapes[i : i + 3]) for i in range(0, 720, 3))
    count = len(store.numbers(None))
    line(f"scrape of {count} series (one interval)", "< 3 ms", f"{per_interval[120] * 1000:.2f} ms")
    line("fork", "< 20 ms", f"{timed(store.fork, 5):.2f} ms")
    line(
        "memory of the process after an hour",
        "",
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB",
    )
    end = START + HOUR
    for name, text in QUERIES.items():
        now = partial(promql.instant, store, text, end)
        first = timed(now, 1)
        line(f"instant: {name}", "< 1 ms", f"{timed(now, 20):.2f} ms (first {first:.1f})")
        coarse = timed(partial(promql.over_range, store, text, START, end, 30_000), 5)
        fine = timed(partial(promql.over_range, store, text, START, end, 15_000), 5)
        line(f"an hour, 121 and 241 steps: {name}", "< 50 ms", f"{coarse:.1f}, {fine:.1f} ms")
    rules(store, end)
    if "--prometheus" in sys.argv:
        compare(store, end)


def rules(store: SeriesStore, end: int) -> None:
    """Eighty rules, each evaluation thirty seconds after the last."""
    texts = [
        f"histogram_quantile({q}, sum by (le, service) (rate(duration_seconds_bucket[2m]))) > {limit}"
        for q, limit in ((0.5, 1), (0.9, 2), (0.95, 3), (0.99, 4), (0.99, 8))
    ]
    texts += [
        f"sum by (service) (rate(calls_total{{code='{code}'}}[5m])) "
        "/ sum by (service) (rate(calls_total[5m])) > 0.5"
        for code in ("404", "500")
    ]
    texts += [f"sum by (service) (rate(calls_total[2m])) == {n}" for n in range(6)]
    texts += [f"container_stat{{stat='s{n}'}} > 1e9" for n in range(60)]
    texts += [f"absent(container_stat{{stat='s{n}'}})" for n in range(7)]
    book = RuleBook()
    entries = [{"alert": f"Alert{n}", "expr": text, "for": "2m"} for n, text in enumerate(texts)]
    book.add(read_groups([{"name": "all", "rules": entries}], "bench"))
    book.advance(store, end - 31_000)
    begin = time.perf_counter()
    book.advance(store, end)
    first = time.perf_counter() - begin
    times = []
    for round_ in range(1, 21):
        begin = time.perf_counter()
        book.advance(store, end + round_ * 30_000)
        times.append(time.perf_counter() - begin)
    whole = sorted(times)[len(times) // 2] * 1000
    count = len(store.numbers(None))
    line(f"{len(texts)} rules once, on {count} series", "", f"{whole:.1f} ms (first {first * 1000:.0f})")
    line("an alert rule, on average", "< 1 ms", f"{whole / len(texts):.3f} ms")
    now = end + 20 * 30_000
    for target in store.targets()[:20]:
        store.set_up(target.name, False, now)
    store.scrape(now + 20_000)
    for target in store.targets()[:20]:
        store.set_up(target.name, True, now + 20_000)
    store.scrape(now + 30_000)
    begin = time.perf_counter()
    book.advance(store, now + 30_000)
    first = time.perf_counter() - begin
    begin = time.perf_counter()
    book.advance(store, now + 60_000)
    again = time.perf_counter() - begin
    told = f"{again * 1000:.1f} ms (first {first * 1000:.0f})"
    line("the same when a third of the targets went and returned", "", told)


def compare(store: SeriesStore, end: int) -> None:
    """The same queries asked of a real server."""
    for binary in prometheus_service.find_prometheus():
        with prometheus_service.running(binary) as server:
            server.write(promql_samples.dumped(store))
            for name, text in QUERIES.items():
                instant = timed(partial(server.ask, "query", {"query": text, "time": end / 1000}), 5)
                params = {"query": text, "start": START / 1000, "end": end / 1000, "step": 30}
                over = timed(partial(server.ask, "query_range", params), 3)
                version = ".".join(map(str, binary.version))
                line(f"Prometheus {version}: {name}", "", f"{instant:.1f}, {over:.1f} ms")


if __name__ == "__main__":
    main()
