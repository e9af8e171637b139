"""Lines about requests: the forms of each language, and the same counts as the traffic, for every reader."""

import json
import re
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from firedrill.gateway.loki import ClusterLogs
from firedrill.world.app import load_package, traffic
from firedrill.world.app.rows import KINDS
from firedrill.world.build import make_world
from firedrill.world.kube import kubelet
from firedrill.world.kube.api import Client
from firedrill.world.telemetry.logs import background, requests, styles
from firedrill.world.telemetry.logs.levels import level_of
from firedrill.world.telemetry.logs.logql import Engine, parse
from firedrill.world.telemetry.logs.requests import RequestLines
from firedrill.world.telemetry.traces import (
    Call,
    Fixed,
    Names,
    Operation,
    Pod,
    Search,
    Service,
    Traces,
    table,
)
from firedrill.world.telling import requests_of
from firedrill.world.world import World

START = 1_767_603_600_000
MS = 1_000_000
PROGRAMS = sorted(
    {(name, "") for item in styles.tables()["styles"] for name in item.get("frameworks", ())}
    | {("", name) for item in styles.tables()["styles"] for name in item.get("languages", ())}
    | {("", "cobol")}
)


def _fixed(framework: str, language: str, kinds: tuple[int, int, int] = (0, 0, 0)) -> Fixed:
    """A program serves two requests; `kinds` are outcomes of both and of the call that the second makes."""
    names = Names(
        "shop",
        (
            Service("my-shop", "shop", "my-shop", language, framework, 8080),
            Service("cart", "shop", "cart", "go", "grpc-go", 7070),
            Service("users", "shop", "users", "python", "locust"),
        ),
        (
            Operation(0, "show", "GET /item/{id}", 'no "item"'),
            Operation(1, "get", "shop.Cart/Get", "no cart"),
        ),
        (Call(0, "http"), Call(1, "grpc", timeout_ms=500)),
        KINDS,
    )
    pods = [
        Pod(number, "shop", f"{item.name}-1", f"uid-{number}", "n", "main")
        for number, item in enumerate(names.services)
    ]
    base = {"parent": -1, "edge": 0, "op": 0, "source": 2, "pod": 0, "duration": 900, "arrived": 1}
    first = base | {"root": 0, "start": 1000, "server_start": 1100, "server_duration": 700}
    second = base | {"root": 1, "start": 2000, "server_start": 2100, "server_duration": 2_000_000}
    call = {"parent": 1, "root": 1, "edge": 1, "op": 1, "source": 0, "pod": 1, "start": 2200, "duration": 500}
    if kinds[2] == 0:
        call |= {"arrived": 1, "server_start": 2300, "server_duration": 300}
    rows = [
        first | {"kind": kinds[0], "server_kind": kinds[0]},
        second | {"kind": kinds[1], "server_kind": kinds[1]},
        call | {"kind": kinds[2]},
    ]
    return Fixed(names, START, 5000, [table(rows), table([])], pods, seed=5)


def _lines(fixed: Fixed, start: int = 0, end: int = 1 << 62, uid: str = "uid-0") -> list[tuple[int, str]]:
    return RequestLines(fixed).lines(uid, "main", 0, start, end)


@pytest.mark.parametrize(("framework", "language"), PROGRAMS)
def test_every_style_writes_good_and_bad(framework: str, language: str) -> None:
    style = styles.style_of(framework, language)
    good = [text for _, text in _lines(_fixed(framework, language))]
    assert bool(good) == (style.access is not None)
    bad = [text for _, text in _lines(_fixed(framework, language, (1, 2, 6)))]
    if style.failed is not None:
        whole = "\n".join(bad)
        proxied = "upstream" in whole
        assert proxied or 'no "item"' in whole or 'no \\"item\\"' in whole or "HTTP/1.1" in whole
    for text in good + bad:
        assert "\n" not in text
        assert not re.search(r"\{[a-z_]+\}", text.replace("{id}", "").replace("{productId}", ""))
        if text.startswith("{"):
            json.loads(text)


