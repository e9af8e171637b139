"""Questions to whoever sits at the terminal."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable


class Terminal:
    """This program's terminal: one question at a time."""

    def __init__(self) -> None:
        self.there = sys.stdin is not None and sys.stdin.isatty()
        self._turn = asyncio.Lock()
        self._ask: Callable[[str], Awaitable[str]] | None = None

    async def put(self, question: str) -> str:
        """Ask, and give what he types."""
        from firedrill.tools.authority.terminal import at_terminal

        async with self._turn:
            if self._ask is None:
                self._ask = at_terminal(sys.stdin, sys.stderr)
            return await self._ask(question)
