"""Loki's API over a world: what Grafana and other clients ask, and answers as golden files."""

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

from firedrill.gateway.kubernetes import Host
from firedrill.gateway.loki import Loki
from firedrill.world.build import make_world
from firedrill.world.kube import kubelet
from firedrill.world.kube.api.client import Client
from firedrill.world.telemetry.logs import Memory, Source
from firedrill.world.world import World

DATA = Path(__file__).parent / "data" / "loki"
NOW = 1_767_603_600
S = 10**9


class Still:
    """A host whose world only has a time."""

    def __init__(self) -> None:
        self.world: Any = type("W", (), {"now": NOW * 1000})()
        self.defects: list[str] = []

    def arrive(self, *, write: bool) -> None:
        assert not write


def _memory(_: World) -> Source:
    web = [((NOW - 60 + i) * S, f"level={'error' if i % 3 == 0 else 'info'} n={i}") for i in range(6)]
    cart = [((NOW - 58) * S + 1, '{"msg":"café","took":"5ms"}')]
    return Memory([({"app": "web", "namespace": "shop"}, web), ({"app": "cart", "namespace": "shop"}, cart)])


@pytest.fixture
def still() -> Still:
    return Still()


@pytest.fixture
def client(still: Still) -> httpx.AsyncClient:
    host: Any = still
    return httpx.AsyncClient(transport=httpx.ASGITransport(Loki(host, _memory)), base_url="http://loki:3100")


GOLDEN = {
    "streams": ("query_range", {"query": '{namespace="shop"}', "limit": "4"}, {}),
    "categorized": (
        "query_range",
        {"query": '{app=~"cart|web"} | logfmt | n="" or n>3', "direction": "forward"},
        {"X-Loki-Response-Encoding-Flags": "categorize-labels"},
    ),
    "matrix": (
        "query_range",
        {
            "query": 'sum by (app) (count_over_time({namespace="shop"}[10s]))',
            "start": "1767603540",
            "step": "5",
        },
        {},
    ),
    "vector": ("query", {"query": 'sum(rate({app="web"} |= "error" [1m]))', "time": "1767603599.5"}, {}),
    "health": ("query", {"query": "vector(1)+vector(1)", "time": "4000000000"}, {}),
    "scalar": ("query", {"query": "2 * 21"}, {}),
    "labels": ("labels", {}, {}),
    "values": ("label/app/values", {"query": '{namespace="shop"}'}, {}),
    "no-values": ("label/nothing/values", {}, {}),
    "series": ("series", {"match[]": '{app="web"}'}, {}),
    "stats": ("index/stats", {"query": '{app="web"}', "start": "1767603000"}, {}),
    "volume": ("index/volume", {"query": '{namespace="shop"}', "targetLabels": "app"}, {}),
    "volume-range": (
        "index/volume_range",
        {"query": '{app="web"}', "start": "1767603540", "end": "1767603550", "step": "5"},
        {},
    ),
    "detected-fields": ("detected_fields", {"query": '{namespace="shop"}'}, {}),
    "detected-labels": ("detected_labels", {}, {}),
    "buildinfo": ("status/buildinfo", {}, {}),
}


