"""Each mechanism alone: the cause is visible where it is, the symptoms follow the calls, the books balance."""

from __future__ import annotations

import ast
import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from firedrill.suites.generator import generate_incident
from firedrill.suites.generator.faults import MECHANISMS

pytestmark = pytest.mark.slow

csv.field_size_limit(1 << 30)
Object = dict[str, Any]
PROPAGATING = sorted(MECHANISMS)


class Evidence:
    """One incident as an engineer would load it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.truth: Object = yaml.safe_load((folder / "ground_truth.yaml").read_text())
        self.pulls: dict[tuple[str, str, str], list[Object]] = {}
        for row in self.rows("k8s_objects_raw.tsv"):
            item = json.loads(row["Body"])
            meta = item["metadata"]
            self.pulls.setdefault((item["kind"], meta.get("namespace", ""), meta["name"]), []).append(item)
        self.events = [json.loads(row["Body"])["object"] for row in self.rows("k8s_events_raw.tsv")]
        self.spans = self.rows("otel_traces_raw.tsv")
        self.logs = self.rows("otel_logs_raw.tsv")
        self.root = next(group for group in self.truth["groups"] if group.get("root_cause"))
        self.change = self.truth["fault"][0]["changed"]
        self.victim_pods = [group for group in self.truth["groups"] if group["kind"] == "Pod"]

    def rows(self, name: str) -> list[dict[str, str]]:
        with (self.folder / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, delimiter="\t"))

    @property
    def root_versions(self) -> list[Object]:
        name = self.truth["fault"][0]["entity"]["name"]
        return self.pulls[self.root["kind"], self.root.get("namespace", ""), name]

    def alerts(self) -> list[list[Object]]:
        return [json.loads(path.read_text()) for path in sorted((self.folder / "alerts").iterdir())]

    def pods(self, service: str) -> list[Object]:
        """The last state of each pod of a service."""
        return [
            states[-1]
            for (kind, _, _), states in self.pulls.items()
            if kind == "Pod" and states[-1]["metadata"]["labels"]["app.kubernetes.io/name"] == service
        ]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Evidence]:
    place = tmp_path_factory.mktemp("mechanisms")
    return {
        name: Evidence(generate_incident(place / name, mechanisms=[name], seed=21, scale=0.4))
        for name in MECHANISMS
    }


def event_texts(evidence: Evidence) -> list[str]:
    return [f"{event['reason']}: {event.get('message', event.get('note'))}" for event in evidence.events]


@pytest.mark.parametrize("name", sorted(MECHANISMS))
def test_the_root_object_differs_from_its_healthy_state(made: dict[str, Evidence], name: str) -> None:
    versions = made[name].root_versions
    keep = ("spec", "data", "subsets")
    first, last = ({key: item.get(key) for key in keep} for item in (versions[0], versions[-1]))
    pulls = max(len(states) for states in made[name].pulls.values())
    # A policy or drill that the fault brings was not there before.
    assert first != last or len(versions) < pulls
    numbers = [int(item["metadata"]["resourceVersion"]) for item in versions]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("name", sorted(MECHANISMS))
def test_users_notice_and_an_alert_fires_after_the_fault_only(made: dict[str, Evidence], name: str) -> None:
    evidence = made[name]
    expected = {alert["id"] for alert in evidence.truth["alerts"]}
    assert expected
    first, last = evidence.alerts()[0], evidence.alerts()[-1]
    calm = {"Watchdog", "KubeJobFailed", "KubeClientCertificateExpiration"}
    assert {alert["labels"]["alertname"] for alert in first} <= calm
    assert expected & {alert["labels"]["alertname"] for alert in last}
    front = next(span["ServiceName"] for span in evidence.spans if not span["ParentSpanId"])
    assert f"{front}-service-1" in {step["target"] for step in evidence.truth["propagations"]}


@pytest.mark.parametrize("name", sorted(MECHANISMS))
def test_errors_pass_up_the_calls_and_no_other_way(made: dict[str, Evidence], name: str) -> None:
    """A failed server span has a failed child, or it failed by itself and says so."""
    spans = made[name].spans
    failed_below = Counter(span["ParentSpanId"] for span in spans if span["StatusCode"] == "Error")
    for span in spans:
        if span["StatusCode"] == "Error" and span["SpanKind"] in ("Server", "Consumer"):
            assert failed_below[span["SpanId"]] or span["StatusMessage"], span


@pytest.mark.parametrize("name", sorted(MECHANISMS))
def test_spans_form_trees_inside_the_time_of_their_parents(made: dict[str, Evidence], name: str) -> None:
    spans = made[name].spans
    by_id = {span["SpanId"]: span for span in spans}
    assert len(by_id) == len(spans)
    assert [span["Timestamp"] for span in spans] == sorted(span["Timestamp"] for span in spans)
    for span in spans:
        if span["ParentSpanId"]:
            parent = by_id[span["ParentSpanId"]]
            assert parent["TraceId"] == span["TraceId"]
            assert parent["Timestamp"] <= span["Timestamp"]
        else:
            assert span["SpanKind"] == "Server"


@pytest.mark.parametrize("name", sorted(MECHANISMS))
def test_error_counters_agree_with_the_traces(made: dict[str, Evidence], name: str) -> None:
    evidence = made[name]
    failed = Counter(
        (span["ServiceName"], span["SpanName"], f"SPAN_KIND_{span['SpanKind'].upper()}")
        for span in evidence.spans
        if span["StatusCode"] == "Error"
    )
    counted: dict[tuple[str, str, str], float] = {}
    for path in (evidence.folder / "metrics").glob("service_*"):
        for row in evidence.rows(f"metrics/{path.name}"):
            if row["metric_type"] == "error_rate":
                assert row["status_code"] == "STATUS_CODE_ERROR"
                tags = ast.literal_eval(row["tags"])
                key = (row["service_name"], tags["span_name"], tags["span_kind"])
                assert float(row["value"]) >= counted.get(key, 0.0)
                counted[key] = float(row["value"])
    assert failed or name == "network-delay"
    for key, number in counted.items():
        # Counters are read up to the last scrape; spans end a little later.
        assert number <= failed[key]
    assert sum(counted.values()) >= 0.7 * sum(failed.values())


@pytest.mark.parametrize("name", sorted(MECHANISMS))
def test_buckets_rise_with_their_bound_and_with_time(made: dict[str, Evidence], name: str) -> None:
    path = sorted((made[name].folder / "metrics").glob("service_*"))[0]
    last: dict[str, float] = {}
    at_once: dict[tuple[str, str], list[float]] = {}
    for row in made[name].rows(f"metrics/{path.name}"):
        if row["metric_type"] == "duration_p95":
            assert float(row["value"]) >= last.get(row["tags"], 0.0)
            last[row["tags"]] = float(row["value"])
            tags = ast.literal_eval(row["tags"])
            key = (row["timestamp"], tags["span_name"] + tags["span_kind"] + tags["status_code"])
            at_once.setdefault(key, []).append(float(row["value"]))
    assert at_once
    assert all(values == sorted(values) for values in at_once.values())


@pytest.mark.parametrize("name", sorted(MECHANISMS))
def test_nothing_in_the_evidence_names_the_fault(made: dict[str, Evidence], name: str) -> None:
    words = ("fault", "inject", "mechanism", "root_cause", "root cause", "itbench", "firedrill", "synthetic")
    for path in made[name].folder.rglob("*"):
        if path.is_file() and path.name != "ground_truth.yaml":
            text = path.read_text().lower().replace("defaultvariant", "").replace("default", "")
            # Chaos-mesh's own conditions say that an experiment is injected.
            text = text.replace("allinjected", "").replace('""injected""', "")
            found = [word for word in words if word in text]
            assert found == [], (path.name, found)


@pytest.mark.parametrize("name", sorted(MECHANISMS))
def test_more_than_the_root_changes_during_the_record(made: dict[str, Evidence], name: str) -> None:
    evidence = made[name]
    changed = set()
    for (kind, _, item_name), states in evidence.pulls.items():
        specs = [
            json.dumps({key: item.get(key) for key in ("spec", "data")}, sort_keys=True) for item in states
        ]
        if kind not in ("Pod", "ReplicaSet", "NetworkChaos") and len(set(specs)) > 1:
            changed.add((kind, item_name))
    assert len(changed) >= 2


def last_states(evidence: Evidence) -> list[Object]:
    service = evidence.victim_pods[0]["id"].removesuffix("-pod-1")
    return evidence.pods(service)


def waiting(pod: Object) -> str:
    statuses = pod["status"].get("containerStatuses", [])
    return str(statuses[0]["state"].get("waiting", {}).get("reason", "")) if statuses else ""


@pytest.mark.parametrize(
    ("name", "reason", "text"),
    [
        ("bad-image", "ImagePullBackOff", "Failed: Error: ErrImagePull"),
        ("missing-config", "CreateContainerConfigError", 'Failed: Error: configmap "'),
        ("bad-command", "CrashLoopBackOff", "executable file not found in $PATH"),
        ("low-memory-limit", "CrashLoopBackOff", "BackOff: Back-off restarting failed container"),
    ],
)
def test_a_container_waits_for_the_right_reason(
    made: dict[str, Evidence], name: str, reason: str, text: str
) -> None:
    states = [pod for (kind, _, _), states in made[name].pulls.items() if kind == "Pod" for pod in states]
    assert reason in {waiting(pod) for pod in states}
    assert any(text in line for line in event_texts(made[name]))


def test_memory_kills_say_137(made: dict[str, Evidence]) -> None:
    ended = [
        pod["status"]["containerStatuses"][0]["lastState"].get("terminated", {})
        for pod in last_states(made["low-memory-limit"])
        if pod["status"].get("containerStatuses")
    ]
    assert {"exitCode": 137, "reason": "OOMKilled"}.items() <= ended[-1].items()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cordoned-node", "node(s) were unschedulable"),
        ("unbound-claim", "unbound immediate PersistentVolumeClaims"),
    ],
)
def test_pods_pend_with_the_scheduler_s_words(made: dict[str, Evidence], name: str, text: str) -> None:
    pending = [pod for pod in last_states(made[name]) if pod["status"]["phase"] == "Pending"]
    assert pending
    assert all(text in pod["status"]["conditions"][0]["message"] for pod in pending)
    assert all("nodeName" not in pod["spec"] for pod in pending)


def test_a_tight_quota_refuses_pods_and_counts_right(made: dict[str, Evidence]) -> None:
    lines = [line for line in event_texts(made["tight-quota"]) if "exceeded quota" in line]
    assert lines
    last = made["tight-quota"].root_versions[-1]
    hard, used = (
        int(last["status"][part]["requests.memory"].removesuffix("Mi")) for part in ("hard", "used")
    )
    assert used <= hard
    assert f"used: requests.memory={used}Mi" in lines[-1]


@pytest.mark.parametrize("name", ["selector-mismatch", "scaled-to-zero"])
def test_a_service_without_endpoints_has_none(made: dict[str, Evidence], name: str) -> None:
    service = made[name].truth["fault"][0]["entity"]["name"]
    namespace = made[name].root["namespace"]
    states = made[name].pulls["Endpoints", namespace, service]
    assert states[0]["subsets"][0]["addresses"]
    assert not states[-1].get("subsets")


def test_a_broken_probe_leaves_pods_running_but_not_ready(made: dict[str, Evidence]) -> None:
    evidence = made["broken-readiness"]
    service = evidence.truth["fault"][0]["entity"]["name"]
    pods = [pod for pod in evidence.pods(service) if "nodeName" in pod["spec"]]
    newest = max(pods, key=lambda pod: pod["metadata"]["creationTimestamp"])
    status = newest["status"]["containerStatuses"][0]
    assert "running" in status["state"]
    assert not status["ready"]
    line = next(text for text in event_texts(evidence) if newest["status"]["podIP"] in text)
    assert line.startswith("Unhealthy: Readiness probe failed")


def test_a_refused_password_is_logged_by_the_store_too(made: dict[str, Evidence]) -> None:
    evidence = made["corrupt-credential"]
    lines = [row for row in evidence.logs if "denied" in row["Body"] or "authentication" in row["Body"]]
    lines += [row for row in evidence.logs if "refused: user" in row["Body"]]
    assert len({row["ServiceName"] for row in lines}) == 2


def test_a_running_drill_spawns_experiments_on_our_pods(made: dict[str, Evidence]) -> None:
    evidence = made["network-delay"]
    name = evidence.truth["fault"][0]["entity"]["name"]
    spawned = [
        states[-1]
        for (kind, _, _), states in evidence.pulls.items()
        if kind == "NetworkChaos" and states[-1]["metadata"]["ownerReferences"][0]["name"] == name
    ]
    assert spawned
    assert all(item["status"]["experiment"]["containerRecords"] for item in spawned)
    others = [
        states for (kind, _, item), states in evidence.pulls.items() if kind == "Schedule" and item != name
    ]
    assert others


@pytest.mark.parametrize("name", ["cpu-throttling", "network-delay", "capped-autoscaler", "blocking-policy"])
def test_slow_mechanisms_trip_the_latency_alert(made: dict[str, Evidence], name: str) -> None:
    assert "HighRequestLatency" in {alert["id"] for alert in made[name].truth["alerts"]}


def test_throttling_shows_in_the_pod_s_metrics(made: dict[str, Evidence]) -> None:
    evidence = made["cpu-throttling"]
    service = evidence.truth["fault"][0]["entity"]["name"]
    ratios = []
    for path in (evidence.folder / "metrics").glob(f"pod_{service}-*"):
        rows = evidence.rows(f"metrics/{path.name}")
        held = [float(row["value"]) for row in rows if "throttled" in row["metric_name"]]
        periods = [float(row["value"]) for row in rows if row["metric_name"].endswith("cfs_periods_total")]
        if len(held) > 2:
            ratios.append((held[-1] - held[-2]) / (periods[-1] - periods[-2]))
    assert max(ratios) > 0.7
