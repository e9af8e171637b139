"""Jaeger's API over a world: answers as golden files, refusals, and a real application."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firedrill.gateway.jaeger import Jaeger
from firedrill.gateway.kubernetes import Host
from firedrill.world.app import load_package
from firedrill.world.build import make_world
from firedrill.world.telemetry.traces import Call, Fixed, Names, Operation, Pod, Service, table
from firedrill.world.world import World

DATA = Path(__file__).parent / "data" / "jaeger"
START = 1_767_603_600_000
NAMES = Names(
    "shop",
    (
        Service("web", "shop", "web", "go", "net/http", 8080),
        Service("cart", "shop", "cart", "python", "grpcio", 7070),
        Service("users", "shop", "users", "python", "locust"),
    ),
    (Operation(0, "show", "GET /cart"), Operation(1, "get", "shop.Cart/Get", "no such cart")),
    (Call(0, "http"), Call(1, "grpc")),
    ("ok", "failed"),
)
PODS = tuple(
    Pod(number, "shop", f"{item.name}-1", f"uid-{item.name}", "node-1", "main")
    for number, item in enumerate(NAMES.services)
)


def _rows(kind: int) -> list[dict[str, int]]:
    first = {
        "parent": -1,
        "edge": 0,
        "op": 0,
        "source": 2,
        "pod": 0,
        "start": 1000,
        "duration": 900,
        "arrived": 1,
    }
    second = {
        "parent": 0,
        "edge": 1,
        "op": 1,
        "source": 0,
        "pod": 1,
        "start": 1200,
        "duration": 500,
        "arrived": 1,
    }
    return [
        first | {"kind": 0, "server_start": 1100, "server_duration": 700, "server_kind": 0},
        second | {"kind": kind, "server_start": 1250, "server_duration": 400, "server_kind": kind},
    ]


FIXED = Fixed(NAMES, START, 5000, [table(_rows(0)), table(_rows(1))], PODS, seed=9)


class Still:
    """A host whose world only has a time."""

    def __init__(self) -> None:
        self.world: Any = type("W", (), {"now": START + 10_000})()
        self.defects: list[str] = []

    def arrive(self, *, write: bool) -> None:
        assert not write


def _client(still: Still, requests: Any = FIXED) -> httpx.AsyncClient:
    host: Any = still
    app = Jaeger(host, lambda _: requests)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://jaeger:16686")


@pytest.fixture
def client() -> httpx.AsyncClient:
    return _client(Still())


GOLDEN = {
    "services": "/api/services",
    "operations": "/api/services/web/operations",
    "operations-by-kind": "/api/operations?service=web&spanKind=client",
    "traces": "/api/traces?service=cart&limit=20&lookback=1h",
    "errors": '/api/traces?service=web&tags={"error":"true"}&minDuration=100us&maxDuration=1s',
    "none": "/api/traces?service=nobody",
    "dependencies": f"/api/dependencies?endTs={START + 10_000}&lookback=3600000",
    "services-v3": "/api/v3/services",
    "operations-v3": "/api/v3/operations?service=cart",
}


@pytest.mark.parametrize("name", sorted(GOLDEN))
async def test_answers_are_jaegers(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get(GOLDEN[name])
    assert answer.status_code == 200, answer.text
    golden = DATA / f"{name}.json"
    if os.environ.get("FIREDRILL_REWRITE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(json.dumps(answer.json(), indent=1, ensure_ascii=False) + "\n", "utf-8")
    assert answer.json() == json.loads(golden.read_text("utf-8"))


async def test_one_trace_in_both_forms(client: httpx.AsyncClient) -> None:
    found = (await client.get("/api/traces?service=cart&tag=error:true")).json()["data"]
    assert len(found) == 1
    alone = (await client.get(f"/api/traces/{found[0]['traceID']}")).json()["data"]
    assert alone == found
    several = (await client.get("/api/traces", params={"traceID": found[0]["traceID"]})).json()["data"]
    assert several == found
    native = (await client.get(f"/api/v3/traces/{found[0]['traceID']}")).json()["result"]["resourceSpans"]
    spans = [span for item in native for scope in item["scopeSpans"] for span in scope["spans"]]
    assert sorted(span["spanId"] for span in spans) == sorted(span["spanID"] for span in found[0]["spans"])
    failed = [span for span in spans if span["status"].get("code") == 2]
    assert {span["status"]["message"] for span in failed} == {"no such cart"}


@pytest.mark.parametrize(
    ("path", "code", "complaint"),
    [
        ("/api/traces", 400, "parameter 'service' is required"),
        ("/api/operations", 400, "parameter 'service' is required"),
        (
            "/api/traces?service=a&start=x",
            400,
            "unable to parse param 'start': strconv.ParseInt: parsing \"x\": invalid syntax",
        ),
        (
            "/api/traces?service=a&minDuration=5x",
            400,
            'unable to parse param \'minDuration\': time: unknown unit "x" in duration "5x"',
        ),
        (
            "/api/traces?service=a&minDuration=2s&maxDuration=1s",
            400,
            "'maxDuration' should be greater than 'minDuration'",
        ),
        ("/api/traces?service=a&tag=x", 400, "malformed 'tag' parameter, expecting key:value, received: x"),
        ("/api/traces/00000000000000000000000000000001", 404, "trace not found"),
        ("/api/traces/xyz", 400, 'strconv.ParseUint: parsing "xyz": invalid syntax'),
        ("/api/traces/" + "a" * 33, 400, "TraceID cannot be longer than 32 hex characters: " + "a" * 33),
        ("/api/nothing", 404, "404 page not found"),
    ],
)
async def test_refusals(client: httpx.AsyncClient, path: str, code: int, complaint: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == code
    assert answer.json() == {
        "data": None,
        "total": 0,
        "limit": 0,
        "offset": 0,
        "errors": [{"code": code, "msg": complaint}],
    }


@pytest.mark.parametrize("tags", ["{", "[]", '{"a":1}', "null"])
async def test_wrong_tags_are_refused(client: httpx.AsyncClient, tags: str) -> None:
    answer = await client.get("/api/traces", params={"service": "web", "tags": tags})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["msg"].startswith("malformed 'tags' parameter, cannot unmarshal JSON: ")


async def test_a_world_without_traffic_has_no_traces() -> None:
    client = _client(Still(), None)
    assert (await client.get("/api/services")).json()["data"] is None
    assert (await client.get("/api/traces?service=a")).json()["data"] == []
    assert (await client.get("/api/dependencies")).json()["data"] == []
    assert (await client.get("/api/traces/1")).status_code == 404


VALUES = st.one_of(
    st.sampled_from(
        [
            "web",
            "cart",
            "1",
            "-1",
            "0",
            "5s",
            "1h",
            "GET",
            "{}",
            "error:true",
            "x" * 300,
            "9" * 25,
            "9" * 19,
            "-" + "9" * 19,
        ]
    ),
    st.text(max_size=20),
)
NAMES_OF_FIELDS = st.sampled_from(
    [
        "service",
        "operation",
        "start",
        "end",
        "limit",
        "lookback",
        "tags",
        "tag",
        "minDuration",
        "maxDuration",
        "traceID",
        "endTs",
        "spanKind",
    ]
)


@given(
    st.sampled_from(
        ["/api/traces", "/api/operations", "/api/dependencies", "/api/services", "/api/traces/1"]
    ),
    st.lists(st.tuples(NAMES_OF_FIELDS, VALUES), max_size=6),
)
@settings(max_examples=150, deadline=None)
def test_no_request_breaks_it(path: str, fields: list[tuple[str, str]]) -> None:
    still = Still()
    ask = _client(still).get(f"{path}?{urlencode(fields)}")
    assert asyncio.run(ask).status_code in {200, 400, 404}
    assert not still.defects


async def test_an_application_is_traced() -> None:
    package = load_package("online-boutique")
    world: World = make_world(4, manifests=package.manifests, application=package.application, age_days=1)
    host = Host(world)
    client = httpx.AsyncClient(transport=httpx.ASGITransport(Jaeger(host)), base_url="http://jaeger")
    names = (await client.get("/api/services")).json()["data"]
    assert {"frontend", "cartservice", "loadgenerator"} <= set(names)
    assert "redis-cart" not in names
    found = (await client.get("/api/traces?service=checkoutservice&limit=2")).json()["data"]
    assert len(found) == 2
    for one in found:
        known = {span["spanID"] for span in one["spans"]}
        assert {"checkoutservice", "frontend"} <= {item["serviceName"] for item in one["processes"].values()}
        for span in one["spans"]:
            assert all(item["spanID"] in known for item in span["references"])
            assert span["processID"] in one["processes"]
    assert not host.defects
