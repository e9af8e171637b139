"""How far admission agrees with public policy cases: ``python bench/bench_world_policy.py [FOLDER]``.

FOLDER is the unpacked ``policy-dev``; without it, ``data/policy-dev.tar.xz`` of FIREDRILL_SHARED is unpacked.
"""

from __future__ import annotations

import os
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

import kyverno_cases
from firedrill.world.kube import cel
from firedrill.world.kube.admission.pod_security import evaluate
from table import Row, show

SHARED = Path(os.environ.get("FIREDRILL_SHARED") or Path(__file__).resolve().parents[2] / "shared")


def pod_security(folder: Path) -> tuple[Row, list[str]]:
    right, misses = 0, []
    paths = sorted((folder / "psa").glob("v*/*/*/*.yaml"))
    for path in paths:
        pod: dict[str, Any] = yaml.safe_load(path.read_text())
        found = evaluate(path.parts[-3], path.parts[-4], pod["metadata"], pod["spec"])
        if bool(found) is (path.parts[-2] == "fail"):
            right += 1
        else:
            misses.append(f"{path.relative_to(folder)}: {[str(item) for item in found]}")
    return ("pod security, pods judged right", "100 %", f"{right} of {len(paths)}"), misses


def kyverno(folder: Path) -> tuple[list[Row], list[str]]:
    began = time.perf_counter()
    outcomes = list(kyverno_cases.outcomes(folder, kyverno_cases.CEL))
    seconds = time.perf_counter() - began
    table: list[Row] = []
    for suite in kyverno_cases.CEL:
        mine = [item for item in outcomes if item.suite == suite]
        right = sum(item.right for item in mine)
        table.append(
            (f"{suite}, verdicts right", "99 %", f"{right} of {len(mine)} ({right / len(mine):.1%})")
        )
    table.append(("all of them, seconds", "-", f"{seconds:.2f}"))
    wrong = [item for item in outcomes if not item.right]
    return table, [
        f"{i.test} {i.expect['kind']}/{i.expect['resource']}: {i.got}, not {i.expect['result']}"
        for i in wrong
    ]


def speed() -> list[Row]:
    pod = {
        "spec": {
            "containers": [{"name": f"c{n}", "securityContext": {"runAsNonRoot": True}} for n in range(5)]
        }
    }
    text = "object.spec.containers.all(c, c.?securityContext.runAsNonRoot.orValue(false))"
    began = time.perf_counter()
    for n in range(200):
        cel.Program(f"{text} || {n} < 0")
    compiled = (time.perf_counter() - began) / 200
    program = cel.compile(text)
    began = time.perf_counter()
    for _ in range(2000):
        program.evaluate({"object": pod})
    evaluated = (time.perf_counter() - began) / 2000
    return [
        ("compile an expression, ms", "-", f"{compiled * 1e3:.3f}"),
        ("evaluate it on a pod of five containers, ms", "-", f"{evaluated * 1e3:.3f}"),
    ]


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        if len(sys.argv) > 1:
            folder = Path(sys.argv[1])
        else:
            with tarfile.open(SHARED / "data" / "policy-dev.tar.xz") as archive:
                archive.extractall(scratch, filter="data")
            folder = Path(scratch) / "policy-dev"
        first, misses = pod_security(folder)
        rows, more = kyverno(folder)
        show("Admission engines", [first, *rows, *speed()])
        for line in misses + more:
            print(f"- miss: {line}")


if __name__ == "__main__":
    main()
