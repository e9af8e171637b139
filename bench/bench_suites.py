"""Opening a suite of 129 incidents, the first time and with remembered digests, and checking its truths."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import recorded
from firedrill.suites import lint_suite, open_suite
from table import Row, show

SCENARIOS = 129
PADDING = 2_000_000
"""Bytes of log lines per incident, so that there is something to digest."""

_OPEN = "import sys; from firedrill.suites import open_suite; open_suite(sys.argv[1])"


def build(root: Path) -> Path:
    """A suite of many incidents: one, copied, each with logs of its own."""
    folders = sorted(recorded.suite(root / "suite", SCENARIOS).glob("Scenario-*"))
    for number, folder in enumerate(folders):
        line = f"2026-01-01 00:00:00\tincident {number}, all is well\n"
        with (folder / "otel_logs_raw.tsv").open("a") as logs:
            logs.write(line * (PADDING // len(line)))
    return root / "suite"


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="firedrill-bench-"))
    os.environ["FIREDRILL_CACHE"] = str(folder / "cache")
    try:
        path = build(folder)
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6
        started = time.perf_counter()
        suite = open_suite(path)
        first = time.perf_counter() - started
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", _OPEN, str(path)], check=True)
        process = time.perf_counter() - started
        started = time.perf_counter()
        open_suite(path)
        again = time.perf_counter() - started
        started = time.perf_counter()
        lint_suite(suite, incidents=False)
        linted = time.perf_counter() - started
        rows: list[Row] = [
            (f"open {SCENARIOS} incidents, {size:.0f} MB, for the first time", "-", f"{first:.2f} s"),
            ("open them again", "< 1 s", f"{again:.2f} s"),
            ("open them again in a process of its own, its start included", "-", f"{process:.2f} s"),
            ("check all their truths", "-", f"{linted:.2f} s"),
        ]
        show("Suites", rows)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
