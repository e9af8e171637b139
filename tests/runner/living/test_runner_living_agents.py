"""Agents that know nothing repair a living incident: a program and a model, with kubectl and curl in the sandbox."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firedrill.agents import AgentRequest
from firedrill.agents.scripted import Investigator, ScriptedServer
from firedrill.core.living import Facts
from firedrill.core.outcome import Outcome
from firedrill.records import RunFolder
from firedrill.runner import Stage, Workshop, run
from firedrill.runner.living import LivingStage
from firedrill.sandbox import View
from firedrill.suites import Suite, open_suite

pytestmark = [pytest.mark.slow, pytest.mark.service]
SCENARIO = "lite-019"
PROGRAM = Path(__file__).parents[3] / "docs/examples/on-call-agent/agent.sh"


class Kept(LivingStage):
    """A stage that outlives its runs: it costs more than they do."""

    def close(self) -> None:
        """Stay."""

    def end(self) -> None:
        super().close()


@pytest.fixture(scope="module")
def suite() -> Suite:
    from firedrill.gateway.kubernetes.kubectl import find_kubectl
    from firedrill.sandbox import toolroot

    if not find_kubectl() or shutil.which("bwrap") is None or toolroot.locate() is None:
        pytest.skip("no kubectl, no bubblewrap or no tool root here")
    whole = open_suite("lite")
    return replace(whole, scenarios=tuple(item for item in whole.scenarios if item.id == SCENARIO))


@pytest.fixture(scope="module")
def folder(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunFolder]:
    """A run of both agents, twice each, all at once."""
    import asyncio

    stage = Kept.start(suite.scenarios[0])
    known = stage.inventory

    def prepare(source: Any, truth: Any) -> Stage:
        return Stage(source, truth, stage.topology, known, View(), known, living=stage)

    workshop = Workshop(prepare=lambda *_: prepare)
    out = tmp_path_factory.mktemp("agents") / "run"
    try:
        with ScriptedServer(Investigator()) as server:
            options = {"base_url": server.base_url}
            agents = [
                AgentRequest(f"command:{PROGRAM}"),
                AgentRequest("react", model="scripted/investigator", options=options),
            ]
            asyncio.run(run(suite, agents, repeats=2, concurrency=4, out=out, workshop=workshop))
    finally:
        stage.end()
    yield RunFolder(out)


def of(folder: RunFolder, agent: str) -> list[Any]:
    return [(record, grade) for record, grade in folder.results() if record.agent.startswith(agent)]


def facts_of(folder: RunFolder, record: Any) -> Facts:
    facts = folder.facts(record.key)
    assert facts is not None
    return facts


@pytest.mark.parametrize("agent", ["command", "react"])
def test_the_incident_is_resolved_and_its_cause_named(folder: RunFolder, agent: str) -> None:
    for record, grade in of(folder, agent):
        assert (record.outcome, record.usage.cost) == (Outcome.SUBMITTED, 0.0 if agent == "react" else None)
        assert (grade.score, grade.metrics["diagnosis"]) == (1.0, 1.0), grade.reason
        assert [line.verb for line in facts_of(folder, record).requests if line.writes] == ["patch"]


@pytest.mark.parametrize("agent", ["command", "react"])
def test_it_happens_at_the_same_virtual_moments_each_time(folder: RunFolder, agent: str) -> None:
    seen = [
        [
            (line.at_ms, line.api, line.verb, line.resource, line.code)
            for line in facts_of(folder, record).requests
        ]
        for record, _ in of(folder, agent)
    ]
    assert len(seen) == 2
    assert seen[0] == seen[1]


def test_thinking_takes_time(folder: RunFolder) -> None:
    for record, _ in of(folder, "react"):
        facts = facts_of(folder, record)
        first = next(line for line in folder.receipt(record.key) if line.kind == "message")
        written = first.payload["usage"]["output"]
        asked = next(line for line in facts.requests if line.verb == "list")
        assert asked.at_ms - facts.times.ts == round(written * 20) + 3000


def test_the_task_says_what_fires_and_nothing_of_the_fault(folder: RunFolder) -> None:
    for record, _ in folder.results():
        text = next(line.payload["text"] for line in folder.receipt(record.key) if line.kind == "task")
        assert "fires since" in text
        assert "http://127.0.0.1:9090" in text
        assert "operator" in text
        assert SCENARIO not in text
        assert "incorrect-image-reference" not in text
