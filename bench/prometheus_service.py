"""A real Prometheus beside the tests: found, started on a free port, written to, and asked."""

from __future__ import annotations

import os
import re
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx

Labels = Sequence[tuple[str, str]]
STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
"""The value that ends a series."""
_ROOT = Path(__file__).resolve().parents[1]
_VERSION = re.compile(r"version (\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True, order=True)
class PrometheusBinary:
    """A program and its version."""

    version: tuple[int, int, int]
    path: Path


@lru_cache(maxsize=1)
def find_prometheus() -> tuple[PrometheusBinary, ...]:
    """Every Prometheus in PATH and in the checkout's `tools/`, oldest first, one for each version."""
    folders = [Path(text) for text in os.environ.get("PATH", "").split(os.pathsep) if text.startswith("/")]
    folders += sorted((_ROOT / "tools").glob("prometheus-*/bin"))
    found: dict[tuple[int, int, int], PrometheusBinary] = {}
    for folder in folders:
        path = folder / "prometheus"
        if not os.access(path, os.X_OK):
            continue
        command = [str(path), "--version"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=20)
        match = _VERSION.search(done.stdout + done.stderr)
        if match is not None:
            version = (int(match[1]), int(match[2]), int(match[3]))
            found.setdefault(version, PrometheusBinary(version, path))
    return tuple(sorted(found.values()))


def _varint(number: int) -> bytes:
    out = bytearray()
    number &= (1 << 64) - 1
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _series(labels: Labels, samples: Iterable[tuple[int, float]]) -> bytes:
    out = b"".join(_field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in labels)
    for at_ms, value in samples:
        out += _field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(at_ms))
    return _field(1, out)


def _snappy(data: bytes) -> bytes:
    """The block format without any compression: literals only."""
    out = bytearray(_varint(len(data)))
    for begin in range(0, len(data), 65_536):
        piece = data[begin : begin + 65_536]
        out += b"\xf4" + struct.pack("<H", len(piece) - 1) + piece
    return bytes(out)


@dataclass(slots=True)
class Prometheus:
    """A server that runs."""

    binary: PrometheusBinary
    client: httpx.Client

    def write(
        self, series: Sequence[tuple[Labels, Sequence[tuple[int, float]]]], span_ms: int = 600_000
    ) -> None:
        """Samples of many series, by remote write in order of time."""
        starts = [samples[0][0] for _, samples in series if samples]
        ends = [samples[-1][0] for _, samples in series if samples]
        at = [0] * len(series)
        for begin in range(min(starts), max(ends) + 1, span_ms):
            body = b""
            for number, (labels, samples) in enumerate(series):
                low = at[number]
                while at[number] < len(samples) and samples[at[number]][0] < begin + span_ms:
                    at[number] += 1
                if at[number] > low:
                    body += _series(labels, samples[low : at[number]])
            if body:
                answer = self.client.post(
                    "/api/v1/write",
                    content=_snappy(body),
                    headers={
                        "Content-Encoding": "snappy",
                        "Content-Type": "application/x-protobuf",
                        "X-Prometheus-Remote-Write-Version": "0.1.0",
                    },
                )
                answer.raise_for_status()

    def ask(self, path: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The answer of `/api/v1/PATH`, errors included."""
        found: dict[str, Any] = self.client.post(f"/api/v1/{path}", data=dict(params or {})).json()
        return found

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The same by GET."""
        found: dict[str, Any] = self.client.get(f"/api/v1/{path}", params=params).json()
        return found


@contextmanager
def running(
    binary: PrometheusBinary, config: str = "global: {}\n", files: Mapping[str, str] | None = None
) -> Iterator[Prometheus]:
    """A server with an empty store in a folder of its own, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="prometheus-") as folder, socket.socket() as taken:
        for name, text in (files or {}).items():
            Path(folder, name).write_text(text, encoding="utf-8")
        Path(folder, "prometheus.yml").write_text(config, encoding="utf-8")
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        taken.close()
        process = subprocess.Popen(
            [
                str(binary.path), f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver",
                "--storage.tsdb.retention.time=100y", "--log.level=error",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
            env={**os.environ, "GOGC": "800"},  # it holds little: collecting garbage is a third of its work
        )  # fmt: skip
        try:
            # no proxy of the environment between the two
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
                _wait(client, process)
                yield Prometheus(binary, client)
        finally:
            process.terminate()
            process.wait(timeout=20)


def _wait(client: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    for _ in range(400):
        if process.poll() is not None:
            raise RuntimeError(f"Prometheus ended with {process.returncode}")
        try:
            if client.get("/-/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise RuntimeError("Prometheus is not ready after 20 s")
