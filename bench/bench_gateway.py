"""What the gateway costs: requests per second over HTTPS on one core, and watches."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from firedrill.gateway import serving
from firedrill.gateway.kubernetes import Host, Pace
from firedrill.gateway.kubernetes.hub import Watcher
from firedrill.world.kube.api import Client, Request, server
from firedrill.world.kube.api.request import Options
from firedrill.world.world import World
from table import Row, show

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
PODS = 500
CONNECTIONS = 8
WATCHES = 5_000


def _world() -> World:
    """Pods without a cluster around them: what is measured is the gateway."""
    world = World(1)
    client = Client(world, trusted=True)
    for name in ("default", "few"):
        client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        client.create(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}}
        )
    for number in range(PODS):
        containers = [
            {"name": "main", "image": "app:1", "env": [{"name": f"E{i}", "value": "x"} for i in range(20)]}
        ]
        space = "few" if number < 100 else "default"
        client.create(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": f"pod-{number}", "namespace": space, "labels": {"app": "app"}},
                "spec": {"containers": containers, "terminationGracePeriodSeconds": 30},
                "status": {"phase": "Pending"},
            }
        )
    world.run_for(1000)
    return world


def _serve(pipe: Connection) -> None:
    async def main() -> None:
        who = serving.identity("admin")
        async with serving.served(_world(), [who], Pace(speed=1)) as served:
            pipe.send((served.server, served.ca, who.token))
            await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
            spent = os.times()
            pipe.send(spent.user + spent.system)

    asyncio.run(main())


async def hammer(port: int, ca: bytes, head: bytes, seconds: float) -> tuple[float, list[float]]:
    """Send one request again and again over a few connections: seconds, and how long each answer took."""
    context = ssl.create_default_context(cadata=ca.decode())
    took: list[float] = []
    end = time.perf_counter() + seconds

    async def worker() -> None:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="localhost"
        )
        while time.perf_counter() < end:
            began = time.perf_counter()
            writer.write(head)
            top = await reader.readuntil(b"\r\n\r\n")
            assert top.startswith(b"HTTP/1.1 200"), top
            size = int(top.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(size)
            took.append(time.perf_counter() - began)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(CONNECTIONS)))
    return time.perf_counter() - began, sorted(took)


def _requests(address: str, ca: bytes, token: str) -> list[Row]:
    rows: list[Row] = []
    cases: list[tuple[str, str, str, str]] = [
        ("GET one pod", "/api/v1/namespaces/few/pods/pod-1", "application/json", "1 000/s"),
        ("GET one pod as a table", "/api/v1/namespaces/few/pods/pod-1", TABLE, "-"),
        (f"LIST {PODS} pods", "/api/v1/pods", "application/json", "-"),
        (f"LIST {PODS} pods as a table", "/api/v1/pods", TABLE, "-"),
        ("LIST 100 pods as a table", "/api/v1/namespaces/few/pods", TABLE, "-"),
    ]
    port = int(address.rpartition(":")[2])
    for name, path, accept, target in cases:
        head = (
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {token}\r\nAccept: {accept}\r\n\r\n"
        ).encode()
        seconds, took = asyncio.run(hammer(port, ca, head, 2.0))
        median = took[len(took) // 2] * 1e3
        rows.append(
            (name, target, f"{len(took) / seconds:,.0f}/s, p50 {median:.1f} ms ({CONNECTIONS} at once)")
        )
    return rows


def _watches() -> list[Row]:
    world = _world()
    host = Host(world)
    lines: list[int] = []
    for resource in ("pods", "secrets"):
        for _ in range(WATCHES):
            options = Options(resource_version=str(world.cluster.store.rv))
            cursor = server.watch(world, Request("watch", "", "v1", resource, "few", options=options))
            host.hub.add(Watcher(cursor, resource, "few", lambda *_: b"x"))
    pod: Any = world.cluster.store.get("pods", "few", "pod-1")
    began = time.perf_counter()
    rounds = 5
    for number in range(rounds):
        world.cluster.store.put("pods", {**pod, "status": {"phase": str(number)}})
        host.hub.publish()
        lines.append(number)
    took = (time.perf_counter() - began) / rounds
    return [(f"one change, told to {WATCHES:,} of {2 * WATCHES:,} watches", "-", f"{took * 1e3:.1f} ms")]


def main() -> int:
    """Measure and print."""
    here, there = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=_serve, args=(there,))
    process.start()
    address, ca, token = here.recv()
    rows = _requests(address, ca, token)
    here.send("stop")
    here.recv()
    process.join(20)
    show("gateway", [*rows, *_watches()])
    return 0


if __name__ == "__main__":
    sys.exit(main())
