"""One episode's toolbox on the host."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from firedrill.agents.toolbox import EpisodeTools, read_toolbox, task_section, toolbox_config
from firedrill.agents.toolbox import calls as calls_module
from firedrill.core.errors import InfrastructureError, InputError
from firedrill.core.topology import Topology
from firedrill.tools import TOOLS


class Broken:
    """Evidence whose every query does what a function does."""

    modalities = frozenset({"alerts", "events", "objects"})

    def __init__(self, act: Callable[[], Any]) -> None:
        self.act = act
        self.ended = threading.Event()

    @property
    def closed(self) -> bool:
        return self.ended.is_set()

    def __enter__(self) -> Broken:
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()

    def query(self, sql: str, *_: Any, **__: Any) -> Any:
        return self.act()

    def inventory(self) -> tuple[str, ...]:
        return ()

    def topology(self) -> Topology:
        return Topology.build([], [])


def fail(error: Exception) -> Callable[[], Any]:
    def act() -> Any:
        raise error

    return act


async def test_nothing_is_opened_before_the_first_call_and_all_is_closed_at_the_end(
    open_greenhouse: Callable[..., Any],
) -> None:
    log: list[str] = []

    @contextmanager
    def watched() -> Iterator[Any]:
        log.append("open")
        with open_greenhouse()() as evidence:
            yield evidence
        log.append("closed")

    async with EpisodeTools() as tools:
        tools.attach(watched)
        assert log == []
        first, second = await asyncio.gather(
            tools.call("alerts", {}), tools.call("objects", {"kind": "Deployment"}, wide=True)
        )
        assert log == ["open"]
    assert log == ["open", "closed"]
    assert "PlannerDown" in first.text
    assert "garden/Deployment/planner" in second.text
    assert tools.notes() == {"calls": 2}
    await tools.close()
    with pytest.raises(InfrastructureError, match="over"):
        await tools.call("alerts", {})
    assert log == ["open", "closed"]


async def test_what_is_withheld_is_not_there(open_greenhouse: Callable[..., Any]) -> None:
    async with EpisodeTools() as tools:
        tools.attach(open_greenhouse("alerts"))
        result = await tools.call("alerts", {})
    assert "PlannerDown" not in result.text
    assert "no alerts" in result.text


@pytest.mark.parametrize("error", [InfrastructureError("disk"), OSError("disk"), MemoryError("disk")])
async def test_a_failing_machine_is_no_fault_of_the_agent(error: Exception) -> None:
    evidence = Broken(fail(error))
    async with EpisodeTools() as tools:
        tools.attach(lambda: evidence)
        with pytest.raises(InfrastructureError, match="disk"):
            await tools.call("alerts", {})
        assert tools.fault is not None
    assert evidence.closed


async def test_a_defect_of_one_tool_fails_one_call() -> None:
    evidence = Broken(fail(ZeroDivisionError("oh")))
    async with EpisodeTools() as tools:
        tools.attach(lambda: evidence)
        result = await tools.call("alerts", {})
    assert result.error
    assert "oh" not in result.text
    assert tools.fault is None
    assert tools.notes() == {"calls": 1, "defects": ["alerts: ZeroDivisionError: oh"]}


async def test_closing_waits_for_no_query_longer_than_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_module, "_CLOSING_SECONDS", 0.05)
    running, release = threading.Event(), threading.Event()

    def act() -> Any:
        running.set()
        release.wait(60)
        raise ZeroDivisionError

    evidence = Broken(act)
    tools = EpisodeTools()
    tools.attach(lambda: evidence)
    call = asyncio.create_task(tools.call("alerts", {}))
    assert await asyncio.to_thread(running.wait, 10)
    await asyncio.wait_for(tools.close(), 30)
    assert not evidence.closed  # a query still reads it
    release.set()
    assert (await call).error
    assert await asyncio.to_thread(evidence.ended.wait, 10)


async def test_sql_that_breaks_the_database_breaks_nothing_else(open_greenhouse: Callable[..., Any]) -> None:
    deep = "SELECT json_structure(repeat('[', 300000) || repeat(']', 300000))"
    async with EpisodeTools() as tools:
        tools.attach(open_greenhouse())
        broken = await tools.call("query", {"sql": deep})
        outside = await tools.call("query", {"sql": "SELECT * FROM read_text('/etc/passwd')"})
        fine = await tools.call("query", {"sql": "SELECT count(*) AS n FROM alerts"})
    assert (broken.error, outside.error, fine.error) == (True, True, False)
    assert "broke the database" in broken.text
    assert "root:" not in outside.text
    assert fine.rows == ((1,),)


async def test_an_episode_without_evidence_has_no_tools() -> None:
    async with EpisodeTools() as tools:
        with pytest.raises(InputError, match="no evidence"):
            tools.attach(None)
        with pytest.raises(InfrastructureError):
            await tools.call("alerts", {})


def test_which_toolbox_is_asked_for() -> None:
    assert [read_toolbox(given) for given in ({}, {"toolbox": None}, {"toolbox": " Full "})] == [
        "shell",
        "shell",
        "full",
    ]
    with pytest.raises(InputError, match="no toolbox 'everything'"):
        read_toolbox({"toolbox": "everything"})


def test_the_toolbox_is_part_of_what_makes_an_agent() -> None:
    assert toolbox_config("shell") == {"name": "shell"}
    full = toolbox_config("full")
    assert full["name"] == "full"
    assert full["tools"] != full["command"]


def test_the_task_tells_every_tool() -> None:
    text = task_section()
    assert all(f"- `{name}`: {tool.description}" in text for name, tool in TOOLS.items())
    assert "$" not in text
