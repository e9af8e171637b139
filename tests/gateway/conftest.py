"""Small worlds to serve, and ways to reach them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from firedrill.gateway import serving
from firedrill.gateway.kubernetes import Gateway, Host, Identity, Pace, kubeconfig
from firedrill.world.kube.api import Client, User
from firedrill.world.kube.cluster import Settings
from firedrill.world.kube.rbac_defaults import default_objects
from firedrill.world.world import World

ADMIN = Identity("admin", User("kubernetes-admin", ("system:masters",)), "admin-token")
JANE = Identity("jane", User("jane", ("developers",)), "jane-token")


def small_world(**settings: Any) -> World:
    """Namespaces, accounts and roles; no nodes."""
    world = World(7, settings=Settings(freeze=True, **settings))
    client = Client(world, trusted=True)
    for name in ("default", "kube-system", "kube-public"):
        client.create(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": name},
                "spec": {"finalizers": ["kubernetes"]},
                "status": {"phase": "Active"},
            }
        )
        client.create(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}}
        )
    for obj in default_objects():
        client.create(obj)
    world.run_for(1000)
    return world


def config_map(name: str, **data: str) -> dict[str, Any]:
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


@pytest.fixture
def world() -> World:
    return small_world()


@pytest.fixture
def host(world: World) -> Host:
    return Host(world, [ADMIN, JANE], pace=Pace(speed=0))


@pytest.fixture
async def http(host: Host) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the administrator's token; no defect may have happened in the end."""
    transport = httpx.ASGITransport(app=Gateway(host))
    headers = {"authorization": f"Bearer {ADMIN.token}"}
    async with httpx.AsyncClient(transport=transport, base_url="https://world", headers=headers) as client:
        yield client
    assert not host.defects, "\n".join(host.defects)


class Wire:
    """One streamed request, driven by hand: what httpx's in-process transport cannot do."""

    def __init__(self, path: str, query: str, headers: dict[str, str], slow: bool = False) -> None:
        self.scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": query.encode(),
            "headers": [(key.encode(), value.encode()) for key, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 6443),
        }
        self.status = 0
        self.done = False
        self.may_read = asyncio.Event()
        if not slow:
            self.may_read.set()
        self._inbox: asyncio.Queue[bytes] = asyncio.Queue()
        self._buffer = b""
        self._gone = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            return
        await self.may_read.wait()
        await self._inbox.put(message.get("body", b""))
        if not message.get("more_body"):
            self.done = True
            await self._inbox.put(b"\n")

    async def line(self, timeout: float = 2.0) -> Any:
        """The next line as JSON; None at the end."""
        while b"\n" not in self._buffer:
            self._buffer += await asyncio.wait_for(self._inbox.get(), timeout)
        text, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(text) if text else None

    def leave(self) -> None:
        self._gone.set()


@pytest.fixture
def stream(host: Host) -> Iterator[Callable[..., Any]]:
    """`async with stream(path, query) as wire`: an open watch or log."""
    app = Gateway(host)

    @asynccontextmanager
    async def opened(path: str, query: str = "", slow: bool = False, **headers: str) -> AsyncIterator[Wire]:
        wire = Wire(path, query, {"authorization": f"Bearer {ADMIN.token}", **headers}, slow)
        task = asyncio.ensure_future(app(wire.scope, wire.receive, wire.send))
        try:
            yield wire
        finally:
            wire.leave()
            wire.may_read.set()
            await asyncio.wait_for(task, 5)

    yield opened
    assert not host.defects, "\n".join(host.defects)


class Running:
    """A world served over HTTPS by a thread of its own."""

    def __init__(self, world: World, pace: Pace) -> None:
        self.address = ""
        self.ca = b""
        self.host: Host
        self._world = world
        self._pace = pace
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with serving.served(self._world, [ADMIN, JANE], self._pace) as served:
            self.address, self.ca, self.host = served.server, served.ca, served.host
            self._ready.set()
            await self._stop.wait()

    def __enter__(self) -> Running:
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        assert not self._thread.is_alive()
        assert not self.host.defects, "\n".join(self.host.defects)

    def kubeconfig(self, path: Path, who: Identity = ADMIN) -> Path:
        kubeconfig.write(path, kubeconfig.document(self.address, self.ca, [who]))
        return path


@pytest.fixture(scope="session")
def running() -> Callable[..., Running]:
    """`with running(world) as served`."""

    def start(world: World, speed: float = 1.0) -> Running:
        return Running(world, Pace(speed=speed))

    return start
