"""Hostile, broken, slow and vanishing clients: a right answer each time, and nothing left behind."""

from __future__ import annotations

import asyncio
import base64
import gc
import gzip
import json
import ssl
import tracemalloc
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firedrill.gateway import serving
from firedrill.gateway.kubernetes import Gateway, Host, Identity, Pace, hub
from firedrill.world.kube.api import Client, User
from firedrill.world.kube.cluster import Log
from firedrill.world.world import World

pytestmark = pytest.mark.slow

MAPS = "/api/v1/namespaces/default/configmaps"
JSON = "application/json"
ROOT = Identity("root", User("root", ("system:masters",)), "root-token")
DEEP = 100_000


def config_map(name: str = "a", **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **more}


def refused(answer: httpx.Response, code: int, *words: str) -> dict[str, Any]:
    """The `Status` of an answer that must be this refusal."""
    assert answer.status_code == code, answer.text[:300]
    status: dict[str, Any] = answer.json()
    assert (status["kind"], status["apiVersion"], status["status"]) == ("Status", "v1", "Failure")
    assert status["code"] == code
    for word in words:
        assert word in status["message"], status["message"][:300]
    assert "Traceback" not in answer.text
    return status


BODIES = [
    pytest.param(JSON, b"", 400, "<empty>", id="empty"),
    pytest.param(JSON, b"{", 400, "unexpected end of JSON input", id="cut-off"),
    pytest.param(JSON, b'{"a":NaN}', 400, "invalid character 'N' looking for beginning of value", id="nan"),
    pytest.param(JSON, b'{"a":-Infinity}', 400, "invalid character", id="infinity"),
    pytest.param(JSON, b'{"a":1e999}', 400, "json parse error", id="beyond-float"),
    pytest.param(JSON, b'{"a":%s}' % (b"9" * 400), 400, "json parse error", id="beyond-integer"),
    pytest.param(JSON, b"[" * DEEP + b"]" * DEEP, 400, "exceeded max depth", id="deep-lists"),
    pytest.param(JSON, b'{"a":' * DEEP + b"1" + b"}" * DEEP, 400, "exceeded max depth", id="deep-maps"),
    pytest.param(JSON, b"[]", 400, "cannot unmarshal array", id="a-list"),
    pytest.param(JSON, b'"text"', 400, "cannot unmarshal string", id="a-string"),
    pytest.param(JSON, b'{"kind":"ConfigMap","a":"\xff\xfe"}', 400, "json parse error", id="bad-utf-8"),
    pytest.param(JSON, b'{"kind":"ConfigMap","a":"\\ud800"}', 400, "json parse error", id="half-character"),
    pytest.param(JSON, gzip.compress(b"x" * 10_000_000), 400, "json parse error", id="gzip"),
    pytest.param(JSON, b"\x00" * 100, 400, "json parse error", id="zeros"),
    pytest.param(JSON, b'{"kind":1,"apiVersion":[]}', 400, "", id="kind-of-a-number"),
    pytest.param(JSON, b'{"kind":"Pod","apiVersion":"v1"}', 400, "Pod", id="another-kind"),
    pytest.param("application/yaml", b"a: [", 400, "yaml", id="yaml-cut-off"),
    pytest.param("application/yaml", b"a: &a [*a]", 400, "", id="yaml-in-itself"),
    pytest.param("application/yaml", b"a: !!python/object:os.system {}", 400, "", id="yaml-of-objects"),
    pytest.param("application/yaml", b"a: 1\n---\nb: 2\n", 400, "", id="yaml-twice"),
    pytest.param(
        "application/yaml",
        b"a: &a [x,x,x,x,x,x,x,x,x]\n"
        + b"".join(
            b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 9)) for c in range(ord("b"), ord("k"))
        ),
        400,
        "excessive aliasing",
        id="yaml-of-laughs",
    ),
    pytest.param("text/plain", b"{}", 415, "", id="plain-text"),
    pytest.param("application/xml", b"<a/>", 415, "", id="xml"),
    pytest.param("multipart/form-data; boundary=x", b"--x--", 415, "", id="a-form"),
    pytest.param("\x7f/;;=", b"{}", 415, "", id="no-media-type"),
]


def untouched(world: World) -> str:
    """What the world is, but for its audit, which knows of refused requests too."""
    copy = world.fork()
    copy.cluster.audit = Log()
    return copy.digest()


