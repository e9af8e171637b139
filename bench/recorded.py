"""Recorded incidents for the benches: living worlds, written as snapshots, and made as large as is wanted."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from firedrill.suites import open_suite
from firedrill.suites.exporting import Amount
from firedrill.suites.exporting.suite import export_suite

SCENARIO = "lite-005"
"""An incident of the largest application."""
_IDS = (b"TraceId", b"SpanId", b"ParentSpanId")
LITTLE = Amount(traces=0.03, metrics_ms=120_000, logs=0.03)


def incident(folder: Path, amount: Amount = LITTLE) -> Path:
    """Let the incident happen and write it into a new folder."""
    with tempfile.TemporaryDirectory(prefix="firedrill-bench-") as place:
        out = Path(place) / "suite"
        export_suite(open_suite("lite"), out, names=[SCENARIO], amount=amount, processes=1)
        (made,) = (out / "sre").glob("Scenario-*")
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made, folder)
    return folder


def suite(folder: Path, count: int) -> Path:
    """A suite of so many incidents, which are copies of one."""
    made = incident(folder / "Scenario-1")
    for number in range(2, count + 1):
        shutil.copytree(made, folder / f"Scenario-{number}")
    return folder


def large_incident(folder: Path, megabytes: float) -> Path:
    """An incident with everything that was recorded, and its requests again until it is so large."""
    made = incident(folder, Amount())
    rest = megabytes * 1e6 - sum(path.stat().st_size for path in made.rglob("*") if path.is_file())
    table = made / "otel_traces_raw.tsv"
    enlarge(table, table.stat().st_size + max(rest, 0))
    return made


def large_traces(table: Path, megabytes: float) -> Path:
    """One table of traces of so many megabytes."""
    with tempfile.TemporaryDirectory(prefix="firedrill-bench-") as place:
        made = incident(Path(place) / "incident", Amount(traces=1.0, metrics_ms=3_600_000, logs=0.0))
        shutil.move(made / "otel_traces_raw.tsv", table)
    return enlarge(table, megabytes * 1e6)


def enlarge(table: Path, size: float) -> Path:
    """Repeat the spans of a table, each time under other ids, until it has so many bytes."""
    head, *records = _records(table)
    columns = [head.rstrip(b"\n").split(b"\t").index(name) for name in _IDS]
    written, turn = table.stat().st_size, 0
    with table.open("ab") as out:
        while written < size:
            turn += 1
            for record in records:
                cells = record.split(b"\t")
                for column in columns:
                    if cells[column]:
                        cells[column] = b"%04x%s" % (turn, cells[column][4:])
                written += out.write(b"\t".join(cells))
                if written >= size:
                    break
    return table


def _records(table: Path) -> Iterator[bytes]:
    """Whole records: a quoted cell may hold line breaks."""
    with table.open("rb") as lines:
        record = b""
        for line in lines:
            record += line
            if record.count(b'"') % 2 == 0:
                yield record
                record = b""
