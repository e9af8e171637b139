"""What reading logs and traces of an application costs: lines, queries, spans, a fork.

Run: python bench/bench_logs.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from firedrill.gateway.loki import ClusterLogs
from firedrill.world.app import load_package
from firedrill.world.build import make_world
from firedrill.world.kube import kubelet
from firedrill.world.telemetry.logs import Memory
from firedrill.world.telemetry.logs.logql import Engine, parse
from firedrill.world.telemetry.traces import Search, Traces
from firedrill.world.telling import requests_of
from firedrill.world.world import World

MS = 1_000_000
MINUTE = 60_000


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """(milliseconds of wall time, result)."""
    begin = time.perf_counter()
    out = work()
    return (time.perf_counter() - begin) * 1000, out


def query(engine: Engine, text: str, start: int, end: int) -> list[Any]:
    """The lines of a log query, or the series of a metric one at its end."""
    found: Any = parse(text)
    if text.startswith("{"):
        return list(engine.logs(found, start * MS, end * MS, 5000))
    made: Any = engine.metric(found, start * MS, end * MS, 60_000 * MS)
    return list(made.labels)


def measure(
    world: World, namespace: str, pod: str, container: str
) -> list[tuple[str, float | None, float, str]]:
    """(what, target in ms, measured in ms, of how much)."""
    now = world.now
    rows: list[tuple[str, float | None, float, str]] = []
    took, told = timed(lambda: kubelet.read_log(world.fork(), namespace, pod, container, tail=100))
    rows.append(("the last 100 lines of a busy pod", 50.0, took, f"{len(told)} lines"))
    fork = world.fork()
    took, told = timed(lambda: kubelet.read_log(fork, namespace, pod, container, since_ms=now - MINUTE))
    rows.append(("one minute of a busy pod", 60.0, took, f"{len(told)} lines"))
    took, told = timed(lambda: kubelet.read_log(fork, namespace, pod, container, since_ms=now - MINUTE))
    rows.append(("the same again", None, took, f"{len(told)} lines"))
    for text, minutes, target in (
        (f'{{namespace="{namespace}"}}', 60, 150.0),
        (f'{{namespace="{namespace}"}} |= "error"', 5, 1000.0),
        (f'sum by (app) (count_over_time({{namespace="{namespace}"}}[1m]))', 5, 1500.0),
        (f'sum by (app) (rate({{namespace="{namespace}"}} | json | __error__="" [5m]))', 1, 1500.0),
    ):
        engine = Engine(ClusterLogs(world.fork()), now * MS)
        took, found = timed(lambda e=engine, t=text, m=minutes: query(e, t, now - m * MINUTE, now))  # type: ignore[misc]
        rows.append(
            (text, target, took, f"{minutes} min, {engine.stats.lines} lines read, {len(found)} found")
        )
    requests = requests_of(world.fork())
    assert requests is not None
    traces = Traces(requests)
    name = requests.names.services[0].name
    took, found = timed(lambda: traces.search(Search(name, limit=20)))
    rows.append(("20 traces of a service", 60.0, took, f"{sum(len(item.spans) for item in found)} spans"))
    took, _ = timed(lambda: traces.trace(found[-1].trace_id))
    rows.append(("a trace by its id", 5.0, took, ""))
    took, count = timed(lambda: sum(len(spans) for spans in traces.spans(now - 5 * MINUTE, now)))
    rows.append(("spans of five minutes as columns", 200.0, took, f"{count} spans"))
    took, _ = timed(world.fork)
    rows.append(("a fork of the world", 20.0, took, ""))
    return rows


def engine_rows() -> list[tuple[str, float | None, float, str]]:
    """What the engine itself costs, on lines that are there already."""
    lines = [
        (n * 1_000_000, f'level={"error" if n % 9 == 0 else "info"} took={n % 50}ms path="/a/{n % 7}"')
        for n in range(50_000)
    ]
    source = Memory([({"app": "x"}, lines)])
    rows: list[tuple[str, float | None, float, str]] = []
    for text in (
        'sum(count_over_time({app="x"} |= "error" [1m]))',
        'sum(count_over_time({app="x"} |~ "took=4[0-9]ms" [1m]))',
        'sum by (level) (count_over_time({app="x"} | logfmt [1m]))',
        'quantile_over_time(0.95, {app="x"} | logfmt | unwrap duration(took) [1m]) by (app)',
    ):
        took, _ = timed(lambda t=text: query(Engine(source), t, 50_000, 50_000))  # type: ignore[misc]
        rows.append((text, None, took, f"{took * 1000 / len(lines):.1f} us a line"))
    return rows


def main() -> None:
    """Print the table."""
    package = load_package("astronomy-shop")
    world = make_world(1, manifests=package.manifests, application=package.application, age_days=1)
    namespace = package.application.namespace
    busy = next(
        item["metadata"]["name"]
        for item in world.cluster.store.list("pods", namespace)
        if item["metadata"]["name"].startswith("product-catalog")
    )
    for what, target, took, note in [*measure(world, namespace, busy, "product-catalog"), *engine_rows()]:
        goal = f"{target:8.0f}" if target is not None else "       -"
        print(f"{what[:86]:86} {goal} {took:9.1f} ms  {note}")


if __name__ == "__main__":
    main()