@pytest.mark.parametrize(("media", "body", "code", "words"), BODIES)
async def test_broken_bodies(
    http: httpx.AsyncClient, world: World, media: str, body: bytes, code: int, words: str
) -> None:
    Client(world).create({**config_map(), "metadata": {"name": "there", "namespace": "default"}})
    before = untouched(world)
    for method, path in (("POST", MAPS), ("PUT", f"{MAPS}/there")):
        answer = await http.request(method, path, content=body, headers={"content-type": media})
        refused(answer, code, words)
    assert untouched(world) == before


@pytest.mark.parametrize("kind", ["json-patch", "merge-patch", "strategic-merge-patch", "apply-patch"])
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[" * DEEP, b"\xff\xff", b"null", b"7", b'[{"op":"move"}]', b'[{"op":"add","path":"x"}]',
     b'{"metadata":{"name":"other"}}', b'{"metadata":7}', b'{"data":[1]}', b'{"kind":"Pod"}', b"a: &a [*a]"],
)  # fmt: skip
async def test_broken_patches(http: httpx.AsyncClient, world: World, kind: str, body: bytes) -> None:
    Client(world).create({**config_map(), "metadata": {"name": "there", "namespace": "default"}})
    before = untouched(world)
    media = f"application/{kind}+{'yaml' if kind == 'apply-patch' else 'json'}"
    answer = await http.patch(f"{MAPS}/there?fieldManager=me", content=body, headers={"content-type": media})
    if answer.status_code != 200:
        assert answer.json()["kind"] == "Status"
        assert answer.status_code in {400, 409, 415, 422}, answer.text
        assert untouched(world) == before
    else:  # a server takes a patch that says nothing
        assert body in {b"null", b'{"kind":"Pod"}'} or answer.json()["metadata"]["name"] == "there"


async def test_objects_that_are_too_large(http: httpx.AsyncClient, world: World) -> None:
    before = untouched(world)
    asked = await http.post(MAPS, json=config_map(data={"a": "x" * 3_200_000}))
    status = refused(asked, 413, "Request entity too large: limit is 3145728")
    assert status["reason"] == "RequestEntityTooLarge"
    asked = await http.post(MAPS, json=config_map(data={"a": "x" * 1_100_000}))
    assert refused(asked, 422, 'ConfigMap "a" is invalid: []: Too long')["reason"] == "Invalid"
    secret = {**config_map(), "kind": "Secret", "data": {"a": base64.b64encode(b"x" * 1_100_000).decode()}}
    asked = await http.post(MAPS.replace("configmaps", "secrets"), json=secret)
    refused(asked, 422, 'Secret "a" is invalid: data: Too long')
    notes = {"name": "a", "annotations": {"a": "x" * 270_000}}
    asked = await http.post(MAPS, json={**config_map(), "metadata": notes})
    refused(asked, 422, "metadata.annotations: Too long")
    many = {f"l{number}": "x" * 60 for number in range(23_000)}
    asked = await http.post(MAPS, json={**config_map(), "metadata": {"name": "a", "labels": many}})
    refused(asked, 500, "etcdserver: request is too large")
    more = {f"l{number}": "x" * 60 for number in range(32_000)}
    asked = await http.post(MAPS, json={**config_map(), "metadata": {"name": "a", "labels": more}})
    refused(asked, 500, "rpc error: code = ResourceExhausted desc = trying to send message larger than max")
    assert untouched(world) == before


async def test_a_body_that_never_ends_is_cut_off(host: Host) -> None:
    sent: list[dict[str, Any]] = []
    taken = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += 64 * 1024
        return {"type": "http.request", "body": b" " * 64 * 1024, "more_body": True}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await Gateway(host)(_scope("POST", MAPS), receive, send)
    assert sent[0]["status"] == 413
    assert taken < 4_000_000


def _scope(method: str, path: str, query: bytes = b"", token: str = "admin-token") -> dict[str, Any]:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query,
        "headers": [(b"authorization", f"Bearer {token}".encode()), (b"content-type", b"application/json")],
        "client": None,
        "server": None,
    }


@pytest.mark.parametrize(
    "value",
    ["Bearer wrong", "Bearer a.b.c", "Bearer " + "x" * 30_000, "Bearer \xff", "bearer  admin-token-", "Bearer ..",
     "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJzeXN0ZW06bWFzdGVycyJ9."],
)  # fmt: skip
async def test_wrong_tokens(http: httpx.AsyncClient, world: World, value: str) -> None:
    before = untouched(world)
    for path in (MAPS, "/apis", "/version", "/nothing", "/api/v1/namespaces/default/pods/a/log"):
        answer = await http.get(path, headers={b"authorization": value.encode("latin-1")})
        assert refused(answer, 401)["message"] == "Unauthorized"
    answer = await http.post(MAPS, json=config_map(), headers={b"authorization": value.encode("latin-1")})
    refused(answer, 401)
    assert untouched(world) == before


