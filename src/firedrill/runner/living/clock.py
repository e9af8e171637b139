"""The clock of an episode: it goes when something is asked or waited for, and stops when time is up.

While somebody watches, follows a log or waits (`kubectl wait`, `rollout status`), and nothing else is asked,
virtual time passes in fixed steps, as fast as the machine can. After each piece of news, and after each
request, it stands still for a moment, in which whoever was told can answer, go away, or ask for more. So
what is seen at which virtual moment does not depend on the machine. Nobody's wait moves the clock for
longer than his patience: a client that watches in the background does not let the incident run away.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from firedrill.gateway.kubernetes import Host, Identity, Pace
from firedrill.gateway.kubernetes.exchange import refuse
from firedrill.gateway.kubernetes.wire import failure, header, send_answer
from firedrill.world.kube.api import ApiError

if TYPE_CHECKING:
    from firedrill.world.world import World

STEP_MS = 1_000
"""Of virtual time, between two looks at what somebody waits for."""
SLICES = 25
SLICE_SECONDS = 0.01
"""For so many slices after news and requests the clock stands still; a busy machine makes them longer."""
CLOSING_SECONDS = 0.1
"""In which answers that stand are sent to their ends; streams have none."""
TICK_SECONDS = 0.1
"""Between two looks at the wall's clock, where the world follows it."""
PATIENCE_MS = 5 * 60_000
_MINUTE_MS = 60_000
_PATIENCE = {
    "kubectl rollout status": 15 * _MINUTE_MS,
    "kubectl get": 2 * _MINUTE_MS,
    "kubectl events": 2 * _MINUTE_MS,
    "kubectl logs": 2 * _MINUTE_MS,
}
MOST_FREE = 10_000
"""Requests of an episode that take no time; further ones do, so that none can go on for ever."""
MOST_CALLS = 128
"""Requests of an episode that are under way at once."""
_ENDLESS = frozenset({"kubectl get", "kubectl events", "kubectl logs"})
"""Commands that go on until somebody stops them: their streams end when patience does."""
_OVER = ApiError(503, "ServiceUnavailable", "the time of this episode is up", {})
_TOO_MANY = ApiError(
    429,
    "TooManyRequests",
    "Too many requests, please try again later.",
    {"retryAfterSeconds": 1},
)
_INTERVAL = re.compile(r"(\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})([smhd]?)")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LONGEST_MS = 7 * 86_400_000
_LONGEST_WAIT = 200
_NO_AUDIT = b"00000000-0000-4000-a000-000000000000"
_command: ContextVar[str] = ContextVar("command", default="")


class _Stream:
    """Somebody who waits for news."""

    __slots__ = ("command", "end_ms", "ended")

    def __init__(self, command: str, now: int) -> None:
        self.command = command
        self.end_ms = now + _PATIENCE.get(command, PATIENCE_MS)
        self.ended = asyncio.Event()


