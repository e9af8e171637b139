"""How far the Kyverno engine agrees with public cases: ``python bench/bench_kyverno.py [FOLDER]``.

FOLDER is the unpacked ``policy-dev``; without it, ``data/policy-dev.tar.xz`` of FIREDRILL_SHARED is unpacked.
"""

from __future__ import annotations

import os
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import kyverno_scan
from firedrill.world.policy.kyverno.living.scanning import KNOWN, Scan
from kyverno_cases import Outcome, outcomes
from table import Row, show

SHARED = Path(os.environ.get("FIREDRILL_SHARED") or Path(__file__).resolve().parents[2] / "shared")


def table(found: list[Outcome], seconds: float) -> list[Row]:
    rows: list[Row] = []
    for suite in sorted({item.suite for item in found}):
        mine = [item for item in found if item.suite == suite]
        right = sum(item.right for item in mine)
        rows.append((suite, "", f"{right} of {len(mine)} ({right / len(mine):.1%})"))
    asked = [item for item in found if item.right or not item.registry]
    right = sum(item.right for item in found)
    rows.append(
        ("all that need no registry", "≥ 99 %", f"{right} of {len(asked)} ({right / len(asked):.2%})")
    )
    misspelt = sum(item.misspelt for item in found)
    rows.append(("of these, naming no rule of their policy: judged by it", "", str(misspelt)))
    rows.append((f"all {len(found)}, seconds of processor time", "< 3", f"{seconds:.2f}"))
    return rows


def scan() -> list[Row]:
    world, first = kyverno_scan.scanned()
    began = time.process_time()
    Scan(world).everything()
    again = time.process_time() - began
    KNOWN.clear()
    began = time.process_time()
    Scan(world).everything()
    judged = time.process_time() - began
    what = f"background scan, {kyverno_scan.OBJECTS} objects × 20 policies"
    return [
        (f"{what}: every verdict anew, s", "< 0.5", f"{judged:.2f}"),
        ("the same, reports written for the first time, s", "", f"{first:.2f}"),
        ("the same, nothing has changed, s", "< 0.5", f"{again:.2f}"),
    ]


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        if len(sys.argv) > 1:
            folder = Path(sys.argv[1])
        else:
            with tarfile.open(SHARED / "data" / "policy-dev.tar.xz") as archive:
                archive.extractall(scratch, filter="data")
            folder = Path(scratch) / "policy-dev"
        began = time.process_time()
        found = list(outcomes(folder))
        seconds = time.process_time() - began
    show("Kyverno", [*table(found, seconds), *scan()])
    for item in found:
        if not item.right:
            what = f"{item.expect.get('kind')}/{item.expect['resource']} {item.expect.get('rule', '')}"
            print(
                f"- miss: {item.test} {what}: {item.got}, not {item.expect['result']}: {item.message[:160]}"
            )


if __name__ == "__main__":
    main()
