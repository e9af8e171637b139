"""The agent that is a person: the world on ports of this machine, and an answer from another terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from firedrill.agents.base import AgentError, AgentResult, Episode, OnCall
from firedrill.core.outcome import Outcome
from firedrill.gateway.servers import listener
from firedrill.runner.playing import sessions
from firedrill.runner.playing.desk import Desk

_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Pager:
    """What a person is told.

    Attributes:
        on_call: what fires, where, under which authority, for how long.
        addresses: of `kubernetes` and of what watches it, on this machine.
        kubeconfig: the file.
        session: the number under which the answer is handed in.
    """

    on_call: OnCall
    addresses: Mapping[str, str]
    kubeconfig: Path
    session: int


class _World(Protocol):
    """The part of an episode's world that other agents do not need."""

    @property
    def on_call(self) -> OnCall: ...

    @property
    def sockets(self) -> Mapping[str, Path]: ...

    def kubeconfig(self, address: str = ...) -> bytes: ...


class HumanAgent:
    """Lets a person work on one episode.

    Args:
        desk: where he hands in his answer.
        kubeconfig: the file to write.
        ring: is told everything, once the world is there.
        give_up: comes back when he ends without an answer.
        speed: virtual seconds for each second.
        asks: whether he is also the approver.
    """

    name = "human"
    privileged = False
    needs_workspace = False
    acts = True

    def __init__(
        self,
        desk: Desk,
        kubeconfig: Path,
        *,
        ring: Callable[[Pager], None],
        give_up: Callable[[], Awaitable[None]],
        speed: float = 1.0,
        asks: bool = False,
    ) -> None:
        self._desk, self._file, self._ring, self._give_up = desk, kubeconfig, ring, give_up
        self._speed, self._asks = speed, asks

    def config(self) -> dict[str, Any]:
        """How the world was served to him."""
        return {"agent": "human", "version": 1, "speed": self._speed, "approves": self._asks}

    async def solve(self, episode: Episode) -> AgentResult:
        """Serve the world until he answers, or gives up."""
        living: Any = episode.living
        if living is None:
            raise AgentError("a person plays living incidents only")
        async with contextlib.AsyncExitStack() as stack:
            addresses = await stack.enter_async_context(forwarded(living))
            _write(self._file, living.kubeconfig(addresses["kubernetes"]))
            session = sessions.Session(
                os.getpid(),
                str(self._desk.path),
                living.on_call.namespace,
                sockets=str(living.sockets["kubernetes"].parent),
                kubeconfig=str(self._file.absolute()),
                alerts=tuple(living.on_call.alerts),
                authority=living.on_call.authority,
            )
            stack.callback(sessions.enter(session).unlink, missing_ok=True)
            self._ring(Pager(living.on_call, addresses, self._file, session.pid))
            return await self._end()

    async def _end(self) -> AgentResult:
        giving_up: asyncio.Future[Any] = asyncio.ensure_future(self._give_up())
        ends: set[asyncio.Future[Any]] = {giving_up, self._desk.answered}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if not self._desk.answered.done():
                return AgentResult(Outcome.NO_SUBMISSION, reason="the person ended without an answer")
            answer = self._desk.answered.result()
            escalate, reason = bool(answer.get("escalate")), str(answer.get("reason") or "")
            outcome = Outcome.ESCALATED if escalate else Outcome.SUBMITTED
            return AgentResult(outcome, str(answer["text"]), reason=reason)
        finally:
            giving_up.cancel()


@contextlib.asynccontextmanager
async def forwarded(living: _World) -> AsyncIterator[dict[str, str]]:
    """A port on 127.0.0.1 for each API of an episode; gives their addresses by name."""
    addresses: dict[str, str] = {}
    async with contextlib.AsyncExitStack() as stack:
        for name, path in living.sockets.items():
            on = listener()
            scheme = "https" if name == "kubernetes" else "http"
            addresses[name] = f"{scheme}://127.0.0.1:{on.getsockname()[1]}"
            server = await asyncio.start_server(_forwarder(path), sock=on)
            stack.callback(server.close)
        yield addresses


def _forwarder(path: Path) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):  # either end may go away at any time
            theirs, out = await asyncio.open_unix_connection(str(path))
            with contextlib.closing(out), contextlib.closing(writer):
                await asyncio.gather(_pass_on(reader, out), _pass_on(theirs, writer))

    return serve


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(_CHUNK):
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


def _write(path: Path, content: bytes) -> None:
    """Write a file that holds a secret."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123
        file.write(content)


__all__ = ["HumanAgent", "Pager", "forwarded"]
