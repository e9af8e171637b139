"""`firedrill world serve` as its users meet it: a process, addresses, clients, an end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from firedrill.cli import main


def _started(*words: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    command = [sys.executable, "-m", "firedrill", "world", "serve", "--json", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        pytest.fail(process.communicate()[1])
    return process, json.loads(line)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Any]]:
    """The book pages, served by a process of their own."""
    file = tmp_path_factory.mktemp("served") / "kubeconfig"
    process, told = _started("--app", "book-info", "--history", "6", "--kubeconfig", str(file))
    yield told
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert errors == ""


def _get(address: str, path: str, **query: object) -> Any:
    text = "?" + urllib.parse.urlencode(query, doseq=True) if query else ""
    with urllib.request.urlopen(address + path + text, timeout=30) as answer:
        return json.loads(answer.read())


def test_all_addresses_answer_about_the_same_world(served: Mapping[str, Any]) -> None:
    """Metrics, alerts, logs and traces are there from the start, at the present of whoever asks."""
    at = served["addresses"]
    assert set(at) == {"kubernetes", "prometheus", "alertmanager", "loki", "jaeger"}
    assert at["kubernetes"] == served["server"]
    query = "sum by (service_name)(rate(traces_span_metrics_calls_total[2m]))"
    now = time.time()
    found = _get(at["prometheus"], "/api/v1/query", query=query, time=now)["data"]["result"]
    names = {one["metric"]["service_name"] for one in found}
    assert {"productpage", "reviews", "traffic-generator"} <= names
    args = {"query": query, "start": now - 240, "end": now, "step": 15}
    ranged = _get(at["prometheus"], "/api/v1/query_range", **args)["data"]["result"]
    assert all(len(one["values"]) >= 12 for one in ranged)
    alerts = _get(at["alertmanager"], "/api/v2/alerts")
    assert [one["labels"]["alertname"] for one in alerts] == ["Watchdog"]
    selector = '{namespace="book-info",app="productpage"}'
    lines = _get(at["loki"], "/loki/api/v1/query_range", query=selector, limit=5)["data"]["result"]
    assert sum(len(one["values"]) for one in lines) == 5
    services = _get(at["jaeger"], "/api/services")["data"]
    assert set(services) == names
    traces = _get(at["jaeger"], "/api/traces", service="productpage", limit=2, lookback="5m")["data"]
    assert len(traces) == 2


def test_what_watches_can_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only the objects of an application, or all but its users."""
    process, told = _started("--app", "book-info", "--bare-manifests", "--kubeconfig", str(tmp_path / "a"))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert set(told["addresses"]) == {"kubernetes"}
    quiet = [
        "--app",
        "book-info",
        "--no-traffic",
        "--history",
        "1",
        "--kubeconfig",
        str(tmp_path / "b"),
    ]
    process, told = _started(*quiet)
    at = told["addresses"]
    query = {"query": 'count(kube_pod_info) or count({__name__=~"traces_.*"})'}
    assert len(_get(at["prometheus"], "/api/v1/query", **query)["data"]["result"]) == 1
    assert _get(at["jaeger"], "/api/services")["data"] is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_users_come_to_one_application(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever asks for traffic has to name what it goes to."""
    assert main(["world", "serve", "--traffic"]) == 2
    assert "one application" in capsys.readouterr().err
