"""Incidents of living worlds are written as recorders would have kept them, and read back."""

from __future__ import annotations

import csv
import hashlib
import json
from ast import literal_eval
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from firedrill import faults
from firedrill.snapshot.columns import (
    LOG_COLUMNS,
    POD_METRIC_COLUMNS,
    SERVICE_METRIC_COLUMNS,
    TRACE_COLUMNS,
)
from firedrill.suites.exporting import Amount, export_incident
from firedrill.suites.lint import lint_any
from firedrill.suites.living.observing import Minute, Observer
from firedrill.world.app import load_package
from firedrill.world.living import make_living
from firedrill.world.telemetry.monitoring import Monitoring
from firedrill.world.telling import requests_of
from firedrill.world.world import World

pytestmark = pytest.mark.slow

csv.field_size_limit(1 << 24)
AMOUNT = Amount(traces=0.5, metrics_ms=60_000)
TRUTH = {
    "metadata": {"version": "v1"},
    "fault": [],
    "groups": [
        {
            "id": "details-deployment-1",
            "kind": "Deployment",
            "namespace": "book-info",
            "filter": ["^details-v1$"],
            "root_cause": True,
        }
    ],
    "alerts": [],
    "aliases": [],
    "propagations": [],
    "recommended_actions": [],
}


@dataclass
class Watched:
    """A world that was observed, as an incident is."""

    world: World
    minutes: list[Minute]


@pytest.fixture(scope="module")
def incident() -> Watched:
    world = make_living(load_package("book-info"), 5)
    observer = Observer()
    observer.run(world, world.now + 240_000)
    fault = faults.find("liveness-probe-incorrect-port")
    faults.inject(world, fault, {"namespace": "book-info", "name": "details-v1"})
    observer.run(world, world.now + 240_000)
    return Watched(world, observer.minutes)