@pytest.mark.parametrize(("framework", "language"), PROGRAMS)
def test_failures_have_the_level_of_failures(framework: str, language: str) -> None:
    style = styles.style_of(framework, language)
    if style.failed is not None and not style.proxy:
        first = _lines(_fixed(framework, language, (1, 0, 0)))[0][1]
        assert level_of(first) == "error", first
    if style.call is not None:
        spared = [text for _, text in _lines(_fixed(framework, language, (0, 0, 6)))]
        assert any(level_of(text) in {"warn", "error"} for text in spared), spared


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("fail: cart.services.Cart[0]", "error"),
        ('{"t":{"$date":"2026-01-05T09:05:00.000+00:00"},"s":"E","c":"STORAGE","msg":"x"}', "error"),
        ("1:M 05 Jan 2026 09:05:00.123 # Can't save in background: fork: Out of memory", "warn"),
        ("1:M 05 Jan 2026 09:05:00.123 * DB saved on disk", "info"),
        ("2026-01-05 09:05:00.123 UTC [27] LOG:  checkpoint starting: time", "info"),
        ('2026-01-05 09:05:00.123 UTC [27] FATAL:  password authentication failed for user "app"', "fatal"),
        ("E0105 09:05:00.123456       1 leaderelection.go:340] failed", "error"),
        ('10.1.2.3 - - [05/Jan/2026:09:05:00 +0000] "GET / HTTP/1.1" 200 7', "unknown"),
    ],
)
def test_short_marks_are_levels(line: str, level: str) -> None:
    assert level_of(line) == level


def test_stack_traces_have_several_lines() -> None:
    for language, first in (
        ("java", "java.lang.IllegalStateException"),
        ("python", "Traceback"),
        ("dotnet", "      System."),
    ):
        texts = [text for _, text in _lines(_fixed("", language, (1, 0, 0)))]
        start = next(number for number, text in enumerate(texts) if text.startswith(first))
        assert start > 0
        assert len(texts) > start + 2
    moments = [at for at, _ in _lines(_fixed("", "python", (1, 0, 0)))]
    assert all(one <= two for one, two in pairwise(moments))


def test_what_went_wrong_is_said_once_where_it_is_known() -> None:
    needed = [text for _, text in _lines(_fixed("", "python", (0, 2, 6)))]
    assert sum("[Errno 111] Connection refused" in text for text in needed if "Traceback" not in text) == 2
    assert needed[-1] == 'ConnectionRefusedError: no "item": [Errno 111] Connection refused'
    spared = [text for _, text in _lines(_fixed("", "python", (0, 0, 6)))]
    (warning,) = [text for text in spared if "WARNING" in text]
    assert "call to cart:7070 failed: [Errno 111] Connection refused" in warning


def test_lines_come_when_a_request_ends() -> None:
    found = _lines(_fixed("nginx", ""))
    begin = START * MS
    assert begin + 1_800_000 <= found[0][0] < begin + 1_801_000
    assert begin + 2_002_100_000 <= found[1][0] < begin + 2_002_101_000
    for cut in (found[1][0], found[1][0] + 1):
        parts = _lines(_fixed("nginx", ""), 0, cut) + _lines(_fixed("nginx", ""), cut)
        assert parts == found
    assert '"GET /item/' in found[0][1]
    assert _lines(_fixed("nginx", ""), uid="uid-9") == []


def test_lines_that_come_very_late_come_within_a_minute() -> None:
    fixed = _fixed("nginx", "")
    fixed._tables[0].server_duration[1] = 10**9
    assert len(_lines(fixed)) == 1  # not before it is known what came between
    fixed.until += 60_000
    late = _lines(fixed)[-1][0]
    assert late < (START + 65_001) * MS
    assert _lines(fixed, late, late + 1) == _lines(fixed)[-1:]


@pytest.fixture(scope="module")
def world() -> World:
    package = load_package("online-boutique")
    found = make_world(4, manifests=package.manifests, application=package.application, age_days=1)
    Client(found).delete("services", "default", "redis-cart")
    found.run_for(60_000)
    return found


def _pod(world: World, app: str) -> str:
    found = [item["metadata"] for item in world.cluster.store.list("pods", "default")]
    return next(str(meta["name"]) for meta in found if meta["labels"].get("app") == app)