@pytest.mark.parametrize("name", sorted(GOLDEN))
async def test_answers_are_lokis(client: httpx.AsyncClient, name: str) -> None:
    path, fields, headers = GOLDEN[name]
    answer = await client.get(f"/loki/api/v1/{path}", params=fields, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    golden = DATA / f"{name}.json"
    if os.environ.get("FIREDRILL_REWRITE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(json.dumps(answer.json(), indent=1, ensure_ascii=False) + "\n", "utf-8")
    assert answer.json() == json.loads(golden.read_text("utf-8"))


async def test_forms_do_as_queries_do(client: httpx.AsyncClient) -> None:
    fields = {"query": '{namespace="shop"}', "limit": "2"}
    got = await client.get("/loki/api/v1/query_range", params=fields)
    posted = await client.post("/loki/api/v1/query_range", data=fields)
    assert got.json() == posted.json()


@pytest.mark.parametrize(
    ("path", "fields", "complaint"),
    [
        (
            "query_range",
            {"query": '{app="web"'},
            "parse error at line 1, col 11: syntax error: unexpected $end, expecting } or ,",
        ),
        (
            "query",
            {"query": '{app="web"}'},
            "log queries are not supported as an instant query type, "
            "please change your query to a range query type",
        ),
        ("query_range", {"query": '{app="web"}', "limit": "0"}, "limit must be a positive value"),
        ("query_range", {"query": '{app="web"}', "limit": "x"}, 'strconv.Atoi: parsing "x": invalid syntax'),
        (
            "query_range",
            {"query": '{app="web"}', "limit": "10000"},
            "max entries limit per query exceeded, limit > max_entries_limit_per_query (10000 > 5000)",
        ),
        (
            "query_range",
            {"query": '{app="web"}', "start": "10", "end": "5"},
            "end timestamp must not be before or equal to start time",
        ),
        (
            "query_range",
            {"query": '{app="web"}', "step": "-1"},
            "zero or negative query resolution step widths are not accepted. Try a positive integer",
        ),
        (
            "query_range",
            {"query": "vector(1)", "start": "1767500000", "end": "1767603600", "step": "1"},
            "exceeded maximum resolution of 11,000 points per time series. "
            "Try increasing the value of the step parameter",
        ),
        (
            "query_range",
            {"query": '{app="web"}', "start": "1765000000"},
            "the query time range exceeds the limit (query length: 30d3h13m20s, limit: 30d1h)",
        ),
        (
            "query_range",
            {"query": '{app="web"}', "start": "yesterday"},
            'parsing time "yesterday" as "2006-01-02T15:04:05.999999999Z07:00": cannot parse "yesterday" as "2006"',
        ),
        ("query_range", {"query": '{app="web"}', "direction": "up"}, "invalid direction 'up'"),
        ("series", {"match[]": '{app="web"} | json'}, "parse error : only label matchers is supported"),
    ],
)
async def test_refusals_are_plain_text(
    client: httpx.AsyncClient, path: str, fields: dict[str, str], complaint: str
) -> None:
    answer = await client.get(f"/loki/api/v1/{path}", params=fields)
    assert answer.status_code == 400
    assert answer.text == complaint + "\n"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


async def test_other_paths(client: httpx.AsyncClient) -> None:
    assert (await client.get("/ready")).text == "ready\n"
    assert (await client.get("/loki/api/v1/nothing")).status_code == 404
    assert (await client.delete("/loki/api/v1/query")).status_code == 405
    assert (await client.get("/loki/api/v1/tail")).status_code == 501
    head = await client.head("/ready")
    assert (head.status_code, head.text) == (200, "")


async def test_large_and_strange_bodies(client: httpx.AsyncClient, still: Still) -> None:
    assert (await client.post("/loki/api/v1/query", content=b"x" * 2_000_000)).status_code == 413
    many = "&".join(f"a{n}=1" for n in range(1000))
    assert (await client.post("/loki/api/v1/query", content=many.encode())).status_code == 400
    assert (await client.post("/loki/api/v1/query", content=b"query=\xff\xfe")).status_code == 400
    assert still.defects == []


@pytest.mark.parametrize(
    "at", ["1767603540", "1767603540.5", "1767603540500000000", "2026-01-05T08:59:00.5Z"]
)
async def test_times_come_in_four_forms(client: httpx.AsyncClient, at: str) -> None:
    answer = await client.get("/loki/api/v1/query_range", params={"query": '{app="cart"}', "start": at})
    assert len(answer.json()["data"]["result"]) == 1


VALUES = st.one_of(
    st.sampled_from(
        [
            '{app="web"}',
            '{app="web"} | json',
            'rate({app="web"}[1m])',
            "vector(1)",
            "1767603540",
            "1767603600",
            "5s",
            "-1",
            "0",
            "1e3",
            "9" * 30,
            "9" * 19,
            "-" + "9" * 19,
            "9" * 12 + ".5",
            "70y",
            "backward",
            "2026-01-05T08:59:00Z",
            "2026-13-45T99:99:99Z",
            ".5",
        ]
    ),
    st.text(max_size=20),
)
FIELDS = st.sampled_from(
    [
        "query",
        "start",
        "end",
        "since",
        "limit",
        "step",
        "interval",
        "direction",
        "time",
        "match[]",
        "targetLabels",
    ]
)
PATHS = st.sampled_from(
    [
        "query",
        "query_range",
        "labels",
        "label/app/values",
        "series",
        "index/stats",
        "index/volume",
        "index/volume_range",
        "detected_fields",
        "detected_labels",
        "patterns",
        "label//values",
    ]
)


@given(PATHS, st.lists(st.tuples(FIELDS, VALUES), max_size=6))
@settings(max_examples=200, deadline=None)
def test_no_request_breaks_it(path: str, fields: list[tuple[str, str]]) -> None:
    still = Still()
    host: Any = still
    client = httpx.AsyncClient(transport=httpx.ASGITransport(Loki(host, _memory)), base_url="http://loki")
    answer = asyncio.run(client.get(f"/loki/api/v1/{path}?{urlencode(fields)}"))
    assert answer.status_code in {200, 400, 404}, answer.text
    assert not still.defects


def _pod(name: str, script: str) -> dict[str, Any]:
    container = {"name": "c", "image": "busybox:1.36", "command": ["sh", "-c", script]}
    meta = {"name": name, "namespace": "default", "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [container]}}


async def test_kubectl_logs_and_loki_tell_the_same() -> None:
    world = make_world(3, nodes=1)
    api = Client(world)
    api.create(_pod("talk", "while true; do echo tick; sleep 2; done"))
    api.create(_pod("crash", "echo starting; sleep 1; echo level=error msg=failed; exit 1"))
    world.run_for(60_000)
    host = Host(world)
    loki = httpx.AsyncClient(transport=httpx.ASGITransport(Loki(host)), base_url="http://loki")

    async def ask(query: str) -> list[Any]:
        fields = {"query": query, "limit": "5000", "direction": "forward"}
        answer = await loki.get("/loki/api/v1/query_range", params=fields)
        assert answer.status_code == 200, answer.text
        found: list[Any] = answer.json()["data"]["result"]
        return found

    (talk,) = await ask('{pod="talk"}')
    assert talk["stream"] == {
        "app": "talk",
        "container": "c",
        "detected_level": "unknown",
        "job": "default/talk",
        "namespace": "default",
        "node_name": world.cluster.store.get("pods", "default", "talk")["spec"]["nodeName"],  # type: ignore[index]
        "pod": "talk",
        "service_name": "talk",
        "stream": "stdout",
    }
    stamped = kubelet.read_log(world, "default", "talk", "c", timestamps=True)
    assert len(talk["values"]) == len(stamped) > 10
    assert [line.split()[0][-10:-1] for line in stamped] == [at[-9:] for at, _ in talk["values"]]
    (errors,) = await ask('{app="crash"} | logfmt | level="error"')
    before = kubelet.read_log(world, "default", "crash", "c", previous=True)
    assert before == ["starting", "level=error msg=failed"]
    assert len(errors["values"]) > 1
    api.delete("pods", "default", "crash")
    world.run_for(30_000)
    assert len(await ask('{app="crash"} |= "starting"')) == 1
    names = await loki.get("/loki/api/v1/label/namespace/values")
    assert names.json()["data"] == ["default", "kube-system"]
    assert not host.defects