@pytest.fixture(scope="module")
def folder(incident: Watched, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "sre" / "Scenario-1"
    export_incident(incident, out, amount=AMOUNT, truth=TRUTH)
    return out


def rows(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, delimiter="\t")
        found = list(reader)
        return list(reader.fieldnames or []), found


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_tables_have_the_published_columns(folder: Path) -> None:
    for name, columns in (
        ("k8s_events_raw", LOG_COLUMNS),
        ("k8s_objects_raw", LOG_COLUMNS),
        ("otel_logs_raw", LOG_COLUMNS),
        ("otel_traces_raw", TRACE_COLUMNS),
    ):
        header, found = rows(folder / f"{name}.tsv")
        assert header == list(columns)
        assert found
        times = [row["Timestamp"] for row in found]
        assert times == sorted(times)
        assert all(None not in row.values() for row in found)
    for path in (folder / "metrics").iterdir():
        wanted = POD_METRIC_COLUMNS if path.name.startswith("pod_") else SERVICE_METRIC_COLUMNS
        assert rows(path)[0] == list(wanted)


def test_every_file_reads_back_without_a_problem(folder: Path) -> None:
    report = lint_any(folder.parent.parent)
    assert not [item for item in report.findings if item.severity == "error"]


def test_spans_are_those_of_the_requests(incident: Watched, folder: Path) -> None:
    _, found = rows(folder / "otel_traces_raw.tsv")
    known = {row["SpanId"] for row in found}
    roots = [row for row in found if not row["ParentSpanId"]]
    kept = len({row["TraceId"] for row in found})
    asked = requests_of(incident.world)
    assert asked is not None
    begin = incident.minutes[0].at
    made = sum(int((asked.tick(n).rows.parent < 0).sum()) for n in asked.ticks(begin, incident.world.now))
    assert 0.4 * made < kept < 0.6 * made
    assert len(roots) <= kept + 5
    whole = [row for row in found if row["ParentSpanId"] in known or not row["ParentSpanId"]]
    assert len(whole) > 0.99 * len(found)
    for row in found[:200]:
        assert int(row["Duration"]) >= 0
        assert literal_eval(row["ResourceAttributes"])["service.name"] == row["ServiceName"]
        assert row["SpanKind"] in {"Client", "Server", "Producer", "Consumer", "Internal"}
    assert {row["StatusCode"] for row in found} <= {"Unset", "Error"}


def test_logs_lead_to_traces(folder: Path) -> None:
    _, found = rows(folder / "otel_logs_raw.tsv")
    _, spans = rows(folder / "otel_traces_raw.tsv")
    traces = {row["TraceId"]: row["ServiceName"] for row in spans}
    told = [row for row in found if row["TraceId"]]
    assert told
    assert any(row["TraceId"] in traces for row in told)
    severities = {"": 0, "DEBUG": 5, "INFO": 9, "WARN": 13, "ERROR": 17, "FATAL": 21}
    assert all(severities[row["SeverityText"]] == int(row["SeverityNumber"]) for row in found)
    pods = {literal_eval(row["ResourceAttributes"])["k8s.pod.name"] for row in found}
    assert len(pods) >= 5


def test_events_and_objects_are_those_of_the_cluster(incident: Watched, folder: Path) -> None:
    _, found = rows(folder / "k8s_events_raw.tsv")
    bodies = [json.loads(row["Body"]) for row in found]
    assert {body["type"] for body in bodies} == {"ADDED", "MODIFIED"}
    unhealthy = [body["object"] for body in bodies if body["object"]["reason"] == "Unhealthy"]
    assert any("Liveness probe failed" in item["message"] for item in unhealthy)
    _, objects = rows(folder / "k8s_objects_raw.tsv")
    kinds = Counter(json.loads(row["Body"])["kind"] for row in objects)
    assert "Secret" not in kinds
    assert {"Pod", "Service", "Endpoints", "Deployment", "Node", "ConfigMap"} <= set(kinds)
    pulls = [item for item in incident.minutes if item.pulled is not None]
    assert sum(kinds.values()) == sum(len(item.pulled.objects) for item in pulls if item.pulled)


def test_samples_are_those_of_the_series(incident: Watched, folder: Path) -> None:
    path = next((folder / "metrics").glob("pod_details-v1-*"))
    _, found = rows(path)
    name = found[0]["pod_name"]
    tags: dict[str, Any] = literal_eval(found[0]["tags"])
    assert tags["pod"] == name
    store = incident.world.cluster.part(Monitoring).store
    assert {row["metric_name"] for row in found} <= set(store.names())
    restarts = [
        float(row["value"])
        for row in found
        if row["metric_name"] == "kube_pod_container_status_restarts_total"
    ]
    assert restarts == sorted(restarts)
    services = list((folder / "metrics").glob("service_*"))
    assert services
    kinds = {row["metric_type"] for path in services for row in rows(path)[1]}
    assert "duration_p95" in kinds


def test_alerts_are_what_prometheus_says(folder: Path) -> None:
    files = sorted((folder / "alerts").iterdir())
    assert 7 <= len(files) <= 8
    for path in files:
        for alert in json.loads(path.read_text()):
            assert alert["state"] == "firing"
            assert {"labels", "annotations", "activeAt", "value"} <= set(alert)
            assert isinstance(alert["value"], str)


def test_the_same_world_gives_the_same_bytes(incident: Watched, folder: Path, tmp_path: Path) -> None:
    export_incident(
        Watched(incident.world.fork(), incident.minutes), tmp_path / "x", amount=AMOUNT, truth=TRUTH
    )
    assert digests(tmp_path / "x") == digests(folder)


def test_only_what_is_asked_for_is_written(incident: Watched, folder: Path, tmp_path: Path) -> None:
    end = incident.world.now - 120_000
    export_incident(incident, tmp_path, modalities=("logs", "alerts"), end_ms=end)
    assert {path.name for path in tmp_path.iterdir()} == {"alerts", "otel_logs_raw.tsv"}
    _, found = rows(tmp_path / "otel_logs_raw.tsv")
    whole = rows(folder / "otel_logs_raw.tsv")[1]
    assert 0 < len(found) < len(whole)
    assert found == whole[: len(found)]
    assert len(list((tmp_path / "alerts").iterdir())) <= 6
