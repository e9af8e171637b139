"""Watches over HTTP: one line of JSON for each change, until time is up or somebody goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from typing import TYPE_CHECKING

from firedrill.gateway.kubernetes.hub import Watcher
from firedrill.gateway.kubernetes.query import Query, check_list, with_start
from firedrill.gateway.kubernetes.views import Renderer
from firedrill.gateway.kubernetes.wire import Receive, Send, started
from firedrill.world.kube.api import errors, server
from firedrill.world.kube.api.request import Request
from firedrill.world.kube.objects import Obj

if TYPE_CHECKING:
    from firedrill.gateway.kubernetes.host import Host
    from firedrill.world.kube.kinds import Kind

BOOKMARK_SECONDS = 60.0
DEFAULT_SECONDS = 1800.0
_INITIAL_END = "k8s.io/initial-events-end"


class Stream:
    """One watch of one client.

    Args:
        host: whose world is watched.
        request: the watch.
        query: its parameters.
        kind: in the version of the path.
        renderer: makes the lines.

    Raises:
        ApiError: the watch is refused. Nothing has been sent then.
    """

    def __init__(self, host: Host, request: Request, query: Query, kind: Kind, renderer: Renderer) -> None:
        check_list(query)
        self._host = host
        self._query = query
        self._kind = kind
        self._renderer = renderer
        if query.initial is not None:
            if host.world.cluster.settings.minor < 32:
                raise errors.invalid(
                    "meta.k8s.io",
                    "ListOptions",
                    "",
                    [
                        "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the "
                        "WatchList feature gate is enabled"
                    ],
                )
            here = query.options.resource_version or str(host.world.cluster.store.rv)
            start = "" if query.initial else here
            request = replace(request, options=with_start(query, start))
        cursor = server.watch(host.world, request)
        storage = kind.storage or kind.resource
        self._watcher = Watcher(cursor, storage, request.namespace, self._encode)

    def _encode(self, type_: str, obj: Obj) -> bytes:
        self._host.stir()
        if type_ != "ERROR" and obj.get("apiVersion") != self._kind.api_version:
            from firedrill.world.kube.api import conversion, rules

            obj = conversion.from_storage(self._kind, rules.stored_kind(self._host.world, self._kind), obj)
        return self._renderer.event(type_, obj)

    async def run(self, receive: Receive, send: Send, audit_id: bytes) -> None:
        """Stream until the time is up, the client goes away or falls too far behind."""
        hub = self._host.hub
        self._host.catch_up()
        hub.add(self._watcher)
        if self._query.initial:
            self._watcher.put(self._bookmark(initial=True))
        try:
            with self._host.stream() as ended:
                ways = (self._send(send, audit_id), gone(receive), self._watcher.lost.wait(), ended.wait())
                await until_first(*ways)
                if ended.is_set():
                    await send({"type": "http.response.body", "body": b""})
        finally:
            hub.discard(self._watcher)

    async def _send(self, send: Send, audit_id: bytes) -> None:
        watcher = self._watcher
        await send(started(200, b"application/json", audit_id))
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        loop = asyncio.get_running_loop()
        end = loop.time() + (self._query.timeout or DEFAULT_SECONDS)
        while not watcher.over or watcher.ready.is_set():
            left = end - loop.time()
            if left <= 0:
                last = watcher.take() + (self._bookmark() if self._query.bookmarks else b"")
                await send({"type": "http.response.body", "body": last, "more_body": True})
                break
            try:
                async with asyncio.timeout(min(left, BOOKMARK_SECONDS)):
                    await watcher.ready.wait()
                chunk = watcher.take()
            except TimeoutError:
                chunk = self._bookmark() if self._query.bookmarks and loop.time() < end else b""
            if chunk:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    def _bookmark(self, *, initial: bool = False) -> bytes:
        meta: Obj = {"resourceVersion": str(self._watcher.cursor.rv), "creationTimestamp": None}
        if initial:
            meta["annotations"] = {_INITIAL_END: "true"}
        obj = {"kind": self._kind.kind, "apiVersion": self._kind.api_version, "metadata": meta}
        return self._renderer.event("BOOKMARK", obj)


async def gone(receive: Receive) -> None:
    """Come back when the client has gone away."""
    while (await receive())["type"] not in {"http.disconnect", "websocket.disconnect"}:
        pass


async def until_first(*awaitables: Awaitable[object]) -> None:
    """Wait for the first of these and give up the others.

    Raises:
        Exception: what the first one raised.
    """
    tasks = [asyncio.ensure_future(item) for item in awaitables]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
