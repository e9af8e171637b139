"""Watches: what is told to whom, and when a watch ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from firedrill.gateway.kubernetes import Host, hub
from firedrill.gateway.kubernetes.hub import Watcher
from firedrill.world.kube.api import Client, Request, User, server
from firedrill.world.kube.api.request import Options
from firedrill.world.world import World

MAPS = "/api/v1/namespaces/default/configmaps"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
ROOT = User("root", ("system:masters",))


def make(world: World, name: str, namespace: str = "default", **data: str) -> dict[str, Any]:
    meta = {"name": name, "namespace": namespace}
    return Client(world).create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})


async def test_what_is_there_comes_first_then_what_happens(
    stream: Callable[..., Any], world: World, host: Host
) -> None:
    make(world, "old")
    async with stream(MAPS, "watch=true&labelSelector=!system") as wire:
        seen = [await wire.line()]
        while seen[-1]["object"]["metadata"]["name"] != "old":
            seen.append(await wire.line())
        assert {item["type"] for item in seen} == {"ADDED"}
        new = make(world, "new", k="v")
        host.hub.publish()
        event = await wire.line()
        assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "new")
        assert event["object"]["kind"] == "ConfigMap", "watched objects carry their type"
        Client(world).update({**new, "data": {"k": "w"}})
        Client(world).delete("configmaps", "default", "new")
        host.hub.publish()
        assert [(await wire.line())["type"] for _ in range(2)] == ["MODIFIED", "DELETED"]


async def test_other_namespaces_and_resources_are_not_told(
    stream: Callable[..., Any], world: World, host: Host
) -> None:
    async with stream(MAPS, f"watch=1&resourceVersion={world.cluster.store.rv}") as wire:
        await asyncio.sleep(0)
        make(world, "elsewhere", "kube-system")
        host.hub.publish()
        make(world, "here")
        host.hub.publish()
        assert (await wire.line())["object"]["metadata"]["name"] == "here"


async def test_rows_of_a_watched_table_name_their_columns_once(
    stream: Callable[..., Any], world: World, host: Host
) -> None:
    rv = world.cluster.store.rv
    make(world, "a")
    make(world, "b")
    async with stream(MAPS, f"watch=1&resourceVersion={rv}", accept=TABLE) as wire:
        first, second = await wire.line(), await wire.line()
    assert first["object"]["kind"] == "Table"
    assert first["object"]["columnDefinitions"][0]["name"] == "Name"
    assert second["object"]["columnDefinitions"] is None
    assert second["object"]["rows"][0]["cells"][0] == "b"


async def test_a_watch_ends_at_its_time_with_a_bookmark(stream: Callable[..., Any], world: World) -> None:
    rv = str(world.cluster.store.rv)
    query = f"watch=1&resourceVersion={rv}&timeoutSeconds=1&allowWatchBookmarks=true"
    async with stream(MAPS, query) as wire:
        last = await wire.line()
        assert last["type"] == "BOOKMARK"
        assert last["object"]["metadata"] == {"resourceVersion": rv, "creationTimestamp": None}
        assert await wire.line() is None
        assert wire.done


async def test_a_version_that_is_too_old(stream: Callable[..., Any], world: World) -> None:
    world.cluster.store.forget_log()
    async with stream(MAPS, "watch=1&resourceVersion=1001") as wire:
        status = await wire.line()
    assert (status["code"], status["reason"]) == (410, "Expired")
    assert status["message"] == f"too old resource version: 1001 ({world.cluster.store.oldest})"


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds; the test's own limit of time ends it where it never does."""
    while not holds():
        await asyncio.sleep(0.01)


async def test_a_log_that_is_cut_off_under_a_watch(
    stream: Callable[..., Any], world: World, host: Host
) -> None:
    async with stream(MAPS, f"watch=1&resourceVersion={world.cluster.store.rv}") as wire:
        await until(lambda: len(host.hub) == 1)
        make(world, "a")
        world.cluster.store.forget_log()
        make(world, "b")
        host.hub.publish()
        event = await wire.line()
        assert (event["type"], event["object"]["code"]) == ("ERROR", 410)
        assert await wire.line() is None


async def test_a_quiet_watch_never_gets_too_old(stream: Callable[..., Any], world: World, host: Host) -> None:
    async with stream(MAPS, f"watch=1&resourceVersion={world.cluster.store.rv}") as wire:
        await until(lambda: len(host.hub) == 1)
        for _ in range(3):
            make(world, f"x{world.cluster.store.rv}", "kube-system")
            host.hub.publish()
            world.cluster.store.forget_log()
        make(world, "here")
        host.hub.publish()
        assert (await wire.line())["type"] == "ADDED"


async def test_initial_events_end_with_a_bookmark_from_1_32_on(stream: Callable[..., Any]) -> None:
    query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    async with stream(MAPS, query) as wire:
        refused = await wire.line()
    assert "unless the WatchList feature gate is enabled" in refused["message"]


async def test_a_slow_client_is_dropped_and_others_are_not(
    stream: Callable[..., Any], world: World, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "BACKLOG_BYTES", 20_000)
    query = f"watch=1&resourceVersion={world.cluster.store.rv}"
    async with stream(MAPS, query, slow=True) as slow, stream(MAPS, query) as quick:
        await until(lambda: len(host.hub) == 2)
        for number in range(40):
            make(world, f"big-{number}", text="x" * 1000)
            host.hub.publish()
            assert (await quick.line())["object"]["metadata"]["name"] == f"big-{number}"
        await until(lambda: len(host.hub) == 1)
        assert not slow.done


async def test_clients_that_leave_are_forgotten(stream: Callable[..., Any], host: Host) -> None:
    async with stream(MAPS, "watch=1"):
        await until(lambda: len(host.hub) == 1)
    assert len(host.hub) == 0


def test_a_change_looks_only_at_those_whom_it_concerns(world: World, host: Host) -> None:
    polled = []

    class Counted(Watcher):
        __slots__ = ()

        def poll(self, world: World) -> None:
            polled.append(self.resource)
            super().poll(world)

    for resource in ["configmaps"] * 3 + ["secrets"] * 2000:
        options = Options(resource_version=str(world.cluster.store.rv))
        request = Request("watch", "", "v1", resource, "default", options=options, user=ROOT)
        cursor = server.watch(world, request)
        host.hub.add(Counted(cursor, resource, "default", lambda *_: b""))
    polled.clear()
    make(world, "a")
    host.hub.publish()
    host.hub.publish()
    assert polled == ["configmaps"] * 3


async def test_a_watch_lets_time_pass_where_only_requests_do(world: World) -> None:
    from firedrill.gateway.kubernetes import Pace

    now = [0.0]
    host = Host(world, pace=Pace(speed=0, waiting_speed=60), clock=lambda: now[0])
    before = world.now
    now[0] = 1.0
    host.catch_up()
    assert world.now == before
    request = Request("watch", "", "v1", "secrets", "default", user=ROOT)
    host.hub.add(Watcher(server.watch(world, request), "secrets", "default", lambda *_: b""))
    now[0] = 2.0
    host.catch_up()
    assert world.now == before + 60_000
