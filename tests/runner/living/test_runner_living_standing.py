"""What becomes of a world in which nobody did anything is found out once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from firedrill.core.errors import InfrastructureError
from firedrill.runner.living.stage import LivingStage
from firedrill.runner.living.standing import Standing
from firedrill.suites import open_suite


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


@pytest.mark.slow
@pytest.mark.elsewhere
async def test_told_or_found_is_the_same() -> None:
    stage = LivingStage.start(next(item for item in open_suite("lite").scenarios if item.id == "lite-018"))
    try:
        episodes = [await stage.episode() for _ in range(4)]
        said = [[], ["book-info/Service/reviews"], ["book-info/Service/reviews"], []]
        try:
            await episodes[0].finish(said[0])
            told = await episodes[1].finish(said[1])
            stage.standing = Standing()
            found = await episodes[2].finish(said[2])
            await episodes[3].wait(60_000)
            later = await episodes[3].finish(said[3])
        finally:
            for episode in episodes:
                await episode.close()
    finally:
        stage.close()
    assert told.model_dump_json() == found.model_dump_json()
    assert told.intervention is not None and told.intervention.predicted
    assert later.times.te == found.times.te + 60_000, "a world that went on is another one"
