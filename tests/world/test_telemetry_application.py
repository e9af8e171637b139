"""What an application tells of itself, held against its traffic: counts of metrics, traces and logs agree."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firedrill.world import World
from firedrill.world.app import load_package, read_package, service
from firedrill.world.app.traffic import Traffic, record_of, rows_of
from firedrill.world.kube import effects, kubelet
from firedrill.world.kube.api import Client
from firedrill.world.kube.kubelet.running import end
from firedrill.world.kube.kubelet.state import kubelets
from firedrill.world.kube.objects import name_of, uid_of
from firedrill.world.living import make_living
from firedrill.world.rulebook import fronts, rules_for
from firedrill.world.telemetry import Monitoring, promql
from firedrill.world.telemetry.logs.requests import RequestLines
from firedrill.world.telemetry.producers import spanmetrics
from firedrill.world.telemetry.producers.appstate import AppMetering
from firedrill.world.telemetry.rules import RuleBook
from firedrill.world.telemetry.traces.describe import Describer
from firedrill.world.telemetry.traces.spans import make_spans
from firedrill.world.telling import requests_of

pytestmark = pytest.mark.slow

SHOP = "otel-demo"
SCRAPE = 15_000


@pytest.fixture(scope="module")
def shop() -> World:
    """The astronomy shop, watched for three minutes."""
    world = make_living(load_package("astronomy-shop"), 5, rules=())
    world.run_for(180_000)
    return world


@pytest.fixture(scope="module")
def ruled() -> World:
    """The astronomy shop with its rules, for twenty minutes: long enough for all windows."""
    world = make_living(load_package("astronomy-shop"), 6)
    world.run_for(1_200_000)
    return world


@pytest.fixture(scope="module")
def books() -> World:
    """The book pages, watched for three minutes."""
    world = make_living(load_package("book-info"), 5, rules=())
    world.run_for(180_000)
    return world


def ask(world: World, text: str) -> list[tuple[dict[str, str], float]]:
    """The elements of the answer to a query."""
    found: Any = promql.instant(world.cluster.part(Monitoring).store, text, world.now)
    return [(dict(labels), value) for labels, value in zip(found.labels, found.values.tolist(), strict=True)]


def total(world: World, text: str) -> float:
    """The sum of the answer to a query."""
    return sum(value for _, value in ask(world, text))


def watched_ticks(world: World) -> range:
    """The ticks since the world is watched."""
    first = record_of(world, 0).inputs.moment
    return range((world.start - first) // 5000, len(world.cluster.part(Traffic).history))


def disturb(world: World, what: str, number: int) -> None:
    """Let something happen to one of the workloads."""
    client = Client(world, trusted=True)
    names = sorted(obj["metadata"]["name"] for obj in world.cluster.store.list("deployments.apps", SHOP))
    name = [one for one in names if one != "load-generator"][number % (len(names) - 1)]
    if what == "delete":
        for pod in world.cluster.store.list("pods", SHOP):
            if pod["metadata"]["name"].startswith(f"{name}-"):
                client.delete("pods", SHOP, pod["metadata"]["name"])
    elif what == "stop":
        client.patch("deployments.apps", SHOP, name, {"spec": {"replicas": 0}})
    elif what == "grow":
        client.patch("deployments.apps", SHOP, name, {"spec": {"replicas": 3}})
    elif what == "unplug" and world.cluster.store.get("services", SHOP, name) is not None:
        client.patch("services", SHOP, name, {"spec": {"selector": {"app": "nothing"}}})


SUFFIX = {True: "STATUS_CODE_ERROR", False: "STATUS_CODE_UNSET"}


def check_spans(world: World) -> None:
    """Each span of the traces is counted by the metric of its kind, and nothing else is."""
    requests = requests_of(world)
    assert requests is not None
    describer = Describer(requests.names)
    wanted: Counter[tuple[str, ...]] = Counter()
    lasted: Counter[str] = Counter()
    for number in watched_ticks(world):
        tick = requests.tick(number)
        for span in describer.describe(make_spans(requests.names, tick, requests.seed)):
            key = (span.service, span.name, f"SPAN_KIND_{span.kind.upper()}", SUFFIX[span.error])
            wanted[(*key, tick.pods[span.pod].uid)] += tick.rows.weight
            lasted[span.service] += span.duration
    found = {
        tuple(labels[key] for key in ("service_name", "span_name", "span_kind", "status_code", "instance")): v
        for labels, v in ask(world, "traces_span_metrics_calls_total")
    }
    assert found == dict(wanted)
    bucket = 'traces_span_metrics_duration_milliseconds_bucket{le="+Inf"}'
    assert total(world, bucket) == sum(wanted.values())
    for labels, value in ask(world, "sum by (service_name)(traces_span_metrics_duration_milliseconds_sum)"):
        assert value * 1000 == pytest.approx(lasted[labels["service_name"]])


def check_logs(world: World, service: str) -> None:
    """A program that writes a line for each request has written as many as it ended."""
    requests, graph = requests_of(world), world.cluster.part(Traffic).graph
    assert requests is not None
    assert graph is not None
    index = [one.name for one in graph.app.services].index(service)
    ended: Counter[tuple[str, str, int]] = Counter()
    for number in watched_ticks(world):
        rows, inputs = rows_of(world, number), record_of(world, number).inputs
        mine = rows.arrived & (graph.op_service[rows.op] == index)
        ends = inputs.moment * 1000 + rows.server_start + rows.server_duration
        for pod in rows.pod[mine & (ends < (world.now - 1) * 1000)].tolist():
            info = inputs.topology.pods[pod]
            ended[info.uid, info.container, info.attempt] += 1
    lines = RequestLines(requests)
    start = world.start * 1_000_000
    for (uid, container, attempt), count in ended.items():
        told = lines.lines(uid, container, attempt, start, (world.now - 1) * 1_000_000)
        early = sum(at < start + 5_000_000_000 for at, _ in told)
        assert count <= len(told) <= count + early + 2


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    what=st.sampled_from(["delete", "stop", "grow", "unplug"]),
    number=st.integers(0, 30),
    wait=st.integers(0, 3),
)
def test_counts_agree(shop: World, what: str, number: int, wait: int) -> None:
    """Whatever happens, metrics, traces and logs tell of the same requests."""
    world = shop.fork()
    world.run_for(wait * 7_000)
    disturb(world, what, number)
    world.run_for(40_000)
    world.run_until_ms(world.now + SCRAPE - world.now % SCRAPE)
    check_spans(world)
    check_logs(world, "frontend-proxy")


def test_servers_count_what_they_serve(shop: World) -> None:
    """Requests by the servers' own count are those of the rows, by operation and pod."""
    world = shop.fork()
    world.run_until_ms(world.now + SCRAPE - world.now % SCRAPE)
    graph = world.cluster.part(Traffic).graph
    assert graph is not None
    served: Counter[str] = Counter()
    for number in watched_ticks(world):
        rows, pods = rows_of(world, number), record_of(world, number).inputs.topology.pods
        for pod, count in enumerate(np.bincount(rows.pod[rows.arrived], minlength=len(pods)).tolist()):
            served[pods[pod].name] += count * rows.weight
    part, store = world.cluster.part(AppMetering), world.cluster.part(Monitoring).store
    told: Counter[str] = Counter()
    for block in part.requests.values():
        for labels, value in zip(store.labels_of(block), store.values(block).tolist(), strict=True):
            if dict(labels)["__name__"].endswith(("seconds_count", "milliseconds_count")):
                told[dict(labels)["pod"]] += int(value)
    kinds = {one.name: one for one in graph.app.services}
    web = {pod for pod in served if served[pod] and kinds[pod.rsplit("-", 2)[0]].protocol in {"http", "grpc"}}
    assert len(web) >= 12
    assert dict(told) == {pod: served[pod] for pod in web}