async def test_nobody_in_particular_may_do_next_to_nothing(host: Host) -> None:
    transport = httpx.ASGITransport(app=Gateway(host))
    async with httpx.AsyncClient(transport=transport, base_url="https://world") as anonymous:
        for value in ("", "Basic YTpi", "Bearer", "Bearer "):
            answer = await anonymous.get(MAPS, headers={"authorization": value} if value else {})
            refused(answer, 403, 'User "system:anonymous" cannot list resource "configmaps"')
        assert (await anonymous.get("/version")).status_code == 200


async def test_tokens_of_accounts_end_with_their_time_and_their_account(
    http: httpx.AsyncClient, world: World
) -> None:
    path = "/api/v1/namespaces/default/serviceaccounts/default"
    asked = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": 600},
    }
    token = (await http.post(f"{path}/token", json=asked)).json()["status"]["token"]
    headers = {"authorization": f"Bearer {token}"}
    refused(await http.get(MAPS, headers=headers), 403, "system:serviceaccount:default:default")
    for spoilt in (token[:-2], token + "a", token.replace(".", ".e", 1), token.upper()):
        refused(await http.get(MAPS, headers={"authorization": f"Bearer {spoilt}"}), 401)
    later = (await http.post(f"{path}/token", json=asked)).json()["status"]["token"]
    world.run_for(900_000)
    refused(await http.get(MAPS, headers=headers), 401)
    assert later


@pytest.mark.parametrize(
    "name",
    ["..", ".", "%2e%2e", "..%2f..%2fetc", "a%2fb", "a%00b", "%ff", "a b", "A", "x" * 300, "é", "a;b", "a?b"],
)
async def test_names_that_lead_elsewhere(http: httpx.AsyncClient, world: World, name: str) -> None:
    before = untouched(world)
    raw = f"{MAPS}/{name}".encode().replace(b"\xc3\xa9", b"%C3%A9")
    answer = await http.request("GET", httpx.URL("https://world").copy_with(raw_path=raw))
    assert answer.status_code in {400, 404, 405} or name in {".", "..", "%2e%2e"}
    for path in ("", "/log", "/exec", "/status"):
        asked = await http.get(f"/api/v1/namespaces/{name}/pods/..%2f{name}{path}")
        assert asked.status_code in {200, 400, 404, 405}, asked.text
    answer = await http.post(MAPS, json={**config_map(), "metadata": {"name": f"../{name}"}})
    refused(answer, 422, "metadata.name: Invalid value")
    assert untouched(world) == before


async def test_urls_and_headers_of_any_length(http: httpx.AsyncClient, world: World) -> None:
    before = untouched(world)
    refused(await http.get("/api/v1/" + "a" * 40_000), 414)
    assert (
        await http.get(MAPS, params={"fieldSelector": "metadata.name=" + "b" * 20_000})
    ).status_code == 200
    many = "&".join(f"labelSelector=a{number}" for number in range(3000))
    assert (await http.get(f"{MAPS}?{many}")).status_code in {200, 400, 414}
    long = await http.get(MAPS, headers={"accept": ",".join(["application/json;as=Table"] * 2000)})
    assert long.status_code in {200, 406}
    wanted = await http.get(MAPS, headers={"accept": "image/png"})
    refused(wanted, 406, "only the following media types are accepted")
    assert untouched(world) == before


TEXTS = st.text(max_size=30) | st.sampled_from(
    ["", "%", "a=b", "a in (", "!a", "a==b,,", "\x00", "1" * 30, "-1"]
)
QUERIES = st.lists(
    st.tuples(
        st.sampled_from(
            ["labelSelector", "fieldSelector", "limit", "continue", "resourceVersion", "resourceVersionMatch",
             "timeoutSeconds", "watch", "allowWatchBookmarks", "sendInitialEvents", "pretty", "dryRun", "zz"]
        ),
        TEXTS,
    ),
    max_size=5,
)  # fmt: skip


@pytest.fixture(scope="module")
def booted() -> Host:
    from firedrill.world.build import make_world

    return Host(make_world(3, nodes=2), [ROOT], pace=Pace(speed=0))


