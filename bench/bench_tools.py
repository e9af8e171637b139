"""Every tool of the toolbox on a recorded incident of 1 GB, once it is in the cache.

``FIREDRILL_BENCH_INCIDENT`` and ``FIREDRILL_BENCH_CACHE`` name a folder with the incident and a cache to use
again; without them both are made and thrown away.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import recorded
from firedrill.snapshot import Incident, open_incident
from firedrill.tools import RecordedEvidence, Toolbox
from table import Row, show

MEGABYTES = 1000
RUNS = 3


def calls(toolbox: Toolbox) -> list[tuple[str, dict[str, Any]]]:
    """Calls of every tool; the entity is the service that errors start at."""
    worst = toolbox.call("traces", {"by": "service", "limit": 1}).rows
    entity = str(worst[0][0]) if worst else "portal"
    return [
        ("onset", {}),
        ("alerts", {}),
        ("alerts", {"view": "timeline"}),
        ("events", {}),
        ("changes", {}),
        ("changes", {"entity": entity, "status": True}),
        ("objects", {"unhealthy": True}),
        ("object", {"entity": entity}),
        ("logs", {"severity": "error", "text": "fail"}),
        ("logs", {"entity": entity, "regex": r"(refused|time.?out)"}),
        ("log_templates", {}),
        ("new_log_templates", {}),
        ("traces", {}),
        ("traces", {"view": "sources"}),
        ("traces", {"view": "calls"}),
        ("traces", {"view": "tree"}),
        ("trace", {}),
        ("latency", {}),
        ("metrics", {}),
        ("metrics", {"metric": "*_total", "step": "1m", "by": "service"}),
        ("metric_changes", {}),
        ("saturation", {}),
        ("topology", {"entity": entity, "depth": 3}),
        ("context", {"entity": entity}),
        ("query", {"sql": "SELECT service, count(*) FROM traces GROUP BY ALL ORDER BY ALL"}),
    ]


def measure(
    open_it: Callable[[], Incident], name: str, arguments: dict[str, Any]
) -> tuple[float, float, str]:
    """Median seconds of a call as the first question about the incident, and of asking it again."""
    first, again, line = [], [], ""
    for _ in range(RUNS):
        with RecordedEvidence(open_it()) as evidence:
            toolbox = Toolbox(evidence)
            started = time.perf_counter()
            result = toolbox.call(name, arguments)
            first.append(time.perf_counter() - started)
            assert not result.error, result.text
            started = time.perf_counter()
            toolbox.call(name, arguments)
            again.append(time.perf_counter() - started)
            line = f"{len(result.rows)} rows"
    return statistics.median(first), statistics.median(again), line


def main() -> None:
    scratch = Path(tempfile.mkdtemp(prefix="firedrill-bench-"))
    try:
        given = os.environ.get("FIREDRILL_BENCH_INCIDENT")
        cache = Path(os.environ.get("FIREDRILL_BENCH_CACHE") or scratch / "cache")
        folder = Path(given) if given else recorded.large_incident(scratch / "incident", MEGABYTES)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
        started = time.perf_counter()
        with open_incident(folder, cache_dir=cache) as incident:
            opened = time.perf_counter() - started
            asked = calls(Toolbox(RecordedEvidence(incident)))
        rows: list[Row] = [(f"open {size:.0f} MB, imported or from the cache", "-", f"{opened:.2f} s")]
        for name, arguments in asked:
            first, again, line = measure(lambda: open_incident(folder, cache_dir=cache), name, arguments)
            said = " ".join(f"{key}={value}" for key, value in arguments.items())
            rows.append(
                (f"{name} {said}".strip()[:70], "< 1 s", f"{first:.2f} s, again {again:.2f} s ({line})")
            )
        show("The toolbox on one incident", rows)
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
