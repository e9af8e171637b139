"""Who watches what: changes of a world are told once, to those whom they concern."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from firedrill.world.kube.api import ApiError
from firedrill.world.kube.objects import Obj, namespace_of
from firedrill.world.kube.store import TooOldError

if TYPE_CHECKING:
    from firedrill.world.kube.api.reading import Watch
    from firedrill.world.world import World

BACKLOG_BYTES = 4 * 1024 * 1024
"""What may wait for one client. One that reads more slowly is let go; it can list and watch again."""

Encode = Callable[[str, Obj], bytes]
"""Called as `encode(type, object)`: the bytes of one watch event."""


class Watcher:
    """One open watch: its cursor, and the bytes that its client has still to take.

    Attributes:
        over: nothing more will come: the client fell behind, or the log does not reach back any more.
        lost: set when the client has fallen too far behind.
    """

    __slots__ = ("_encode", "_size", "_waiting", "cursor", "lost", "namespace", "over", "ready", "resource")

    def __init__(self, cursor: Watch, resource: str, namespace: str, encode: Encode) -> None:
        self.cursor = cursor
        self.resource = resource
        self.namespace = namespace
        self.over = False
        self.ready = asyncio.Event()
        self.lost = asyncio.Event()
        self._encode = encode
        self._waiting: deque[bytes] = deque()
        self._size = 0

    def put(self, chunk: bytes) -> None:
        """Let this be sent, unless the client has let too much pile up."""
        if self._size + len(chunk) > BACKLOG_BYTES:
            self.over = True
            self.lost.set()
            self._waiting.clear()
        else:
            self._waiting.append(chunk)
            self._size += len(chunk)
        self.ready.set()

    def take(self) -> bytes:
        """What waits to be sent, all of it."""
        out = b"".join(self._waiting)
        self._waiting.clear()
        self._size = 0
        self.ready.clear()
        return out

    def poll(self, world: World) -> None:
        """Take over what has changed since the last time."""
        try:
            found = self.cursor.poll(world)
        except ApiError as refusal:
            self.put(self._encode("ERROR", refusal.status()))
            self.over = True
            return
        for type_, obj in found:
            self.put(self._encode(type_, obj))


class Hub:
    """The open watches of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rv = world.cluster.store.rv
        self._watchers: dict[str, dict[Watcher, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, watcher: Watcher) -> None:
        """Tell this one what has happened already, and from now on what happens."""
        self.publish()
        watcher.poll(self._world)
        self._watchers.setdefault(watcher.resource, {})[watcher] = None
        self._count += 1

    def discard(self, watcher: Watcher) -> None:
        """Tell this one nothing more."""
        here = self._watchers.get(watcher.resource)
        if here is not None and watcher in here:
            del here[watcher]
            self._count -= 1
            if not here:
                del self._watchers[watcher.resource]

    def publish(self) -> None:
        """Tell the watchers what has changed; call it after whatever touches the world."""
        rv = self._world.cluster.store.rv
        if rv == self._rv:
            return
        if self._watchers:
            self._tell(self._touched(), rv)
        self._rv = rv

    def _touched(self) -> dict[str, set[str]] | None:
        out: dict[str, set[str]] = {}
        try:
            for change in self._world.cluster.store.since(self._rv):
                out.setdefault(change.resource, set()).add(namespace_of(change.obj))
        except TooOldError:
            return None  # so much has happened that everybody has to look
        return out

    def _tell(self, touched: dict[str, set[str]] | None, rv: int) -> None:
        for resource, watchers in self._watchers.items():
            spaces = None if touched is None else touched.get(resource, set())
            for watcher in watchers:
                if watcher.over:
                    continue
                if spaces is None or (spaces and (not watcher.namespace or watcher.namespace in spaces)):
                    watcher.poll(self._world)
                else:
                    # nothing for this one: its place in the log moves on, so that it never gets too old
                    watcher.cursor.rv = rv