def test_restarts_begin_counters_anew_and_ends_end_series(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs forget, the collector does not; a pod that is gone has no series but the collector's."""
    monkeypatch.setattr(spanmetrics, "KEPT_MS", 150_000)
    world = shop.fork()
    pod = next(
        one for one in world.cluster.store.list("pods", SHOP) if one["metadata"]["name"].startswith("ad-")
    )
    name = pod["metadata"]["name"]
    mine, spans = f'{{pod="{name}"}}', f'{{k8s_pod_name="{name}"}}'
    before = total(world, f"sum(rpc_server_duration_milliseconds_count{mine})")
    counted = total(world, f"sum(traces_span_metrics_calls_total{spans})")
    state = kubelets(world).pods[pod["metadata"]["uid"]]
    end(world, state, state.containers["ad"], 137)
    world.run_for(75_000)
    run = kubelets(world).pods[pod["metadata"]["uid"]].containers["ad"].run
    assert run is not None
    assert run.attempt == 1
    assert 0 < total(world, f"sum(rpc_server_duration_milliseconds_count{mine})") < before
    assert total(world, f"sum(traces_span_metrics_calls_total{spans})") > counted
    assert total(world, f"resets(process_cpu_seconds_total{mine}[5m])") == 1
    Client(world, trusted=True).delete("pods", SHOP, name)
    world.run_for(90_000)
    assert ask(world, f"rpc_server_duration_milliseconds_count{mine}") == []
    assert ask(world, f"up{mine}") == []
    assert total(world, f"sum(traces_span_metrics_calls_total{spans})") > counted
    world.run_for(120_000)
    assert ask(world, f"traces_span_metrics_calls_total{spans}") == []


def test_a_service_without_pods_falls_silent(shop: World) -> None:
    """The collector's counters stand still, so that silence can be seen."""
    world = shop.fork()
    client = Client(world, trusted=True)
    client.patch("deployments.apps", SHOP, "email", {"spec": {"replicas": 0}})
    world.run_for(420_000)
    quiet = ask(
        world, f'sum by (service_name)(rate(traces_span_metrics_calls_total{{namespace="{SHOP}"}}[5m])) == 0'
    )
    assert [labels["service_name"] for labels, _ in quiet] == ["email"]
    failing = 'sum by (service_name)(rate(traces_span_metrics_calls_total{status_code="STATUS_CODE_ERROR"}[2m])) > 0'
    assert "checkout" in {labels["service_name"] for labels, _ in ask(world, failing)}


def test_queues_are_told_of(shop: World) -> None:
    """Members, lag and offsets follow the broker and the consumers."""
    world = shop.fork()
    client = Client(world, trusted=True)
    members = {labels["group"]: value for labels, value in ask(world, "kafka_consumer_group_members")}
    assert members == {"accounting": 1.0, "fraud-detection": 1.0}
    assert total(world, "sum(kafka_consumer_connection_close_rate)") == 0
    offset = total(world, 'kafka_consumer_group_offset{group="accounting"}')
    client.patch("deployments.apps", SHOP, "fraud-detection", {"spec": {"replicas": 0}})
    world.run_for(180_000)
    assert total(world, 'kafka_consumer_group_members{group="fraud-detection"}') == 0
    assert total(world, 'kafka_consumer_group_lag_sum_ratio{group="fraud-detection"}') > 50
    assert total(world, 'kafka_consumer_group_lag_sum_ratio{group="accounting"}') < 30
    assert total(world, 'kafka_consumer_group_offset{group="accounting"}') > offset + 50
    broken = shop.fork()
    Client(broken, trusted=True).patch("deployments.apps", SHOP, "kafka", {"spec": {"replicas": 0}})
    broken.run_for(120_000)
    assert ask(broken, "kafka_consumer_group_members") == []
    assert total(broken, "sum(rate(kafka_consumer_connection_close_rate[2m]))") > 0


def test_databases_tell_of_their_users(shop: World) -> None:
    """Exporters of stores agree with the clients' spans."""
    saved = total(
        shop, 'sum(traces_span_metrics_calls_total{service_name="accounting",span_name="postgresql"})'
    )
    assert saved > 50
    assert total(shop, "sum(pg_stat_database_xact_commit)") == pytest.approx(saved, rel=0.1)
    assert total(shop, "pg_up") == 1
    commands = {labels["cmd"] for labels, _ in ask(shop, "redis_commands_total")}
    assert {"hget", "hmset", "expire"} <= commands


def test_full_collections_of_garbage_are_counted_where_there_are_some(books: World) -> None:
    world = books.fork()
    (pod, *_) = [
        obj for obj in world.cluster.store.list("pods", "book-info") if name_of(obj).startswith("reviews-v1")
    ]
    full = f'jvm_gc_duration_seconds_count{{jvm_gc_action="end of major GC",pod="{name_of(pod)}"}}'
    slow = full.replace("_count{", '_bucket{le="0.1",')
    world.run_for(30_000)
    assert ask(world, full.replace("major", "minor")) and not ask(world, full), (
        "as agents tell: once there is one"
    )
    effects.add(world, effects.Effect(f"pod/{uid_of(pod)}", "gc_pause_ms", 350, "test"))
    world.run_for(90_000)
    twin = world.fork()
    for each in (world, twin):
        each.run_for(30_000)
        ((_, count),) = ask(each, full)
        ((_, lasted),) = ask(each, full.replace("_count", "_sum"))
        assert 90 <= count <= 120 and lasted == pytest.approx(count * 0.35)
        assert [value for _, value in ask(each, slow)] == [0.0]
    assert world.digest() == twin.digest()


def test_a_mesh_tells_of_requests_and_connections(books: World) -> None:
    """The gateway tells of requests, nodes' proxies of connections, the page of its calls; nobody twice."""
    gateway = ask(books, "sum by (source_workload, destination_workload, reporter)(istio_requests_total)")
    pairs = {(one["source_workload"], one["destination_workload"], one["reporter"]) for one, _ in gateway}
    front = "bookinfo-gateway-istio"
    assert pairs == {("traffic-generator", front, "destination"), (front, "productpage-v1", "source")}
    pages = total(
        books, f'sum(traces_span_metrics_calls_total{{service_name="{front}",span_kind="SPAN_KIND_SERVER"}})'
    )
    assert {value for _, value in gateway} == {pages}
    opened = ask(books, 'istio_tcp_connections_opened_total{source_workload="productpage-v1"}')
    assert {one["destination_workload"].rpartition("-")[0] for one, _ in opened} == {"details", "reviews"}
    assert {one["reporter"] for one, _ in opened} == {"source", "destination"}
    asked = {labels["destination_app"]: value for labels, value in ask(books, "request_result_total")}
    assert set(asked) == {"details", "reviews"}
    spans = 'sum(traces_span_metrics_calls_total{service_name="productpage",span_kind="SPAN_KIND_CLIENT"})'
    assert sum(asked.values()) == total(books, spans)


def test_there_is_no_mesh_elsewhere(shop: World) -> None:
    """Applications outside of a mesh have none of its series."""
    assert ask(shop, '{__name__=~"istio_.*|request_result_total"}') == []


def test_forks_tell_the_same(shop: World) -> None:
    """Two copies of a watched application have one future, series included."""
    one, other = shop.fork(), shop.fork()
    for world in (one, other):
        disturb(world, "delete", 4)
        world.run_for(60_000)
    assert one.digest() == other.digest()


def test_what_things_cost(shop: World) -> None:
    """Containers are given at least what they ask for, and nodes have prices."""
    given_ = {labels["container"]: value for labels, value in ask(shop, "container_memory_allocation_bytes")}
    asked = ask(shop, f'kube_pod_container_resource_requests{{resource="memory",namespace="{SHOP}"}}')
    assert asked
    assert all(given_[labels["container"]] >= value for labels, value in asked)
    assert {value for _, value in ask(shop, "node_cpu_hourly_cost")} == {10.0}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["astronomy-shop", "online-boutique", "hotel-reservation", "book-info"])
