"""Stages of living scenarios: shared by their episodes, replaced when their process dies, ended after the last."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest

from firedrill.agents import AgentRequest
from firedrill.core.errors import InputError
from firedrill.core.scenario import Scenario
from firedrill.core.topology import Topology
from firedrill.core.truth import Truth
from firedrill.runner import run
from firedrill.runner.living import LivingStage
from firedrill.runner.staging import Stage, Staging
from firedrill.sandbox import View
from firedrill.suites import SuiteScenario, open_suite


class Process:
    """Stands in for a stage's process."""

    def __init__(self) -> None:
        self.alive = True
        self.closed = 0

    def close(self) -> None:
        self.alive = False
        self.closed += 1


@pytest.fixture
def made() -> list[Process]:
    return []


@pytest.fixture
def staging(made: list[Process], tmp_path: Path) -> Staging:
    scenario = Scenario.model_validate({"metadata": {"name": "one"}, "environment": {"backend": "world"}})
    source = SuiteScenario("one", scenario, tmp_path, "", "", "", "")

    def prepare(source: SuiteScenario, truth: Any) -> Stage:
        made.append(Process())
        return Stage(source, truth, Topology(), (), View(), living=cast(LivingStage, made[-1]))

    sources = dict.fromkeys(("one", "two"), source)
    truths = dict.fromkeys(sources, cast(Truth, None))
    return Staging(sources, truths, Counter({"one": 2, "two": 1}), prepare, lambda stage: None)


async def test_episodes_share_a_stage_and_the_last_one_ends_it(staging: Staging, made: list[Process]) -> None:
    assert await staging.get("one") is await staging.get("one")
    staging.release("one")
    assert [item.closed for item in made] == [0]
    staging.release("one")
    assert [item.closed for item in made] == [1]


async def test_the_next_scenario_is_prepared_meanwhile_once(staging: Staging, made: list[Process]) -> None:
    one = await staging.get("one", "two")
    await asyncio.sleep(0.05)
    assert len(made) == 2
    assert await staging.get("two") is not one
    assert await staging.get("one", "two") is one
    assert len(made) == 2
    staging.release("two")
    await staging.close()
    assert [item.closed for item in made] == [1, 1]


async def test_a_stage_whose_process_died_is_made_again(staging: Staging, made: list[Process]) -> None:
    first = await staging.get("one")
    made[0].alive = False
    assert await staging.get("one") is not first
    assert len(made) == 2
    await staging.close()
    assert [item.closed for item in made] == [1, 1]


async def test_what_cannot_be_kept_does_not_leave_a_process_behind(
    staging: Staging, made: list[Process]
) -> None:
    def refuse(stage: Stage) -> None:
        raise ValueError("no room")

    staging.keep = refuse
    with pytest.raises(ValueError, match="no room"):
        await staging.get("one")
    assert [item.closed for item in made] == [1]


async def test_a_run_that_is_stopped_does_not_wait_for_a_simulation(tmp_path: Path) -> None:
    stop = asyncio.Event()
    task = asyncio.create_task(
        run(open_suite("lite"), [AgentRequest("null")], limit=1, out=tmp_path / "run", stop=stop)
    )
    while not (found := children("firedrill.runner.living.hosting")):
        await asyncio.sleep(0.05)
    stop.set()
    result = await task
    assert result.interrupted
    assert result.manifest.counts["done"] == 0
    assert not [pid for pid in found if Path(f"/proc/{pid}").exists()]


async def test_what_living_worlds_do_not_offer_yet_is_refused_before_anything_starts(tmp_path: Path) -> None:
    lite = open_suite("lite")
    with pytest.raises(InputError, match="topology cannot be withheld"):
        await run(lite, [AgentRequest("null")], without=["topology"], out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def children(module: str) -> list[int]:
    """The processes of this program that run a module."""
    out = []
    for folder in Path("/proc/self/task").iterdir():
        for pid in (folder / "children").read_text("ascii").split():
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if module.encode() in command:
                out.append(int(pid))
    return out