def test_lines_count_what_requests_do(world: World) -> None:
    pod = _pod(world, "frontend")
    end = world.now - 30_000
    told = kubelet.read_log(world, "default", pod, "server", since_ms=end - 60_000)
    lines = [json.loads(text) for text in told if text.startswith("{")]
    statuses = [line for line in lines if line["message"] in {"request complete", "request error"}]
    graph = world.cluster.part(traffic.Traffic).graph
    assert graph is not None
    expected = {"request complete": 0, "request error": 0}
    part = world.cluster.part(traffic.Traffic)
    for number in range(len(part.history)):
        rows = traffic.rows_of(world, number)
        record = next(part.history.after(number))
        mine = [item.name == pod for item in record.inputs.topology.pods]
        ends = record.inputs.moment * 1000 + rows.server_start + rows.server_duration
        here = (
            rows.arrived
            & np.array(mine)[rows.pod]
            & (ends >= (end - 60_000) * 1000)
            & (ends < world.now * 1000)
        )
        failed = rows.server_kind[here] != 0
        expected["request complete"] += int((~failed).sum())
        expected["request error"] += int(failed.sum())
    found = {name: sum(line["message"] == name for line in statuses) for name in expected}
    assert found == expected
    assert found["request error"] > 50
    assert any("Can't access cart storage" in line.get("error", "") for line in statuses)


def test_loki_tells_what_kubectl_tells(world: World) -> None:
    engine = Engine(ClusterLogs(world))
    start, end = (world.now - 20_000) * MS, (world.now + 1) * MS
    for app in ("frontend", "cartservice", "currencyservice"):
        query: Any = parse(f'{{namespace="default", app="{app}"}}')
        found = engine.logs(query, start, end, 5000, backward=False)
        container = found[0].known.stream["container"]
        told = kubelet.read_log(world, "default", _pod(world, app), container, since_ms=world.now - 20_000)
        assert [one.text for one in found] == told
        assert len(told) > 5


def test_a_line_leads_to_its_trace(world: World) -> None:
    requests = requests_of(world)
    assert requests is not None
    told = kubelet.read_log(world, "default", _pod(world, "frontend"), "server", tail=40)
    failed = [json.loads(text) for text in told if "request error" in text]
    traces = Traces(requests)
    trace = traces.trace(failed[-1]["trace_id"])
    assert trace is not None
    span = next(span for span in trace.spans if span.service == "frontend" and span.kind == "server")
    assert span.error
    assert span.message == failed[-1]["error"]
    (same,) = traces.search(Search("frontend", start=span.start, end=span.start, limit=1))
    assert same.trace_id == trace.trace_id


def test_stack_traces_of_the_application_are_found(world: World) -> None:
    engine = Engine(ClusterLogs(world))
    query: Any = parse(
        'sum(count_over_time({app="cartservice"} |= "Name or service not known (redis-cart:6379)" [30s]))'
    )
    found: Any = engine.metric(query, world.now * MS, world.now * MS, 1)
    assert found.values[0][0] > 20
    before: Any = engine.metric(query, world.start * MS, world.start * MS, 1)
    assert before.labels == ()


def test_read_together_or_alone_containers_say_the_same(world: World) -> None:
    told = requests_of(world)
    assert told is not None
    together = RequestLines(told)
    keys = [(pod.uid, pod.container, pod.attempt) for pod in told.tick(told.ticks(0, 1 << 62)[-1]).pods]
    written = 0
    # also where a window ends between two lines about one request
    for start, end in ((60_000, 10), (60_000 + 17, 30_000), (1200, 1)):
        low, high = (world.now - start) * MS + 13, (world.now - end) * MS + 7
        for key in keys:
            alone = RequestLines(told).lines(*key, low, high)
            assert together.lines(*key, low, high) == alone
            written += len(alone)
    assert together._window is not None and written > 1000
    several = [at for key in keys for at, _ in together.lines(*key, 0, 1 << 62)]
    assert several, "more than is kept at once is read as ever"


