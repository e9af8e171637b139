"""Where a person hands in his answer: a Unix socket in a private folder, a line of JSON each way."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from firedrill.core.errors import InfrastructureError

MOST_BYTES = 4_000_000
"""Of an answer."""


class Desk:
    """Takes one answer, and tells whoever brought it what came of it.

    Args:
        path: of the socket; in a folder that nobody else can enter.

    Attributes:
        answered: the answer, as the JSON object that was sent: `text`, and `escalate` with a `reason`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answered: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._result: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._calls: set[asyncio.Task[Any]] = set()
        self._server: asyncio.Server

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._serve, str(self.path), limit=MOST_BYTES)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.tell({"error": "the incident was broken off"})
        if self._calls:
            await asyncio.wait(self._calls, timeout=2)
        self._server.close()

    def tell(self, result: Mapping[str, Any]) -> None:
        """Say what came of it; the first word counts."""
        if not self._result.done():
            self._result.set_result(result)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._calls.add(task)
        try:
            reply = await self._reply(await _line(reader))
            with contextlib.suppress(OSError):  # whoever asked is gone
                writer.write(json.dumps(reply).encode() + b"\n")
                await writer.drain()
        finally:
            self._calls.discard(task)
            writer.close()

    async def _reply(self, asked: Mapping[str, Any] | None) -> Mapping[str, Any]:
        if asked is None or not isinstance(asked.get("text"), str):
            return {"error": "that is no answer"}
        if self._result.done():
            return {"error": "the incident has ended"}
        if self.answered.done():
            return {"error": "an answer has been handed in already"}
        self.answered.set_result(asked)
        return await asyncio.shield(self._result)


async def _line(reader: asyncio.StreamReader) -> Mapping[str, Any] | None:
    try:
        found: Any = json.loads(await reader.readline())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, Mapping) else None


def ask(path: str, answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """Hand in an answer and wait for what comes of it. Blocks.

    Raises:
        InfrastructureError: nobody is there, or he goes away.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        try:
            link.connect(path)
            link.sendall(json.dumps(answer).encode() + b"\n")
            with link.makefile("rb") as stream:
                found: Any = json.loads(stream.readline(MOST_BYTES) or b"null")
        except (OSError, ValueError) as error:
            raise InfrastructureError(f"the incident cannot be reached: {error}") from error
    if not isinstance(found, Mapping):
        raise InfrastructureError("the incident was broken off")
    return found


__all__ = ["MOST_BYTES", "Desk", "ask"]