class EpisodeHost(Host):
    """A served world with an end to its time.

    Args:
        world: what is served.
        identities: who may ask its API.
        pace: what requests cost.
        cap_ms: virtual time until the end.
        at_end: called once, when it is reached.

    Attributes:
        calls: the requests that are under way.
    """

    def __init__(
        self,
        world: World,
        identities: tuple[Identity, ...],
        pace: Pace,
        cap_ms: int,
        at_end: Callable[[], None],
    ) -> None:
        super().__init__(world, identities, pace=pace)
        self.limit_ms = world.now + cap_ms
        self.wall = time.time
        self._at_end = at_end
        self._told = False
        self._closed = False
        self._streams: dict[_Stream, None] = {}
        self._stirred = 0
        self._free = 0
        self.calls: set[asyncio.Task[Any]] = set()
        self._moved = asyncio.Event()
        self._someone = asyncio.Event()

    @property
    def over(self) -> bool:
        """Whether nothing is answered any more."""
        return self._closed or self.world.now >= self.limit_ms

    async def close(self) -> None:
        """Answer nothing any more: the agent has ended. What is under way ends, and its witness is told."""
        self._closed = True
        if self.calls:
            await asyncio.wait(self.calls, timeout=CLOSING_SECONDS)
        left = list(self.calls)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def go_on(self, ms: int) -> None:
        """Let so much virtual time pass, but none beyond the end."""
        super().go_on(max(0, min(ms, self.limit_ms - self.world.now)))
        self._moved.set()
        self._moved.clear()
        if self.world.now >= self.limit_ms and not self._told:
            self._told = True
            self._at_end()

    def arrive(self, *, write: bool, free: bool = False) -> None:
        """Let the time pass that a request takes."""
        self.stir()
        self._free += free
        super().arrive(write=write, free=free and self._free <= MOST_FREE)

    def stir(self) -> None:
        """Hold the clock for a moment."""
        self._stirred += 1

    async def pause(self) -> None:
        """Wait until virtual time has passed."""
        await self._moved.wait()

    @contextlib.contextmanager
    def stream(self) -> Iterator[asyncio.Event]:
        """Let time pass as long as the context lasts; see the module."""
        stream = _Stream(_command.get(), self.world.now)
        self._streams[stream] = None
        self._someone.set()
        self.stir()
        try:
            yield stream.ended
        finally:
            del self._streams[stream]
            self.stir()

    async def follow(self) -> None:
        """Let time pass for those who wait, or as the wall's clock goes, for ever."""
        while self.pace.speed:
            await asyncio.sleep(TICK_SECONDS)
            self.catch_up()
        while True:
            if self.over or not self._wanted():
                self._someone.clear()
                await self._someone.wait()
                continue
            await self._hold()
            if self.over or not self._wanted():
                continue
            self.go_on(STEP_MS)
            # those who are told take note of it in two turns of the loop
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    def _wanted(self) -> bool:
        """Whether anybody's patience lasts; endless streams end with it."""
        now = self.world.now
        for stream in self._streams:
            if stream.end_ms <= now and stream.command in _ENDLESS:
                stream.ended.set()
        return any(stream.end_ms > now for stream in self._streams)

    async def _hold(self) -> None:
        """Come back when nothing has stirred for a moment; at once where nothing did since the last time."""
        seen, left = self._stirred, SLICES if self._stirred else 0
        while left:
            await asyncio.sleep(SLICE_SECONDS)
            left -= 1
            if self._stirred != seen:
                seen, left = self._stirred, SLICES
        self._stirred = 0


class Bounded:
    """An ASGI application that answers 503 once its episode is over, and 429 to too many at once.

    Args:
        app: what is served.
        host: of the episode.
    """

    def __init__(self, app: Any, host: EpisodeHost) -> None:
        self._app, self._host = app, host

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, as ASGI 3 has it."""
        if self._host.over:
            await self._refuse(_OVER, scope, receive, send)
            return
        if len(self._host.calls) >= MOST_CALLS:
            await self._refuse(_TOO_MANY, scope, receive, send)
            return
        _command.set(header(scope, b"kubectl-command"))
        task = asyncio.current_task()
        assert task is not None
        self._host.calls.add(task)
        try:
            await self._app(scope, receive, send)
        finally:
            self._host.calls.discard(task)

    async def _refuse(self, why: ApiError, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await refuse(receive, send, failure(why))
        elif scope["type"] == "http":
            await send_answer(send, failure(why), _NO_AUDIT, head=scope["method"] == "HEAD")


class ClockFace:
    """The clock for programs in a sandbox, whose own shows another time; an ASGI application.

    `GET /now` gives the moment, in whole seconds since the Unix epoch. `POST /wait` takes what `sleep` takes
    (`90`, `1.5m`, `1m 30s`), lets so much time pass, and answers then.
    """

    def __init__(self, host: EpisodeHost) -> None:
        self._host = host

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, as ASGI 3 has it."""
        if scope["type"] != "http":
            return
        status, text = 404, "GET /now, POST /wait"
        if (scope["method"], scope["path"]) == ("GET", "/now"):
            status, text = 200, str(self._host.world.now // 1000)
        elif (scope["method"], scope["path"]) == ("POST", "/wait"):
            asked = (await receive()).get("body", b"")[:_LONGEST_WAIT].decode("utf-8", "replace")
            ms = slept(asked)
            status, text = (200, "") if ms is not None else (400, f"invalid time interval {asked!r}")
            self._host.stir()
            self._host.go_on(ms or 0)
        body = text.encode()
        head = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body})


def slept(text: str) -> int | None:
    """How many ms `sleep` with these arguments takes; None where it would not take them."""
    found = [_INTERVAL.fullmatch(word) for word in text.split()]
    if not found:
        return None
    seconds = 0.0
    for item in found:
        if item is None:
            return None
        seconds += float(item[1]) * _UNITS[item[2] or "s"]
    return min(round(seconds * 1000), _LONGEST_MS)


__all__ = ["Bounded", "ClockFace", "EpisodeHost", "slept"]
