"""What a served world costs: its process, requests over HTTPS, and kubectl of every version at hand.

Run alone, or as a part of `bench_world.py`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from bench_gateway import hammer
from firedrill.gateway.kubernetes.kubectl import find_kubectl
from table import Row, show
from world_load import application, deployment

SECONDS = 2.0
RUNS = 9


@contextmanager
def served(folder: Path) -> Iterator[tuple[int, Path]]:
    """(process id, kubeconfig) of `firedrill world serve` with the application of 30 services."""
    (folder / "app.yaml").write_text(yaml.safe_dump_all(application()), "utf-8")
    command = [str(Path(sys.executable).with_name("firedrill")), "world", "serve", "--json"]
    command += ["--app", str(folder / "app.yaml"), "--kubeconfig", str(folder / "kubeconfig")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        yield told["pid"], Path(told["kubeconfig"])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def memory(pid: int) -> float:
    """Resident megabytes of a process now."""
    text = Path(f"/proc/{pid}/status").read_text("ascii")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS")) / 1024


def processor(pid: int) -> float:
    """Seconds of processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def gets(pid: int, kubeconfig: Path) -> list[Row]:
    """Rows of GETs of one object: by the wall, and by the processor of the server alone."""
    given: Any = yaml.safe_load(kubeconfig.read_text("utf-8"))
    server = given["clusters"][0]["cluster"]
    token = given["users"][0]["user"]["token"]
    ca = base64.b64decode(server["certificate-authority-data"])
    head = (
        f"GET /apis/apps/v1/namespaces/default/deployments/service-1 HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {token}\r\nAccept: application/json\r\n\r\n"
    ).encode()
    best, cheapest = 0.0, 1.0
    for _ in range(3):
        before = processor(pid)
        seconds, took = asyncio.run(hammer(int(server["server"].rpartition(":")[2]), ca, head, SECONDS))
        best = max(best, len(took) / seconds)
        cheapest = min(cheapest, (processor(pid) - before) / len(took))
    return [
        ("GET over HTTPS, one server process, one client process", "1 000/s", f"{best:,.0f}/s"),
        ("  as far as the server's own core goes", "1 000/s", f"{1 / cheapest:,.0f}/s"),
    ]


def timed(argv: Sequence[str], env: dict[str, str]) -> tuple[float, float, int]:
    """(best, median) wall milliseconds of a command, after a first run that fills its caches; its lines."""
    times, lines = [], 0
    for number in range(RUNS + 1):
        began = time.perf_counter()
        done = subprocess.run(argv, env=env, capture_output=True, check=True)
        lines = done.stdout.count(b"\n")
        if number:
            times.append((time.perf_counter() - began) * 1000)
    return min(times), sorted(times)[RUNS // 2], lines


def kubectl(kubeconfig: Path, folder: Path) -> list[Row]:
    """Rows of `kubectl get pods` of 100 pods, with what kubectl takes alone to say its own version."""
    found = find_kubectl()
    if not found:
        return [("kubectl get pods (100 pods)", "150 ms", "no kubectl at hand")]
    env = {"KUBECONFIG": str(kubeconfig), "HOME": str(folder)}
    (folder / "more.yaml").write_text(yaml.safe_dump(deployment(99, replicas=40)), "utf-8")
    subprocess.run(
        [found[0].path, "apply", "-f", str(folder / "more.yaml")], env=env, check=True, capture_output=True
    )
    rows = []
    for item in sorted(found, key=lambda one: one.version):
        best, median, lines = timed([str(item.path), "get", "pods"], env)
        assert lines == 101, lines
        alone, _, _ = timed([str(item.path), "version", "--client"], env)
        name = ".".join(map(str, item.version))
        rows.append(
            (
                f"kubectl {name} get pods (100 pods)",
                "150 ms",
                f"{best:.0f} ms best, {median:.0f} median (its own start {alone:.0f})",
            )
        )
    return rows


def rows() -> list[Row]:
    """All rows of this part."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        with served(folder) as (pid, kubeconfig):
            fresh = memory(pid)
            out = gets(pid, kubeconfig)
            size = f"{fresh:.0f} MB, {memory(pid):.0f} after {3 * SECONDS:.0f} s of GETs"
            first: Row = ("memory of `firedrill world serve` with 30 services", "150 MB", size)
            return [first, *out, *kubectl(kubeconfig, folder)]


if __name__ == "__main__":
    show("a served world", rows())
