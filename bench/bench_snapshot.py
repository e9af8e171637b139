"""What recorded incidents cost: a large traces table imported, opened, queried and staged; pandas beside it.

``python bench/bench_snapshot.py [MEGABYTES]`` (1000 unless given) writes below ``bench/out`` and leaves the
traces there for the next time. Every figure is of a fresh process.
"""

from __future__ import annotations

import resource
import shutil
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

from table import Row, show

OUT = Path(__file__).parent / "out"
QUERY = (
    "SELECT service, date_trunc('minute', time) AS minute, count(*) AS spans,"
    " count(*) FILTER (status = 'Error') AS errors, quantile_cont(duration_ns, 0.95) AS p95"
    " FROM traces GROUP BY ALL ORDER BY service, minute"
)
Figures = dict[str, float]


def traces(megabytes: float) -> Path:
    """The folder of an incident with one traces table of so many megabytes, written once."""
    from recorded import large_traces

    folder = OUT / f"traces-{megabytes:g}" / "Scenario-1"
    table = folder / "otel_traces_raw.tsv"
    if not table.exists():
        folder.mkdir(parents=True, exist_ok=True)
        large_traces(folder / "unfinished", megabytes).rename(table)
    return folder


def do_import(folder: Path, cache: Path) -> Figures:
    """From TSV to Parquet, with topology and inventory."""
    from firedrill.snapshot import open_incident

    started, worked = time.perf_counter(), time.process_time()
    with open_incident(folder, cache_dir=cache) as incident:
        seconds, processor = time.perf_counter() - started, time.process_time() - worked
        rows = incident.query("SELECT count(*) FROM traces").rows[0][0]
    parquet = sum(path.stat().st_size for path in cache.rglob("*.parquet"))
    return {"seconds": seconds, "processor": processor, "rows": rows, "parquet": parquet / 1e6}


def do_damaged(folder: Path, cache: Path) -> Figures:
    """The same with one wrong byte near the end, so that the strict reader gives up late."""
    source = folder / "otel_traces_raw.tsv"
    damaged = folder.parent / "damaged"
    shutil.rmtree(damaged, ignore_errors=True)
    damaged.mkdir()
    shutil.copy(source, damaged)
    with (damaged / source.name).open("a") as file:
        file.write('2025-12-15 17:30:01\tragged "row\n2025-12-15 17:30:01\t"cut')
    try:
        return do_import(damaged, cache / "damaged")
    finally:
        shutil.rmtree(damaged)


def do_open(folder: Path, cache: Path) -> Figures:
    """Open a cached incident: alone, and with the first query."""
    started = time.perf_counter()
    from firedrill.snapshot import open_incident

    with open_incident(folder, cache_dir=cache) as incident:
        opened = time.perf_counter() - started
        incident.topology()
        started = time.perf_counter()
        incident.query("SELECT count(*) FROM traces")
        first = time.perf_counter() - started
    return {"seconds": opened, "first": first}


def do_query(folder: Path, cache: Path) -> Figures:
    """Errors and p95 per service and minute."""
    from firedrill.snapshot import open_incident

    with open_incident(folder, cache_dir=cache) as incident:
        started = time.perf_counter()
        rows = len(incident.query(QUERY).rows)
        return {"seconds": time.perf_counter() - started, "rows": rows}


def do_stage(folder: Path, cache: Path) -> Figures:
    """Build the agent's view."""
    from firedrill.snapshot import open_incident, stage_view

    with open_incident(folder, cache_dir=cache) as incident:
        topology = incident.topology()
    started = time.perf_counter()
    view = stage_view(folder, topology=topology, cache_dir=cache)
    return {"seconds": time.perf_counter() - started, "rows": len(view.entries)}


def do_pandas(folder: Path, cache: Path) -> Figures:
    """What one would do without any of this: read the file with pandas and group."""
    del cache
    import pandas

    started = time.perf_counter()
    frame = pandas.read_csv(
        folder / "otel_traces_raw.tsv", sep="\t", parse_dates=["Timestamp"], low_memory=False
    )
    read = time.perf_counter() - started
    started = time.perf_counter()
    groups = frame.groupby(["ServiceName", frame["Timestamp"].dt.floor("min")])
    answer = groups.agg(
        spans=("SpanId", "size"),
        errors=("StatusCode", lambda status: (status == "Error").sum()),
        p95=("Duration", lambda duration: duration.quantile(0.95)),
    )
    return {"seconds": read, "first": time.perf_counter() - started, "rows": len(answer)}


def _child(job: Callable[[Path, Path], Figures], folder: Path, cache: Path) -> Figures:
    figures = job(folder, cache)
    return {**figures, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def measure(job: Callable[[Path, Path], Figures], folder: Path, cache: Path) -> Figures:
    """The figures of ``job`` and the peak memory (MB) of the fresh process that it ran in."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_child, (job, folder, cache))


def main() -> None:
    """Measure everything and print the table."""
    megabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 1000.0
    folder, cache = traces(megabytes), OUT / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    size = f"{megabytes:g} MB"
    rows: list[Row] = []

    made = measure(do_import, folder, cache)
    rows.append(
        (
            f"import {size} of traces ({made['rows']:.0f} spans)",
            "< 60 s, peak < 1500 MB",
            f"{made['seconds']:.1f} s ({made['processor']:.0f} s of processor), peak {made['peak']:.0f} MB,"
            f" {made['parquet']:.0f} MB of Parquet",
        )
    )
    asked = measure(do_query, folder, cache)
    rows.append(
        (
            "errors and p95 per service and minute",
            "< 1 s",
            f"{asked['seconds']:.2f} s ({asked['rows']:.0f} rows)",
        )
    )
    opened = measure(do_open, folder, cache)
    rows.append(
        (
            "open the cached incident",
            "< 0.2 s",
            f"{opened['seconds']:.3f} s, first query {opened['first']:.2f} s more",
        )
    )
    staged = measure(do_stage, folder, cache)
    rows.append(("stage the agent's view", "< 0.1 s", f"{staged['seconds']:.3f} s"))
    damaged = measure(do_damaged, folder, cache)
    rows.append(
        (
            "import with a damaged end",
            "",
            f"{damaged['seconds']:.1f} s, peak {damaged['peak']:.0f} MB, {damaged['rows']:.0f} spans",
        )
    )
    pandas = measure(do_pandas, folder, cache)
    rows.append(
        ("pandas: read the file", "", f"{pandas['seconds']:.1f} s each time, peak {pandas['peak']:.0f} MB")
    )
    rows.append(("pandas: the same answer", "", f"{pandas['first']:.2f} s ({pandas['rows']:.0f} rows)"))
    show("Recorded incidents", rows)


if __name__ == "__main__":
    main()
