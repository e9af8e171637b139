"""Living incidents written as recorded snapshots: how long it takes, how much it is, and whether it repeats.

`python bench/bench_export.py [PACKAGE]`: 30 virtual minutes in health, then 20 with a Service scaled away.
"""

from __future__ import annotations

import hashlib
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

from firedrill.suites.exporting import Amount, export_incident
from firedrill.suites.exporting.suite import USUAL
from firedrill.suites.living import Case, CaseFault, simulate
from firedrill.suites.living.truth import tell
from firedrill.world.app import load_package
from table import show

MINUTE_MS = 60_000
WHOLE = Amount()


def digest(folder: Path) -> str:
    """Of all files."""
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        found.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
        found.update(path.read_bytes())
    return found.hexdigest()


def lines(folder: Path, pattern: str) -> int:
    """Rows of the tables, the headers not counted; a line of a quoted cell counts as one."""
    return sum(path.read_bytes().count(b"\n") - 1 for path in folder.glob(pattern))


def main() -> None:
    """Print the table."""
    name = sys.argv[1] if len(sys.argv) > 1 else "astronomy-shop"
    package = load_package(name)
    graph = package.application
    kind, workload = graph.services[len(graph.services) // 2].workload
    fault = CaseFault(
        "workload-scaled-to-zero", {"namespace": graph.namespace, "name": workload, "kind": "Deployment"}
    )
    if not kind.startswith("deployments"):
        raise SystemExit(f"{workload} is no Deployment")
    home = Path(tempfile.mkdtemp(prefix="firedrill-export-"))
    try:
        begin = time.process_time()
        incident = simulate(Case(name, (fault,), limit_ms=20 * MINUTE_MS, incident_ms=15 * MINUTE_MS))
        simulated = time.process_time() - begin
        told = tell(incident, "scenario-1")
        rows = []
        spent = {}
        for what, amount in (("all", WHOLE), ("as suites are exported", USUAL)):
            begin = time.process_time()
            export_incident(incident, home / what, truth=told.v1, truth_v2=told.v2, amount=amount)
            spent[what] = time.process_time() - begin
            size = sum(path.stat().st_size for path in (home / what).rglob("*") if path.is_file())
            rows.append((f"exported, {what}: CPU, size", "", f"{spent[what]:.1f} s, {size / 1e6:.0f} MB"))
        minutes = (incident.times.end - incident.times.start) // MINUTE_MS
        rows.insert(0, (f"{name}, {minutes} virtual minutes simulated", "", f"{simulated:.1f} s CPU"))
        rows.append(
            ("simulated and exported with everything", "< 6 s CPU", f"{simulated + spent['all']:.1f} s")
        )
        where = home / "all"
        rows.append(("spans", "", f"{lines(where, 'otel_traces_raw.tsv'):,}"))
        rows.append(("log lines", "", f"{lines(where, 'otel_logs_raw.tsv'):,}"))
        rows.append(("samples", "", f"{lines(where, 'metrics/*.tsv'):,}"))
        export_incident(incident, home / "again", truth=told.v1, truth_v2=told.v2, amount=USUAL)
        same = digest(home / "again") == digest(home / "as suites are exported")
        rows.append(("the same bytes twice", "yes", "yes" if same else "NO"))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        rows.append(("most memory", "< 600 MB", f"{peak:.0f} MB"))
        show("Exporting living incidents", rows)
    finally:
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