def test_healthy_applications_serve_and_are_silent_for_hours(name: str) -> None:
    """Nothing but the alert that always fires does so, and no rule fails; the load generator is no alarm."""
    world = make_living(load_package(name), 7)
    book = world.cluster.part(Monitoring).rules
    for _ in range(9):
        world.run_for(600_000)
        book = world.cluster.part(Monitoring).rules
        assert {dict(alert.labels)["alertname"] for alert in book.all_alerts("firing")} <= {"Watchdog"}
        served = [item for item in service.minutes(world, world.now - 600_000, world.now) if item.offered]
        assert len(served) >= 10 and {item.success for item in served} == {1.0}
    space = load_package(name).application.namespace
    for pod in world.cluster.store.list("pods", space):
        assert not any(status["restartCount"] for status in pod["status"]["containerStatuses"])
    events = world.cluster.store.list("events", space)
    assert not [item for item in events if item["type"] == "Warning"]
    states = {book.health(i, j).state for i, group in enumerate(book.groups) for j in range(len(group.rules))}
    assert states == {"ok"}
    keepers = (
        'sum by (service_name)(rate(traces_span_metrics_calls_total{span_kind="SPAN_KIND_SERVER"}[5m])) > 0'
    )
    assert len(ask(world, keepers)) >= 4


