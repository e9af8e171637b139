"""A person at a terminal: shown a question, types an answer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TextIO

_LONGEST = 1000


def at_terminal(reader: TextIO, writer: TextIO) -> Callable[[str], Awaitable[str]]:
    """A way to put questions to whoever sits at a terminal, for `Authority(policy, put=…)`.

    The event loop goes on while he thinks; whatever he types counts from the question on.

    Args:
        reader: what he types comes from here; has a file descriptor that can be waited for.
        writer: what he reads goes here.
    """

    async def put(question: str) -> str:
        writer.write(f"\n{question}\nallow it? [y/N, and why] ")
        writer.flush()
        loop = asyncio.get_running_loop()
        number = reader.fileno()
        typed: asyncio.Future[str] = loop.create_future()
        found = bytearray()

        def ready() -> None:
            chunk = os.read(number, _LONGEST)
            found.extend(chunk)
            if (not chunk or b"\n" in found or len(found) > _LONGEST) and not typed.done():
                line = bytes(found).partition(b"\n")[0]
                typed.set_result(line.decode("utf-8", "replace")[:_LONGEST])

        loop.add_reader(number, ready)
        try:
            return await typed
        finally:
            loop.remove_reader(number)

    return put