def test_forks_tell_the_same(world: World) -> None:
    digest = world.digest()
    pod = _pod(world, "frontend")
    here = kubelet.read_log(world, "default", pod, "server", tail=200)
    assert kubelet.read_log(world.fork(), "default", pod, "server", tail=200) == here
    assert world.digest() == digest
    twin = world.fork()
    twin.run_for(10_000)
    assert kubelet.read_log(twin, "default", pod, "server", tail=2000)[-3:] != here[-3:]
    assert kubelet.read_log(world, "default", pod, "server", tail=200) == here


FAMILIES = ["redis", "postgres", "mysql", "etcd", "kube-controller-manager", "java", "json", "envoy", "klog"]


@pytest.mark.parametrize("family", FAMILIES)
def test_programs_write_by_themselves_now_and_then(family: str) -> None:
    begin, hour = START * MS, 3600 * 10**9
    whole = background.background(family, "uid/main", begin, begin, begin + 6 * hour)
    assert bool(whole) == (family != "klog")
    assert not background.background(family, "uid/main", begin, begin, begin + 10**9)
    cut = [
        background.background(family, "uid/main", begin, begin + n * hour, begin + (n + 1) * hour)
        for n in range(6)
    ]
    assert [line for part in cut for line in part] == whole
    assert all(one <= two for one, two in pairwise(at for at, _ in whole))
    assert not any(re.search(r"\{[a-z_]+\}", text) for _, text in whole)


def test_the_control_plane_writes_in_its_own_words(world: World) -> None:
    told: dict[str, list[str]] = {}
    for pod in world.cluster.store.list("pods", "kube-system"):
        for item in pod["spec"]["containers"]:
            told[item["name"]] = kubelet.read_log(world, "kube-system", pod["metadata"]["name"], item["name"])
    assert all(json.loads(line)["caller"] for line in told["etcd"])
    assert "elected leader" in "".join(told["etcd"])
    for name in (
        "kube-apiserver",
        "kube-scheduler",
        "kube-controller-manager",
        "kube-proxy",
        "metrics-server",
    ):
        assert told[name], name
        assert all(
            re.match(r"[IW]\d{4} \d\d:\d\d:\d\d\.\d{6} {7}1 \w+\.go:\d+\] ", line) for line in told[name]
        )
    assert "successfully acquired lease kube-system/kube-scheduler" in told["kube-scheduler"][-1]
    assert not any("WiredTiger" in line for lines in told.values() for line in lines)


def test_servers_note_the_addresses_of_their_callers() -> None:
    package = load_package("astronomy-shop")
    world = make_world(4, manifests=package.manifests, application=package.application, age_days=1)
    world.run_for(60_000)
    space = package.application.namespace
    pods = {
        pod["metadata"]["name"]: pod["status"]["podIP"] for pod in world.cluster.store.list("pods", space)
    }
    (proxy,) = [ip for name, ip in pods.items() if name.startswith("frontend-proxy")]
    (images,) = [name for name in pods if name.startswith("image-provider")]
    (checkout,) = [name for name in pods if name.startswith("checkout")]
    (kafka,) = [name for name in pods if name.startswith("kafka")]
    told = [
        line for line in kubelet.read_log(world, space, images, "image-provider", tail=50) if "GET" in line
    ]
    assert len({line.split()[0] for line in told} - {proxy}) == 0
    told = kubelet.read_log(world, space, checkout, "checkout", tail=20)
    assert len({json.loads(line)["caller"] for line in told if "PlaceOrder" in line}) == 1
    told = [line for line in kubelet.read_log(world, space, kafka, "kafka", tail=500) if "[gc]" in line]
    found = [re.match(r"\[([\d.]+)s\]\[info\]\[gc\] GC\((\d+)\)", line) for line in told]
    counts = [int(item[2]) for item in found if item]
    assert counts == sorted(set(counts))
    assert len(counts) == len(told) > 5
    (users,) = [name for name in pods if name.startswith("load-generator")]
    assert f"{users}/INFO/locust.main: Starting" in kubelet.read_log(world, space, users, "load-generator")[0]


