"""What a guard and a witness cost: processor time of a request in the gateway, with neither, one and both."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import httpx

from firedrill.gateway.kubernetes import Gateway, Host, Identity, Pace
from firedrill.tools.authority import Authority, preset
from firedrill.world.build import make_world
from firedrill.world.kube.api import Client, User
from table import Row, show

AGENT = Identity("agent", User("agent", ("system:masters",)), "token")
READ = ("GET", "/apis/apps/v1/namespaces/kube-system/deployments/coredns", None)
WRITE = ("PATCH", "/api/v1/namespaces/default/configmaps/one", {"data": {"a": "b"}})
REQUESTS, ROUNDS = 300, 9


async def _spent(host: Host, method: str, path: str, body: Any) -> float:
    """Microseconds of processor time for one request."""
    headers = {"authorization": f"Bearer {AGENT.token}", "content-type": "application/merge-patch+json"}
    content = json.dumps(body).encode() if body is not None else None
    transport = httpx.ASGITransport(app=Gateway(host))
    best = float("inf")
    async with httpx.AsyncClient(transport=transport, base_url="http://world", headers=headers) as client:
        for _ in range(ROUNDS):
            start = time.process_time()
            for number in range(REQUESTS):
                if body is not None:
                    content = json.dumps({"data": {"a": str(number)}}).encode()
                answer = await client.request(method, path, content=content)
                assert answer.status_code == 200, answer.text
            best = min(best, (time.process_time() - start) / REQUESTS)
    return best * 1e6


async def _measured() -> list[Row]:
    world = make_world(1, nodes=2)
    meta = {"name": "one", "namespace": "default"}
    Client(world).create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": "0"}})
    rows = []
    for what, request in (("read", READ), ("write", WRITE)):
        for name, guard, witness in (
            ("neither", 0, 0),
            ("a witness", 0, 1),
            ("an operator's authority", 1, 1),
        ):
            host = Host(world.fork(), [AGENT], pace=Pace(speed=0))
            if witness:
                host.witness = lambda _: None
            if guard:
                host.guard = Authority(preset("operator"))
            rows.append((f"a {what} with {name}", "", f"{await _spent(host, *request):.0f} µs"))
    return rows


if __name__ == "__main__":
    show("Guard and witness, processor time with the client's", asyncio.run(_measured()))
