"""The clock of an episode: what requests cost, what those see who wait, and the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from firedrill.core.living import RequestLine
from firedrill.gateway.kubernetes import Gateway, Identity, Pace
from firedrill.gateway.prometheus import HostWatched, prometheus_app
from firedrill.gateway.servers import running, unix_listener
from firedrill.runner.living.clock import (
    PATIENCE_MS,
    SLICE_SECONDS,
    SLICES,
    Bounded,
    ClockFace,
    EpisodeHost,
    slept,
)
from firedrill.world.kube.api import Client, User
from firedrill.world.kube.cluster import Settings
from firedrill.world.sim.handlers import handler
from firedrill.world.world import World

TOKEN = "on-call-token"
MAPS = "/api/v1/namespaces/default/configmaps"
MINUTE = 60_000


@handler("test.clock.make")
def _make(world: World, name: str) -> None:
    meta = {"name": name, "namespace": "default"}
    Client(world).create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {}})


class Served:
    """A small world on a socket, and what was told of it."""

    def __init__(self, host: EpisodeHost, http: httpx.AsyncClient, ends: list[int]) -> None:
        self.host, self.http, self.ends = host, http, ends
        self.start = host.world.now
        self.lines: list[RequestLine] = []
        host.witness = self.lines.append

    @property
    def passed(self) -> int:
        return self.host.world.now - self.start


@contextlib.asynccontextmanager
async def serve(folder: Path, cap_ms: int = 60 * MINUTE) -> AsyncIterator[Served]:
    world = World(3, settings=Settings(freeze=True))
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}
    Client(world, trusted=True).create({**namespace, "status": {"phase": "Active"}})
    world.run_for(1000)
    ends: list[int] = []
    identity = Identity("on-call", User("on-call", ("system:masters",)), TOKEN)
    pace = Pace(speed=0, read_ms=3000, write_ms=5000)
    host = EpisodeHost(world, (identity,), pace, cap_ms, lambda: ends.append(world.now))
    async with contextlib.AsyncExitStack() as stack:
        path = folder / "kubernetes"
        await stack.enter_async_context(running(Bounded(Gateway(host), host), unix_listener(path)))
        following = asyncio.create_task(host.follow())
        stack.callback(following.cancel)
        http = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(path)),
            base_url="http://world",
            headers={"authorization": f"Bearer {TOKEN}"},
            timeout=30,
        )
        yield Served(host, await stack.enter_async_context(http), ends)


def config_map(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


async def test_requests_take_virtual_time_and_nothing_else_does(tmp_path: Path) -> None:
    async with serve(tmp_path) as served:
        assert (await served.http.get(MAPS)).status_code == 200
        assert served.passed == 3000
        assert (await served.http.post(MAPS, json=config_map("a"))).status_code == 201
        assert served.passed == 8000
        await asyncio.sleep(0.05)
        assert served.passed == 8000
        assert [(line.verb, line.at_ms - served.start) for line in served.lines] == [
            ("list", 3000),
            ("create", 8000),
        ]


@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/apis",
        "/api/v1",
        "/apis/apps/v1",
        "/openapi/v3",
        "/openapi/v2",
        "/version",
        "/livez",
        "/readyz",
    ],
)
async def test_what_clients_ask_of_any_cluster_takes_no_time(tmp_path: Path, path: str) -> None:
    async with serve(tmp_path) as served:
        assert (await served.http.get(path)).status_code == 200
        assert served.passed == 0
        assert [line.path for line in served.lines] == [path]
        assert (await served.http.get("/metrics")).status_code == 200
        assert (await served.http.post(path, json={})).status_code == 405
        assert served.passed == 8000


async def test_no_flood_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firedrill.runner.living.clock.MOST_FREE", 2)
    async with serve(tmp_path) as served:
        for passed in (0, 0, 3000, 6000):
            await served.http.get("/version")
            assert served.passed == passed
        assert (await served.http.post(MAPS, content=bytes(4 << 20))).status_code == 413
        assert served.passed == 11_000
        monkeypatch.setattr("firedrill.runner.living.clock.MOST_CALLS", 0)
        assert (await served.http.get(MAPS)).status_code == 429
        assert served.passed == 11_000


async def test_what_clients_ask_of_any_prometheus_takes_no_time(tmp_path: Path) -> None:
    async with serve(tmp_path) as served:
        app = prometheus_app(HostWatched(served.host))
        way = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=way, base_url="http://prometheus") as http:
            for name in ("buildinfo", "flags"):
                assert (await http.get(f"/api/v1/status/{name}")).status_code == 200
            assert served.passed == 0
            assert (await http.get("/api/v1/query?query=1")).status_code == 200
            assert served.passed == 3000


@pytest.mark.parametrize("thinks", [0.0, SLICES * SLICE_SECONDS / 3])
async def test_what_a_watcher_sees_does_not_depend_on_how_fast_it_is(tmp_path: Path, thinks: float) -> None:
    async with serve(tmp_path) as served:
        for number, seconds in enumerate((7, 8, 40)):
            served.host.world.schedule(seconds * 1000 + 300, "test.clock.make", f"m{number}")
        seen = []
        async with served.http.stream("GET", MAPS, params={"watch": "1"}) as answer:
            async for line in answer.aiter_lines():
                name = json.loads(line)["object"]["metadata"]["name"]
                if not name.startswith("m"):
                    continue
                await asyncio.sleep(thinks)
                found = await served.http.get(f"{MAPS}/{name}")
                seen.append((name, served.passed, found.status_code))
                if name == "m2":
                    break
        # the watch costs a read, each news comes at the end of its second, each look costs a read
        assert seen == [("m0", 11_000, 200), ("m1", 14_000, 200), ("m2", 44_000, 200)]


async def test_endless_commands_end_when_patience_does(tmp_path: Path) -> None:
    async with serve(tmp_path) as served:
        headers = {"kubectl-command": "kubectl get"}
        async with served.http.stream("GET", MAPS, params={"watch": "1"}, headers=headers) as answer:
            assert [line async for line in answer.aiter_lines() if "m9" in line] == []
        assert served.passed == 3000 + 2 * MINUTE


async def test_a_watch_in_the_background_does_not_let_the_incident_run_away(tmp_path: Path) -> None:
    async with serve(tmp_path) as served, served.http.stream("GET", MAPS, params={"watch": "1"}):
        while served.passed < 3000 + PATIENCE_MS:
            await asyncio.sleep(0.01)
        await asyncio.sleep(2 * SLICES * SLICE_SECONDS)
        assert served.passed == 3000 + PATIENCE_MS
        await served.http.get(MAPS)
        await asyncio.sleep(2 * SLICES * SLICE_SECONDS)
        assert served.passed == 6000 + PATIENCE_MS


async def test_when_time_is_up_nothing_is_answered_any_more(tmp_path: Path) -> None:
    async with serve(tmp_path, cap_ms=7000) as served:
        codes = [(await served.http.get(MAPS)).status_code for _ in range(5)]
        assert codes == [200, 200, 200, 503, 503]
        assert served.passed == 7000
        assert served.ends == [served.start + 7000]
        served.host.go_on(MINUTE)
        assert served.passed == 7000
        assert len(served.ends) == 1


async def test_a_wait_without_end_stops_at_the_end_of_time(tmp_path: Path) -> None:
    async with serve(tmp_path, cap_ms=MINUTE) as served:
        async with served.http.stream("GET", MAPS, params={"watch": "1"}):
            while not served.ends:
                await asyncio.sleep(0.01)
        assert served.passed == MINUTE


async def test_closing_ends_streams_and_the_witness_knows_of_all_requests(tmp_path: Path) -> None:
    async with serve(tmp_path) as served, served.http.stream("GET", MAPS, params={"watch": "1"}):
        await served.http.get(MAPS)
        await served.host.close()
        assert not served.host.calls
        assert sorted(line.verb for line in served.lines) == ["list", "watch"]
        assert (await served.http.get(MAPS)).status_code == 503


@pytest.mark.parametrize(
    ("text", "ms"),
    [("90", 90_000), ("1.5m", 90_000), ("1m 30s", 90_000), (".5", 500), ("0", 0), ("2d", 172_800_000)],
)
def test_sleep_takes_what_sleep_takes(text: str, ms: int) -> None:
    assert slept(text) == ms


@pytest.mark.parametrize("text", ["", "infinity", "-1", "1 x", "1e3", "9" * 30, "1w"])
def test_and_nothing_else(text: str) -> None:
    assert slept(text) is None


async def test_a_sandbox_reads_the_incidents_clock_and_waits_by_it(tmp_path: Path) -> None:
    async with serve(tmp_path, cap_ms=5 * MINUTE) as served:
        way = httpx.ASGITransport(app=Bounded(ClockFace(served.host), served.host))
        async with httpx.AsyncClient(transport=way, base_url="http://clock") as http:
            assert int((await http.get("/now")).text) == served.start // 1000
            assert (await http.post("/wait", content="1m")).status_code == 200
            assert served.passed == MINUTE
            assert (await http.post("/wait", content="@/etc/passwd")).status_code == 400
            assert (await http.get("/")).status_code == 404
            assert served.passed == MINUTE
            await http.post("/wait", content="1h")
            assert served.passed == 5 * MINUTE
            assert (await http.get("/now")).status_code == 503