def test_rules_know_the_names_of_an_application() -> None:
    """Fronts, load generators, databases and meshes are found, whatever they are called."""
    package = load_package("book-info")
    texts = [rule.text for group in rules_for(package) for rule in group.rules]
    assert any('source_canonical_service!~"traffic-generator"' in text for text in texts)
    assert any('service_name=~"bookinfo-gateway-istio|productpage"' in text for text in texts)
    assert not any("kafka" in text or "SPAN_KIND_CLIENT" in text for text in texts)
    assert not any("load-generator" in text or "flagd" in text for text in texts)
    outside = replace(package, manifests=tuple(o for o in package.manifests if o["kind"] != "Namespace"))
    texts = [rule.text for group in rules_for(outside) for rule in group.rules]
    assert not any("istio_" in text for text in texts)
    assert fronts(load_package("astronomy-shop").application) == ["frontend", "frontend-proxy"]
    texts = [rule.text for group in rules_for(load_package("astronomy-shop")) for rule in group.rules]
    assert any('service_name=~"accounting",span_name=~"postgresql"' in text for text in texts)
    assert any("kafka_consumer_group_members" in text for text in texts)


@pytest.mark.slow
@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    what=st.sampled_from(["delete", "stop", "grow", "unplug"]), number=st.integers(0, 30), back=st.booleans()
)
def test_rules_that_are_skipped_would_have_said_the_same(
    ruled: World, what: str, number: int, back: bool
) -> None:
    """A rule about what stands still is not evaluated; alerts are those of a world in which all are."""
    lazy, eager = ruled.fork(), ruled.fork()
    for world in (lazy, eager):
        disturb(world, what, number)
        if what == "delete":
            kubelet.nodes.stop(world, "worker-01", "kubelet")
    for step in range(10):
        if back and step == 5:
            kubelet.nodes.start(lazy, "worker-01", "kubelet")
            kubelet.nodes.start(eager, "worker-01", "kubelet")
        lazy.run_for(60_000)
        with mock.patch.object(RuleBook, "_same", return_value=None):
            eager.run_for(60_000)
        one, other = (world.cluster.part(Monitoring).rules.all_alerts() for world in (lazy, eager))
        assert one == other
    assert lazy.digest() == eager.digest()