@settings(max_examples=200)
@given(
    st.sampled_from(
        ["/api/v1/pods", MAPS, "/apis/apps/v1/deployments", "/apis", "/openapi/v3", "/api/v1/nodes"]
    ),
    QUERIES,
    st.text(max_size=12),
)
def test_any_query_is_answered(booted: Host, path: str, pairs: Any, tail: str) -> None:
    host, world = booted, booted.world
    before = world.cluster.store.rv
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    query = str(httpx.QueryParams(pairs)).encode()
    asyncio.run(Gateway(host)(_scope("GET", path + tail, query, ROOT.token), receive, send))
    assert not host.defects, host.defects[0]
    assert not sent or sent[0]["status"] in {200, 400, 403, 404, 405, 406, 410, 414, 422, 504}
    assert world.cluster.store.rv == before
    assert len(host.hub) == 0


async def test_thousands_of_watches(world: World, host: Host) -> None:
    count = 2000
    heard = [0] * count
    gone = asyncio.Event()

    async def one(number: int) -> None:
        async def receive() -> dict[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            heard[number] += message.get("body", b"").count(b'"wanted"')

        query = b"watch=1&resourceVersion=%d" % world.cluster.store.rv
        await Gateway(host)(_scope("GET", MAPS, query), receive, send)

    tracemalloc.start()
    try:
        tasks = [asyncio.ensure_future(one(number)) for number in range(count)]
        while len(host.hub) < count:
            await asyncio.sleep(0.01)
        each = tracemalloc.get_traced_memory()[0] / count
    finally:
        tracemalloc.stop()
    assert each < 40_000, f"{each:.0f} bytes for each open watch"
    made = {**config_map(), "metadata": {"name": "wanted", "namespace": "default"}}
    Client(world).create(made)
    host.hub.publish()
    while min(heard) == 0:
        await asyncio.sleep(0.01)
    gone.set()
    await asyncio.wait_for(asyncio.gather(*tasks), 10)
    assert max(heard) == 1
    assert len(host.hub) == 0
    assert not host.defects


async def test_what_waits_for_a_slow_reader_is_bounded(
    stream: Callable[..., Any], world: World, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "BACKLOG_BYTES", 200_000)
    most = 0
    whole = hub.Watcher.put

    def put(watcher: hub.Watcher, chunk: bytes) -> None:
        nonlocal most
        whole(watcher, chunk)
        most = max(most, sum(map(len, watcher._waiting)))

    monkeypatch.setattr(hub.Watcher, "put", put)
    async with stream(MAPS, f"watch=1&resourceVersion={world.cluster.store.rv}", slow=True) as wire:
        while len(host.hub) == 0:
            await asyncio.sleep(0.01)
        client = Client(world)
        obj = client.create({**config_map(), "metadata": {"name": "a", "namespace": "default"}})
        for number in range(200):
            obj = client.update({**obj, "data": {"k": f"{number}" + "x" * 5000}})
            host.hub.publish()
        assert 100_000 < most <= 200_000
        while len(host.hub) > 0:
            await asyncio.sleep(0.01)
        assert not wire.done, "its connection is cut off, not closed as if the watch were over"


async def test_deletes_in_the_middle_of_rollouts() -> None:
    from firedrill.world.build import make_world

    world = make_world(5, nodes=2)
    host = Host(world, [ROOT], pace=Pace(speed=0))
    transport = httpx.ASGITransport(app=Gateway(host))
    headers = {"authorization": f"Bearer {ROOT.token}"}
    path = "/apis/apps/v1/namespaces/default/deployments"
    async with httpx.AsyncClient(transport=transport, base_url="https://world", headers=headers) as http:
        for round_, policy in enumerate(["Background", "Foreground", "Orphan", "Background"]):
            name = f"app-{round_}"
            assert (await http.post(path, json=_deployment(name, "nginx:1.26"))).status_code == 201
            world.run_for(4000)
            image = {
                "spec": {"template": {"spec": {"containers": [{"name": "main", "image": "nginx:1.27"}]}}}
            }
            media = {"content-type": "application/strategic-merge-patch+json"}
            patched = await http.patch(f"{path}/{name}", content=json.dumps(image), headers=media)
            assert patched.status_code == 200
            world.run_for(700 * round_)
            gone = await http.request("DELETE", f"{path}/{name}", params={"propagationPolicy": policy})
            assert gone.status_code == 200
            again = await http.patch(f"{path}/{name}", content=json.dumps(image), headers=media)
            assert again.status_code in {200, 404}
            pods = (await http.get("/api/v1/namespaces/default/pods")).json()["items"]
            for pod in pods[:2]:
                meta = pod["metadata"]
                await http.delete(f"/api/v1/namespaces/default/pods/{meta['name']}?gracePeriodSeconds=0")
            world.run_for(90_000)
            left = (await http.get("/apis/apps/v1/namespaces/default/replicasets")).json()["items"]
            if policy == "Orphan":
                assert left
                assert not any(item["metadata"].get("ownerReferences") for item in left)
                url = "/apis/apps/v1/namespaces/default/replicasets?propagationPolicy=Background"
                assert (await http.delete(url)).status_code == 200
                world.run_for(90_000)
            else:
                assert not left
            assert not (await http.get("/api/v1/namespaces/default/pods")).json()["items"]
    assert not host.defects


def _deployment(name: str, image: str) -> dict[str, Any]:
    labels = {"app": name}
    spec = {"containers": [{"name": "main", "image": image}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 4,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


@pytest.fixture
async def port() -> AsyncIterator[tuple[Host, int, ssl.SSLContext]]:
    """A booted world on a real port, and how to reach it; nothing of its clients is left in the end."""
    from firedrill.world.build import make_world

    world = make_world(5, nodes=1)
    before = len(asyncio.all_tasks())
    async with serving.served(world, [ROOT], Pace(speed=20)) as served:
        yield (
            served.host,
            int(served.server.rpartition(":")[2]),
            ssl.create_default_context(cadata=served.ca.decode()),
        )
        assert not served.host.defects, served.host.defects[0]
    for _ in range(400):
        if len(asyncio.all_tasks()) <= before:
            break
        await asyncio.sleep(0.05)
    assert len(asyncio.all_tasks()) <= before


async def _connect(number: int, context: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", number, ssl=context, server_hostname="localhost")


def _head(path: str, *more: str, method: str = "GET") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {ROOT.token}", *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def test_what_is_no_http_and_half_requests(port: tuple[Host, int, ssl.SSLContext]) -> None:
    _, number, context = port
    idle = [await _connect(number, context) for _ in range(20)]
    halves = [b"GET / HT", _head(MAPS, "Content-Length: 100", method="POST") + b"{", b"\x16\x03\x01" * 50]
    for sent in (*halves, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"\r\n" * 1000):
        reader, writer = await _connect(number, context)
        writer.write(sent)
        idle.append((reader, writer))
    reader, writer = await _connect(number, context)
    writer.write(_head("/version", "X: " + "y" * 200_000))
    assert (await _first(reader)).split()[1] in {b"400", b"431"}
    reader, writer = await _connect(number, context)
    writer.write(b"NONSENSE\r\n\r\n")
    assert b" 400 " in await _first(reader)
    reader, writer = await _connect(number, context)
    writer.write(_head("/version"))
    assert b" 200 " in await _first(reader)
    for _, going in idle:
        going.transport.abort()
    plain_reader, plain = await asyncio.open_connection("127.0.0.1", number)
    plain.write(_head("/version"))  # no TLS
    await plain_reader.read(100)
    plain.close()


async def _first(reader: asyncio.StreamReader) -> bytes:
    try:
        return await asyncio.wait_for(reader.readline(), 10)
    except ConnectionError:
        return b""


async def test_clients_that_vanish(port: tuple[Host, int, ssl.SSLContext]) -> None:
    host, number, context = port
    pod = "/api/v1/namespaces/kube-system/pods/etcd-control-plane"
    socket = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
              "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol: v5.channel.k8s.io"]  # fmt: skip
    asked = [
        _head("/api/v1/pods?watch=1"),
        _head("/api/v1/events?watch=1&allowWatchBookmarks=true"),
        _head(f"{pod}/log?follow=true"),
        _head(f"{pod}/exec?command=sh&stdin=true&stdout=true", *socket),
        _head(f"{pod}/exec?command=cat&stdin=true&stdout=true", *socket),
        _head(f"{pod}/attach?stdout=true", *socket),
    ]
    for _ in range(5):
        writers = []
        for head in asked:
            reader, writer = await _connect(number, context)
            writer.write(head)
            assert (await _first(reader)).split()[1:2][0] in {b"200", b"101"}
            writers.append(writer)
        while len(host.hub) < 2:
            await asyncio.sleep(0.05)
        for writer in writers:
            writer.transport.abort()
        for _ in range(400):
            if len(host.hub) == 0 and host.waiting == 0:
                break
            await asyncio.sleep(0.05)
        assert (len(host.hub), host.waiting) == (0, 0)


async def test_a_flood_of_requests_leaves_no_memory_behind(http: httpx.AsyncClient, world: World) -> None:
    async def flood() -> None:
        for number in range(150):
            await http.post(MAPS, content=b"{" * number, headers={"content-type": JSON})
            await http.get(f"{MAPS}/no-{number}")
        world.cluster.audit = Log()
        gc.collect()

    await flood()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        await flood()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 300_000, grown
