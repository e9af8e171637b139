"""What becomes of a world in which nobody did anything is found out once."""

from __future__ import annotations

import asyncio
from typing import Any

from firedrill.core.errors import InfrastructureError
from firedrill.runner.living.standing import Standing


class Looks:
    """Stands in for the process of an episode: keeps what it was told, and fails so many times."""

    def __init__(self, failures: int = 0) -> None:
        self.told: list[Any] = []
        self._failures = failures

    async def __call__(self, known: Any) -> dict[str, Any]:
        self.told.append(known)
        await asyncio.sleep(0)
        if self._failures:
            self._failures -= 1
            raise InfrastructureError("it broke")
        return {"found": len(self.told)}


async def test_whoever_comes_meanwhile_is_told_what_the_first_one_found() -> None:
    standing, looks = Standing(), Looks()
    await asyncio.gather(*(standing.found("one", looks) for _ in range(3)))
    assert looks.told == [None, {"found": 1}, {"found": 1}]
    await standing.found("two", looks)
    assert looks.told[3:] == [None], "another spec is another matter"


async def test_after_one_that_broke_the_next_looks_itself() -> None:
    standing, looks = Standing(), Looks(failures=1)
    first, second = await asyncio.gather(
        standing.found("one", looks), standing.found("one", looks), return_exceptions=True
    )
    assert isinstance(first, InfrastructureError)
    assert second == {"found": 2} and looks.told == [None, None]
