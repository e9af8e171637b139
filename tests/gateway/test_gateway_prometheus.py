"""The APIs of Prometheus and Alertmanager on a small world: golden answers, clients' habits, hostile requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from firedrill.gateway.prometheus import HostWatched, alertmanager_app, prometheus_app
from firedrill.gateway.prometheus.alertmanager import fingerprint
from firedrill.world.telemetry import Monitoring, labels
from firedrill.world.telemetry.rules import read_rules

GOLDEN = Path(__file__).parent / "data" / "prometheus" / "golden.yaml"
START = 1_700_000_000_000 // 960_000 * 960_000
RULES = """
groups:
  - name: shop.rules
    interval: 15s
    rules:
      - record: job:requests:rate1m
        expr: sum by (job) (rate(requests_total[1m]))
      - alert: TooManyErrors
        expr: rate(requests_total{code="500"}[1m]) > 1
        for: 30s
        labels: {severity: critical}
        annotations: {description: "{{ $labels.instance }} has {{ $value | humanize }} errors a second"}
      - alert: Slow
        expr: rate(requests_total{code="500"}[1m]) > 1
        for: 1h
      - alert: Broken
        expr: requests_total * on (job) requests_total
"""


class Fixed:
    """A world whose clock stands still."""

    def __init__(self) -> None:
        self.monitoring = Monitoring()
        self.now_ms = START + 300_000
        self.refreshed = 0
        watch = self.monitoring
        watch.rules.add(read_rules(RULES, "/etc/prometheus/shop.yaml"))
        store = watch.store
        store.describe("requests_total", "counter", "Requests by code.")
        for pod in ("a", "b"):
            store.add_target(f"pod-{pod}", {"job": "web", "instance": f"{pod}:80"}, START, offset_ms=0)
        families = [labels.make({"code": code}, "requests_total") for code in ("200", "500")]
        blocks = [store.block(f"pod-{pod}", families, START) for pod in ("a", "b")]
        for at in range(START, self.now_ms + 1, 5000):
            store.values(blocks[0])[:] += [50, 10]
            store.values(blocks[1])[:] += [50, 0]
            if at == START + 200_000:
                store.set_up("pod-b", False, at)
            watch.advance(at)

    def refresh(self, *, free: bool = False) -> None:
        self.refreshed += 1


@pytest.fixture(scope="module")
def fixed() -> Fixed:
    return Fixed()


@pytest.fixture(scope="module")
def prometheus(fixed: Fixed) -> Iterator[TestClient]:
    with TestClient(prometheus_app(fixed)) as client:
        yield client


@pytest.fixture
def silenced(fixed: Fixed) -> Iterator[TestClient]:
    kept, fixed.monitoring = fixed.monitoring, fixed.monitoring.fork()
    with TestClient(alertmanager_app(fixed)) as client:
        yield client
    fixed.monitoring = kept


@pytest.mark.parametrize(
    "case", yaml.safe_load(GOLDEN.read_text(encoding="utf-8")), ids=lambda case: case["get"]
)
def test_golden(case: dict[str, Any], fixed: Fixed) -> None:
    app = alertmanager_app(fixed) if case["get"].startswith("/api/v2") else prometheus_app(fixed)
    with TestClient(app) as client:
        answer = client.get(case["get"])
    assert answer.status_code == case.get("status", 200)
    assert answer.json() == json.loads(case["body"])


def test_each_request_lets_the_world_catch_up(prometheus: TestClient, fixed: Fixed) -> None:
    before = fixed.refreshed
    prometheus.get("/api/v1/query", params={"query": "1"})
    assert fixed.refreshed == before + 1


def test_grafana_asks_by_form_and_reads_what_it_needs(prometheus: TestClient) -> None:
    form = {
        "query": "sum(rate(requests_total[1m]))",
        "start": START / 1000,
        "end": START / 1000 + 300,
        "step": "15",
    }
    found = prometheus.post("/api/v1/query_range", data=form).json()
    assert found["status"] == "success" and found["data"]["resultType"] == "matrix"
    assert len(found["data"]["result"][0]["values"]) == 20
    assert prometheus.post("/api/v1/labels", data={"start": START / 1000}).json()["data"][0] == "__name__"
    assert prometheus.get("/api/v1/label/__name__/values").json()["data"] == [
        "ALERTS", "ALERTS_FOR_STATE", "job:requests:rate1m", "requests_total", "up",
    ]  # fmt: skip
    assert prometheus.get("/api/v1/status/buildinfo").json()["data"]["version"].startswith("2.53")
    assert prometheus.get("/api/v1/query?query=1%2B1&time=4").json()["data"]["result"] == [4, "2"]
    assert prometheus.get("/-/healthy").text == "Prometheus Server is Healthy.\n"
    for path in ("runtimeinfo", "config", "flags", "tsdb"):
        assert prometheus.get(f"/api/v1/status/{path}").json()["status"] == "success"


def test_clients_that_pass_rfc_times_and_floats_get_the_same(prometheus: TestClient) -> None:
    at = START / 1000 + 120
    one = prometheus.get("/api/v1/query", params={"query": "up", "time": f"{at:.3f}"}).json()
    two = prometheus.get("/api/v1/query", params={"query": "up", "time": "2023-11-14T22:10:00+00:00"}).json()
    three = prometheus.get(
        "/api/v1/query", params={"query": "up", "time": "2023-11-14T23:10:00.000000001+01:00"}
    ).json()
    assert one["data"]["result"][0]["value"][1] == two["data"]["result"][0]["value"][1]
    assert two == three


def test_rules_and_alerts_can_be_narrowed(prometheus: TestClient) -> None:
    def names(query: str) -> list[str]:
        groups = prometheus.get(f"/api/v1/rules?{query}").json()["data"]["groups"]
        return [rule["name"] for group in groups for rule in group["rules"]]

    assert names("type=record") == ["job:requests:rate1m"]
    assert names("type=alert") == ["TooManyErrors", "Slow", "Broken"]
    assert names("rule_name[]=Slow&rule_name[]=Broken") == ["Slow", "Broken"]
    assert names("rule_group[]=other") == [] and names("file[]=/etc/prometheus/shop.yaml")
    rules = prometheus.get("/api/v1/rules?exclude_alerts=true").json()["data"]["groups"][0]["rules"]
    assert all(rule.get("alerts", []) == [] for rule in rules)


def test_a_silenced_alert_is_suppressed_and_still_fires(silenced: TestClient, fixed: Fixed) -> None:
    body = {
        "matchers": [{"name": "alertname", "value": "TooMany.*", "isRegex": True}],
        "startsAt": "2023-11-14T22:00:00.000Z",
        "endsAt": "2023-11-14T23:30:00.000Z",
        "createdBy": "agent",
        "comment": "known",
    }
    made = silenced.post("/api/v2/silences", json=body).json()["silenceID"]
    (alert,) = silenced.get("/api/v2/alerts").json()
    assert alert["status"] == {"state": "suppressed", "silencedBy": [made], "inhibitedBy": []}
    assert silenced.get("/api/v2/alerts?silenced=false").json() == []
    assert silenced.get('/api/v2/alerts?filter=severity="critical"').json() == [alert]
    assert silenced.get('/api/v2/alerts?filter=severity!="critical"').json() == []
    assert [dict(one.labels)["alertname"] for one in fixed.monitoring.rules.all_alerts("firing")] == [
        "TooManyErrors"
    ]
    assert silenced.get(f"/api/v2/silence/{made}").json()["status"] == {"state": "active"}
    assert [one["id"] for one in silenced.get("/api/v2/silences").json()] == [made]
    assert silenced.delete(f"/api/v2/silence/{made}").status_code == 200
    assert silenced.get(f"/api/v2/silence/{made}").json()["status"] == {"state": "expired"}
    (again,) = silenced.get("/api/v2/alerts").json()
    assert again["status"]["state"] == "active"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"matchers": []}, "at least 1 items"),
        ({"matchers": [{"name": "a", "value": "", "isRegex": False}]}, "must not match the empty string"),
        ({"matchers": [{"name": "a", "value": "(", "isRegex": True}]}, "invalid label matcher"),
        ({"matchers": 5}, "type array"),
        ({"comment": None}, "comment in body is required"),
        ({"startsAt": "now"}, "date-time"),
        ({"endsAt": "2020-01-01T00:00:00Z"}, "must be before end time"),
        ({"startsAt": "2019-01-01T00:00:00Z", "endsAt": "2020-01-01T00:00:00Z"}, "in the past"),
    ],
)
def test_silences_that_make_no_sense(silenced: TestClient, change: dict[str, Any], problem: str) -> None:
    body = {
        "matchers": [{"name": "a", "value": "b", "isRegex": False}],
        "startsAt": "2023-11-14T22:00:00Z",
        "endsAt": "2030-01-01T00:00:00Z",
        "createdBy": "x",
        "comment": "y",
    } | change
    answer = silenced.post("/api/v2/silences", json=body)
    assert answer.status_code == 400 and problem in answer.json()


def test_unknown_silences_and_broken_bodies(silenced: TestClient) -> None:
    assert silenced.get("/api/v2/silence/none").status_code == 404
    assert silenced.delete("/api/v2/silence/none").status_code == 404
    assert silenced.post("/api/v2/silences", content=b"{").status_code == 400
    assert silenced.post("/api/v2/silences", content=b"[]").status_code == 400
    body = {
        "id": "none",
        "matchers": [{"name": "a", "value": "b", "isRegex": False}],
        "startsAt": "2023-11-14T22:00:00Z",
        "endsAt": "2030-01-01T00:00:00Z",
        "createdBy": "x",
        "comment": "y",
    }
    assert silenced.post("/api/v2/silences", json=body).status_code == 404
    assert silenced.get("/api/v2/alerts?filter=a=").status_code == 400
    assert silenced.post("/api/v2/silences", content=b"x" * 2_000_000).status_code == 400


def test_an_alert_is_known_by_its_labels() -> None:
    # FNV-1a of nothing, and of a=b with its separators
    assert fingerprint(()) == "cbf29ce484222325"
    assert fingerprint((("a", "b"),)) != fingerprint((("ab", ""),))


WORDS = st.text(max_size=30) | st.sampled_from(
    ["up", "{", "1", "5m", "-1", "1e400", "NaN", "9" * 30, "\x00", "\ud800"]
)


@given(
    path=st.sampled_from(
        [
            "query",
            "query_range",
            "series",
            "labels",
            "label/x/values",
            "metadata",
            "rules",
            "targets",
            "format_query",
        ]
    ),
    params=st.dictionaries(
        st.sampled_from(
            [
                "query",
                "time",
                "start",
                "end",
                "step",
                "match[]",
                "limit",
                "timeout",
                "type",
                "lookback_delta",
                "metric",
            ]
        ),
        WORDS,
        max_size=5,
    ),
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_request_is_answered(prometheus: TestClient, path: str, params: dict[str, str]) -> None:
    clean = {key: value.encode("utf-8", "replace") for key, value in params.items()}
    answer = prometheus.get(f"/api/v1/{path}", params=clean)
    assert answer.status_code in {200, 400, 422}
    assert answer.json()["status"] in {"success", "error"}


def test_a_large_form_is_refused(prometheus: TestClient) -> None:
    assert prometheus.post("/api/v1/query", data={"query": "1" + "+1" * 600_000}).status_code == 400
    assert prometheus.get("/api/v1/query?" + "&".join(f"a{n}=1" for n in range(1200))).status_code == 400


def test_a_served_world_is_watched() -> None:
    from firedrill.world import World

    class Host:
        """As much of a served world as is asked for."""

        def __init__(self) -> None:
            self.world = World(seed=1)
            self.arrived = 0

        def arrive(self, *, write: bool, free: bool = False) -> None:
            assert not write
            self.arrived += 1

    host = Host()
    watched = HostWatched(host)  # type: ignore[arg-type]
    with TestClient(prometheus_app(watched)) as client:
        found = client.get("/api/v1/query?query=time()").json()
    assert found["data"]["result"] == [host.world.now // 1000, str(host.world.now // 1000)]
    assert host.arrived == 1 and host.world.fork().cluster.part(Monitoring) is not watched.monitoring
