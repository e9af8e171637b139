"""Episodes whose agents asked nothing and took no time: what becomes of the world is the same after each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable

from firedrill.runner.living.protocol import Message


class Standing:
    """What became of the world of one stage where nobody did anything, found out once."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Message] = {}
        self._looking: dict[Hashable, asyncio.Future[None]] = {}

    async def found(self, key: Hashable, look: Callable[[Message | None], Awaitable[Message]]) -> Message:
        """What became of it, as this episode's process says.

        Args:
            key: what it may depend on beside the world.
            look: asks that process, which runs its world on unless it is told what an earlier one found.
        """
        while (other := self._looking.get(key)) is not None:
            await asyncio.wait([other])
        known = self._known.get(key)
        if known is not None:
            return await look(known)
        mine = self._looking[key] = asyncio.get_running_loop().create_future()
        try:
            found = self._known[key] = await look(None)
        finally:
            del self._looking[key]
            mine.set_result(None)
        return found


__all__ = ["Standing"]