def test_addresses_are_those_that_a_program_was_given() -> None:
    package = load_package("online-boutique")
    first = make_world(4, manifests=package.manifests, application=package.application, age_days=1)
    second = first.fork()
    assert kubelet.read_log(second, "default", _pod(second, "frontend"), "server", tail=3)
    env = [{"name": "REDIS_ADDR", "value": "redis-wrong:6380"}]
    change = {"spec": {"template": {"spec": {"containers": [{"name": "server", "env": env}]}}}}
    told = []
    for world in (first, second):
        before = world.now
        Client(world).patch("deployments.apps", "default", "cartservice", change, patch_type="strategic")
        world.run_for(90_000)
        engine = Engine(ClusterLogs(world))
        query: Any = parse('{app="cartservice"} |= "redis-"')
        found = engine.logs(query, before * MS, world.now * MS, 3)
        assert "Name or service not known (redis-wrong:6380)" in found[0].text
        requests = requests_of(world)
        assert requests is not None
        traces = Traces(requests)
        (late,) = traces.search(Search("cartservice", tags=(("server.address", "redis-wrong"),), limit=1))
        (early,) = traces.search(Search("cartservice", operation="HGETALL", end=before * 1000, limit=1))
        assert {
            dict(span.attributes)["server.address"] for span in early.spans if span.name == "HGETALL"
        } == {"redis-cart"}
        told.append((found[0].text, late.spans, early.spans))
    assert told[0] == told[1]


def test_a_follower_misses_nothing(world: World) -> None:
    twin = world.fork()
    pod = _pod(twin, "frontend")
    told: list[str] = []
    begin = twin.now
    for _ in range(23):
        twin.run_for(1_300)
        last = told[-1].split()[0] if told else ""
        fresh = kubelet.read_log(twin, "default", pod, "server", since_ms=begin, timestamps=True)
        told += [line for line in fresh if line.split()[0] > last]
    whole = kubelet.read_log(twin, "default", pod, "server", since_ms=begin, timestamps=True)
    assert told == whole
    assert len(whole) > 100


@pytest.mark.parametrize(("framework", "language"), PROGRAMS)
def test_what_is_worked_out_once_says_the_same(
    framework: str, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed = _fixed(framework, language)
    quick = _lines(fixed)
    monkeypatch.setattr(requests, "routine", lambda names, service, operation, one: one.told(server=True))
    assert quick == _lines(fixed)


@pytest.mark.parametrize("kinds", [(0, 0, 0), (1, 0, 6), (0, 2, 1)])
@pytest.mark.parametrize(("framework", "language"), PROGRAMS)
def test_lines_of_many_requests_at_once_are_those_of_each(
    framework: str, language: str, kinds: tuple[int, int, int]
) -> None:
    _same_at_once(_fixed(framework, language, kinds))


def _same_at_once(fixed: Fixed) -> None:
    found: dict[str, list[tuple[int, str]]] = {pod.uid: [] for pod in fixed.tick(0).pods}
    told = RequestLines(fixed).of_ticks(range(2))
    assert [level_of(text) for text in told.text] == told.level
    for turn, place, at, text in zip(
        told.turn.tolist(), told.place.tolist(), told.at.tolist(), told.text, strict=True
    ):
        found[fixed.tick(turn).pods[place].uid].append((at, text))
    for uid, lines in found.items():
        assert sorted(lines, key=lambda line: line[0]) == _lines(fixed, uid=uid)


def test_lines_at_once_keep_what_titles_bring() -> None:
    """Line ends, percent signs, quotes and letters of all scripts; words of levels; very long texts."""
    odd = ('GET /50%s/{id}"\n\t\u00e9\u2028', "GET /error/{id}", "GET /" + "x" * 500 + "error/{id}", "a\nb")
    for title in odd:
        for framework in ("envoy", "express", "nginx", "sinatra", "zap", "logrus", "slim"):
            fixed = _fixed(framework, "")
            operations = tuple(replace(item, title=title) for item in fixed.names.operations)
            fixed.names = replace(fixed.names, operations=operations)
            _same_at_once(fixed)


def test_no_ticks_have_no_lines() -> None:
    told = RequestLines(_fixed("zap", "go")).of_ticks([])
    assert not told.text
    assert not len(told.at)
