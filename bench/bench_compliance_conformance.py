"""How far the engines of compliance agree with public cases: ``bench_compliance_conformance.py [FOLDER]``.

FOLDER is the unpacked ``policy-dev``; without it, ``data/policy-dev.tar.xz`` of FIREDRILL_SHARED is unpacked.
Kyverno's own cases have their bench (``bench_kyverno.py``), and Rego's have theirs (``bench_rego.py``).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import regolibrary_cases
import shared_cases
from bench_world_policy import kyverno, pod_security
from table import Row, show


def controls(folder: Path) -> tuple[list[Row], list[str]]:
    """Our own Rego for CIS controls of Kubernetes."""
    began = time.process_time()
    found = list(regolibrary_cases.cases(folder))
    seconds = time.process_time() - began
    verdicts, right = sum(item.verdict for item in found), sum(item.right for item in found)
    rows: list[Row] = [
        (
            "controls in Rego, verdicts right",
            "98 %",
            f"{verdicts} of {len(found)} ({verdicts / len(found):.1%})",
        ),
        (
            "controls in Rego, the same objects named",
            "-",
            f"{right} of {len(found)} ({right / len(found):.1%})",
        ),
        ("controls in Rego, seconds of CPU beside the engine's", "-", f"{seconds:.2f}"),
    ]
    return rows, [f"{item.test}: {item.got}, not {sorted(item.wanted)}" for item in found if not item.right]


def main() -> None:
    """Print the table and the misses."""
    with shared_cases.folder(sys.argv[1:]) as folder:
        first, misses = pod_security(folder)
        rows, more = kyverno(folder)
        own, others = controls(folder)
    show("Engines of compliance", [first, *rows, *own])
    for line in misses + more + others:
        print(f"- miss: {line}")


if __name__ == "__main__":
    main()