@pytest.mark.slow
def test_most_rules_of_a_quiet_world_are_skipped(ruled: World) -> None:
    """Only what is about counters is asked again."""
    world = ruled.fork()
    with mock.patch.object(promql, "instant", wraps=promql.instant) as asked:
        world.run_for(300_000)
    book = world.cluster.part(Monitoring).rules
    evaluations = 10 * sum(len(group.rules) for group in book.groups)
    assert 0 < asked.call_count < 0.6 * evaluations


GRAPH = """
application: tiny
namespace: tiny
services:
  web: {container: main, language: go, port: 8080, protocol: http, operations: {home: {cpu_ms: 1, calls: [CALL]}}}
  db:
    {container: main, language: c, port: 3306, protocol: sql, database: mysql, operations: {query: {cpu_ms: 1}}}
""".replace("CALL", "{to: db.query, host: 'db:80', protocol: sql, probability: 0.5}")
LOAD = """
{workload: deployment/loader, container: main, loop: open, rate: 1, users: {count: 5},
entries: [{to: web.home, host: "web:80", protocol: http}]}
"""


def _program(name: str, port: int) -> str:
    labels = f'{{app: {name}, sidecar.istio.io/inject: "true"}}'
    spec = f"{{containers: [{{name: main, image: 'shop/{name}:1', ports: [{{containerPort: {port}}}]}}]}}"
    template = f"{{metadata: {{labels: {labels}}}, spec: {spec}}}"
    meta = f"{{name: {name}, namespace: tiny}}"
    return (
        f"{{apiVersion: apps/v1, kind: Deployment, metadata: {meta}, "
        f"spec: {{selector: {{matchLabels: {{app: {name}}}}}, template: {template}}}}}\n---\n"
        f"{{apiVersion: v1, kind: Service, metadata: {meta}, "
        f"spec: {{selector: {{app: {name}}}, ports: [{{port: 80, targetPort: {port}}}]}}}}\n---\n"
    )


def test_an_application_of_a_user_is_watched_too(tmp_path: Path) -> None:
    """Names, stores, sidecars and rules are those of the folder; both ends of a request count it."""
    (tmp_path / "graph.yaml").write_text(GRAPH)
    (tmp_path / "load.yaml").write_text(LOAD)
    space = "{apiVersion: v1, kind: Namespace, metadata: {name: tiny}}\n---\n"
    programs = [_program("web", 8080), _program("db", 3306), _program("loader", 9999)]
    (tmp_path / "app.yaml").write_text(space + "".join(programs))
    world = make_living(read_package(tmp_path), 3)
    world.run_for(120_000)
    texts = [rule.text for group in world.cluster.part(Monitoring).rules.groups for rule in group.rules]
    assert any('service_name=~"web",span_name=~"sql[.]conn[.]exec"' in text for text in texts)
    assert any('source_canonical_service!~"loader"' in text for text in texts)
    served = total(world, 'traces_span_metrics_calls_total{service_name="web",span_kind="SPAN_KIND_SERVER"}')
    ends = {one["reporter"]: value for one, value in ask(world, "istio_requests_total")}
    assert served > 300
    assert ends == {"source": served, "destination": served}
    queries = total(world, 'traces_span_metrics_calls_total{service_name="web",span_kind="SPAN_KIND_CLIENT"}')
    opened = {one["reporter"]: value for one, value in ask(world, "istio_tcp_connections_opened_total")}
    assert opened == {"source": queries, "destination": queries}
    assert total(world, "mysql_up") == 1
