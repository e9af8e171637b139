"""Spans made of requests: trees, ids, sampling, errors, and questions about them; by hand and from an application."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedrill.world.app import load_package, traffic
from firedrill.world.build import make_world
from firedrill.world.kube.api import Client
from firedrill.world.telemetry.traces import (
    Call,
    Describer,
    Fixed,
    Names,
    Operation,
    Pod,
    Sampling,
    Search,
    Service,
    Traces,
    failures,
    ids,
    make_spans,
    table,
)
from firedrill.world.telling import requests_of
from firedrill.world.world import World

START = 1_767_603_600_000
NAMES = Names(
    "shop",
    (
        Service("web", "shop", "web", "go", "net/http", 8080, version="1.2"),
        Service("cart", "shop", "cart", "java", "grpc-java", 7070),
        Service("store", "shop", "store", "c", "redis", 6379, database="redis"),
        Service("worker", "shop", "worker", "python", "", 0),
        Service("users", "shop", "users", "python", "locust"),
    ),
    (
        Operation(0, "show", "GET /cart/{id}", "could not show the cart"),
        Operation(1, "get", "shop.Cart/Get", "no such cart"),
        Operation(2, "hget", "HGET"),
        Operation(3, "work", "orders work"),
    ),
    (
        Call(0, "http"),
        Call(3, "kafka", queue="orders", consumer=True),
        Call(1, "grpc", timeout_ms=500),
        Call(2, "redis", host="store.shop"),
    ),
    ("ok", "failed", "upstream", "timeout", "refused"),
)
PODS = tuple(
    Pod(number, "shop", f"{item.name}-1", f"uid-{item.name}", "node-1", "main")
    for number, item in enumerate(NAMES.services)
)
GOOD = [
    {
        "parent": -1,
        "root": 0,
        "edge": 0,
        "op": 0,
        "source": 4,
        "pod": 0,
        "start": 1000,
        "duration": 900,
        "arrived": 1,
    }
    | {"server_start": 1100, "server_duration": 700},
    {
        "parent": -1,
        "root": 1,
        "edge": 1,
        "op": 3,
        "source": 3,
        "pod": 3,
        "start": 3000,
        "duration": 50,
        "arrived": 1,
    }
    | {"server_start": 3000, "server_duration": 50},
    {
        "parent": 0,
        "root": 0,
        "edge": 2,
        "op": 1,
        "source": 0,
        "pod": 1,
        "start": 1200,
        "duration": 500,
        "arrived": 1,
    }
    | {"server_start": 1250, "server_duration": 400},
    {
        "parent": 2,
        "root": 0,
        "edge": 3,
        "op": 2,
        "source": 1,
        "pod": 2,
        "start": 1300,
        "duration": 100,
        "arrived": 1,
    }
    | {"server_start": 1320, "server_duration": 60},
]
BAD = [
    GOOD[0] | {"kind": 1, "server_kind": 2},
    GOOD[2] | {"parent": 0, "kind": 1, "server_kind": 1},
    GOOD[2]
    | {
        "parent": 0,
        "kind": 4,
        "arrived": 0,
        "pod": 1,
        "server_start": 0,
        "server_duration": 0,
        "start": 1700,
    },
]
FIXED = Fixed(NAMES, START, 5000, [table(GOOD), table(BAD), table([])], PODS, seed=9)
TRACES = Traces(FIXED)
ALL = Sampling()


def _spans(number: int, sampling: Sampling = ALL) -> Any:
    return make_spans(NAMES, FIXED.tick(number), FIXED.seed, sampling)


def test_each_call_is_a_span_at_both_ends() -> None:
    (worked, shown) = TRACES.search(Search("worker")) + TRACES.search(
        Search("web", end=(START + 5000) * 1000)
    )
    assert [(span.service, span.name, span.kind) for span in shown.spans] == [
        ("users", "GET", "client"),
        ("web", "GET /cart/{id}", "server"),
        ("web", "shop.Cart/Get", "client"),
        ("cart", "shop.Cart/Get", "server"),
        ("cart", "HGET", "client"),
    ]
    parents = [span.parent_id for span in shown.spans]
    assert parents == ["", *[span.span_id for span in shown.spans[:-1]]]
    assert shown.spans[0].start == START * 1000 + 1000
    assert [(span.service, span.name, span.kind) for span in worked.spans] == [
        ("worker", "orders process", "consumer")
    ]
    assert worked.trace_id != shown.trace_id


def test_attributes_follow_the_protocol() -> None:
    (shown,) = TRACES.search(Search("web", end=(START + 5000) * 1000))
    client, server, rpc, _, redis = (dict(span.attributes) for span in shown.spans)
    assert client["http.request.method"] == "GET"
    assert str(client["url.full"]).startswith("http://web:8080/cart/")
    assert server["http.route"] == "/cart/{id}"
    assert server["http.response.status_code"] == 200
    assert (rpc["rpc.service"], rpc["rpc.method"], rpc["rpc.grpc.status_code"]) == ("shop.Cart", "Get", 0)
    assert (redis["db.system"], redis["db.statement"], redis["server.address"]) == (
        "redis",
        "HGET",
        "store.shop",
    )
    known = dict(TRACES.describer.resource(shown.tick, 0, "web"))
    assert known["service.version"] == "1.2"
    assert known["k8s.pod.name"] == "web-1"
    assert known["telemetry.sdk.language"] == "go"


def test_errors_are_recorded_where_they_happen() -> None:
    (found,) = TRACES.search(Search("web", tags=(("error", "true"),)))
    by = {(span.service, span.kind, span.start): span for span in found.spans}
    root = by["users", "client", (START + 5000) * 1000 + 1000]
    assert root.error
    assert not root.events
    own = by["cart", "server", (START + 5000) * 1000 + 1250]
    assert own.message == "no such cart"
    (event,) = own.events
    known = dict(event.attributes)
    assert known["exception.type"] == "java.lang.IllegalStateException"
    assert str(known["exception.stacktrace"]).startswith(
        "java.lang.IllegalStateException: no such cart\n\tat com.cart"
    )
    (outer,) = by["web", "server", (START + 5000) * 1000 + 1100].events
    reason = "could not show the cart: dial tcp cart:7070: connect: connection refused"
    assert dict(outer.attributes)["exception.message"] == reason
    refused = by["web", "client", (START + 5000) * 1000 + 1700]
    assert refused.message == "dial tcp cart:7070: connect: connection refused"
    assert dict(refused.attributes)["rpc.grpc.status_code"] == 14
    assert dict(root.attributes)["http.response.status_code"] == 500


@pytest.mark.parametrize(
    "language", ["go", "java", "python", "javascript", "csharp", "ruby", "rust", "cobol"]
)
def test_every_language_has_words_for_every_outcome(language: str) -> None:
    known = failures.tables()["families"][failures.family(language)]
    from firedrill.world.app.rows import KINDS

    for outcome in KINDS[1:]:
        assert len(known[outcome]) == 2, outcome
        assert failures.grpc_status(outcome)[1] > 0


def test_searches() -> None:
    assert len(TRACES.search(Search("web"))) == 2
    assert len(TRACES.search(Search("web", limit=1))) == 1
    assert TRACES.search(Search("web"))[0].spans[0].start > TRACES.search(Search("web"))[1].spans[0].start
    assert len(TRACES.search(Search("cart", operation="HGET"))) == 1
    assert TRACES.search(Search("cart", operation="GET")) == []
    assert len(TRACES.search(Search("cart", shortest=400, longest=401))) == 2
    assert TRACES.search(Search("cart", shortest=5000)) == []
    assert len(TRACES.search(Search("cart", tags=(("exception.message", "no such cart"),)))) == 1
    assert (
        len(TRACES.search(Search("web", tags=(("k8s.pod.name", "web-1"), ("http.route", "/cart/{id}"))))) == 2
    )
    assert TRACES.search(Search("web", start=(START + 20_000) * 1000)) == []
    assert TRACES.search(Search("nobody")) == []
    assert TRACES.search(Search("store")) == []


def test_names_and_links() -> None:
    assert TRACES.services(START, START + 10_000) == ["cart", "users", "web", "worker"]
    assert TRACES.services(START + 5000, START + 10_000) == ["cart", "users", "web"]
    assert TRACES.operations("cart", START, START + 10_000) == [
        ("HGET", "client"),
        ("shop.Cart/Get", "server"),
    ]
    assert TRACES.dependencies(START, START + 10_000) == [("users", "web", 2), ("web", "cart", 2)]


def test_traces_are_found_again_by_their_id() -> None:
    for found in TRACES.search(Search("web")):
        assert TRACES.trace(found.trace_id) is not None
        assert TRACES.trace(found.trace_id).spans == found.spans  # type: ignore[union-attr]
    assert TRACES.trace("0" * 31 + "1") is None
    assert TRACES.trace("f" * 32) is None
    high, low = ids.traces(9, 77, np.array([3]))
    assert TRACES.trace(f"{int(high[0]):016x}{int(low[0]):016x}") is None


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**30), st.integers(0, 2**31 - 1))
def test_ids_lead_back(seed: int, tick: int, row: int) -> None:
    high, low = ids.traces(seed, tick, np.array([row]))
    text = f"{int(high[0]):016x}{int(low[0]):016x}"
    assert ids.place_of(seed, text) == (tick, row)
    assert ids.place_of(seed, f"{int(high[0]) ^ 1:016x}{int(low[0]):016x}") is None


def test_without_spans_of_the_load_generator_services_are_roots() -> None:
    spans = _spans(0, Sampling(loader=False))
    assert len(spans) == len(_spans(0)) - 1
    assert not (spans.service == 4).any()
    assert (spans.parent == 0).sum() == 2


@pytest.fixture(scope="module")
def world() -> World:
    package = load_package("online-boutique")
    found = make_world(4, manifests=package.manifests, application=package.application, age_days=1)
    Client(found).delete("services", "default", "recommendationservice")
    found.run_for(60_000)
    return found


def test_spans_count_what_requests_do(world: World) -> None:
    requests = requests_of(world)
    assert requests is not None
    whole = make_spans(requests.names, requests.tick(110), requests.seed)
    rows = traffic.rows_of(world, 110)
    silent = [bool(item.database) for item in requests.names.services]
    served = [silent[requests.names.operations[op].service] for op in rows.op.tolist()]
    assert int(whole.server.sum()) == int((rows.arrived & ~np.array(served)).sum())
    assert int((~whole.server).sum()) == len(rows)
    assert len(set(whole.id.tolist())) == len(whole)
    assert set(whole.parent.tolist()) <= set(whole.id.tolist()) | {0}
    order = {span: place for place, span in enumerate(whole.id.tolist())}
    for place in range(0, len(whole), 7):
        if whole.parent[place]:
            above = order[int(whole.parent[place])]
            assert whole.start[above] <= whole.start[place]
            assert whole.trace_low[above] == whole.trace_low[place]


def test_codes_stand_for_what_spans_have(world: World) -> None:
    requests = requests_of(world)
    assert requests is not None
    describer = Describer(requests.names)
    number = requests.ticks(0, 1 << 62)[-2]
    spans = make_spans(requests.names, requests.tick(number), requests.seed)
    codes = describer.codes(spans).tolist()
    assert len(set(codes)) < len(codes) / 2
    for code, span in zip(codes, describer.describe(spans), strict=True):
        assert describer.coded(code) == (span.name, span.kind, span.scope, span.attributes)


def test_sampling_keeps_whole_traces_by_their_share(world: World) -> None:
    requests = requests_of(world)
    assert requests is not None
    kept = total = 0
    for number in range(80, 110):
        tick = requests.tick(number)
        some = make_spans(requests.names, tick, requests.seed, Sampling(0.25))
        every = make_spans(requests.names, tick, requests.seed)
        kept, total = kept + len(some), total + len(every)
        chosen = set(some.trace_low.tolist())
        assert int(np.isin(every.trace_low, list(chosen)).sum()) == len(some)
    assert 0.2 < kept / total < 0.3


def test_a_deleted_service_shows_in_traces(world: World) -> None:
    requests = requests_of(world)
    assert requests is not None
    traces = Traces(requests)
    wanted = Search("frontend", tags=(("error", "true"),), start=(world.now - 30_000) * 1000, limit=5)
    found = traces.search(wanted)
    assert len(found) == 5
    failed = [span for span in found[0].spans if span.error and span.service == "frontend"]
    assert "recommendationservice" in failed[0].message
    assert "no such host" in failed[0].message
    assert not traces.search(Search("frontend", tags=(("error", "true"),), end=(world.start) * 1000))


def test_a_fork_tells_the_same_traces(world: World) -> None:
    twin = world.fork()
    one, two = requests_of(world), requests_of(twin)
    assert one is not None
    assert two is not None
    first, second = (
        Traces(one).search(Search("frontend", limit=3)),
        Traces(two).search(Search("frontend", limit=3)),
    )
    assert [item.spans for item in first] == [item.spans for item in second]
