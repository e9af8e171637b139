"""A watched world on ports of this machine: one clock behind all addresses, and nothing left behind."""

from __future__ import annotations

import asyncio
import json
import socket
import urllib.error
import urllib.request
from collections import deque
from typing import Any

import pytest

from firedrill.gateway.kubernetes import Pace
from firedrill.gateway.servers import Guarded, listener, running
from firedrill.gateway.serving import addresses, identity, is_watched, served
from firedrill.world.build import make_world
from firedrill.world.telemetry.producers import watch


def _get(address: str, path: str) -> Any:
    with urllib.request.urlopen(address + path, timeout=20) as answer:
        return json.loads(answer.read())


def _open(address: str) -> bool:
    host, _, port = address.rpartition("/")[2].rpartition(":")
    with socket.socket() as one:
        return one.connect_ex((host, int(port))) == 0


def test_a_watched_world_has_five_addresses() -> None:
    """They are open while it is served, tell of the same moment, and are closed afterwards."""
    world = make_world(2)
    assert not is_watched(world)
    watch(world)
    world.run_for(120_000)

    async def through() -> dict[str, str]:
        async with served(world, [identity("someone")], Pace(speed=0)) as found:
            told = addresses(found)
            at = world.now / 1000
            up = await asyncio.to_thread(_get, told["prometheus"], "/api/v1/query?query=time()-0*count(up)")
            assert up["data"]["result"][0]["value"][0] == at
            assert await asyncio.to_thread(_get, told["alertmanager"], "/api/v2/alerts") == []
            labels = await asyncio.to_thread(_get, told["loki"], "/loki/api/v1/labels")
            assert "pod" in labels["data"]
            assert (await asyncio.to_thread(_get, told["jaeger"], "/api/services"))["data"] is None
            assert not found.host.defects
            return told

    told = asyncio.run(through())
    assert list(told) == ["kubernetes", "prometheus", "alertmanager", "loki", "jaeger"]
    assert len(set(told.values())) == 5
    assert not any(_open(address) for address in told.values())


def test_nobody_watches_a_world_by_itself() -> None:
    """What is not watched has one address, and is not changed by being asked."""
    world = make_world(2)
    before = world.digest()

    async def through() -> dict[str, str]:
        async with served(world, [], Pace(speed=0)) as found:
            return addresses(found)

    assert list(asyncio.run(through())) == ["kubernetes"]
    assert world.digest() == before


def test_defects_are_kept() -> None:
    """Whoever serves learns of them, and clients get an answer."""
    defects: deque[str] = deque(maxlen=3)

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("lost")

    async def through() -> None:
        async with running(Guarded(broken, defects), listener()) as address:
            with pytest.raises(urllib.error.HTTPError, match="500"):
                await asyncio.to_thread(_get, address, "/here")

    asyncio.run(through())
    assert len(defects) == 1
    assert "GET /here" in defects[0]
    assert "lost" in defects[0]
