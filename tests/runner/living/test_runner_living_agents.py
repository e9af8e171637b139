"""Agents that know nothing repair a living incident: a program and a model, with kubectl and curl in the sandbox."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firedrill.agents import AgentRequest
from firedrill.agents.clients import Refused, Web
from firedrill.agents.scripted import Investigator, ScriptedServer
from firedrill.core.living import Facts
from firedrill.core.outcome import Outcome
from firedrill.records import RunFolder
from firedrill.runner import Stage, Workshop, run
from firedrill.runner.living import LivingStage, spec_of
from firedrill.sandbox import View
from firedrill.suites import Suite, open_suite

pytestmark = [pytest.mark.slow, pytest.mark.elsewhere, pytest.mark.service]
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
def stage(suite: Suite) -> Iterator[Kept]:
    kept = Kept.start(suite.scenarios[0])
    yield kept
    kept.end()


@pytest.fixture(scope="module")
def folder(suite: Suite, stage: Kept, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of both agents, twice each, all at once."""
    known = stage.inventory

    def prepare(source: Any, truth: Any) -> Stage:
        return Stage(source, truth, stage.topology, known, View(), known, living=stage)

    workshop = Workshop(prepare=lambda *_: prepare)
    out = tmp_path_factory.mktemp("agents") / "run"
    with ScriptedServer(Investigator()) as server:
        options = {"base_url": server.base_url}
        agents = [
            AgentRequest(f"command:{PROGRAM}"),
            AgentRequest("react", model="scripted/investigator", options=options),
        ]
        asyncio.run(run(suite, agents, repeats=2, concurrency=4, out=out, workshop=workshop))
    return RunFolder(out)


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


async def seen(stage: Kept, *without: str) -> dict[str, int]:
    """How much each API shows, in an episode from which something is withheld."""
    episode = await stage.episode(replace(spec_of(stage.source), without=without))
    now, space = await episode.now(), stage.namespace
    at, start, end = str(now / 1000), f"{now - 60_000}000000", f"{now}000000"
    try:
        async with (
            Web(episode, "kubernetes") as cluster,
            Web(episode, "prometheus") as metrics,
            Web(episode, "alertmanager") as alerts,
            Web(episode, "loki") as logs,
            Web(episode, "jaeger") as traces,
        ):
            events = (await cluster.get(f"/api/v1/namespaces/{space}/events"))["items"]
            pod = next(
                item["metadata"]["name"]
                for item in (await cluster.get(f"/api/v1/namespaces/{space}/pods"))["items"]
                if item["metadata"]["name"].startswith("frontend")
            )
            printed = await cluster.get(f"/api/v1/namespaces/{space}/pods/{pod}/log", tailLines="5")
            try:
                usage = len((await cluster.get("/apis/metrics.k8s.io/v1beta1/pods"))["items"])
            except Refused:
                usage = -1
            query = {"query": f'{{namespace="{space}"}}', "start": start, "end": end, "limit": "20"}
            services = (await traces.get("/api/services"))["data"] or []
            window = {"start": f"{now - 30_000}000", "end": f"{now - 25_000}000"}
            found = (
                await traces.get("/api/traces", service="frontend", limit="300", **window) if services else {}
            )
            return {
                "told": len(episode.on_call.alerts),
                "events": len(events),
                "printed": int(printed != {}),
                "usage": usage,
                "series": len((await metrics.get("/api/v1/query", query="up", time=at))["data"]["result"]),
                "firing": len(
                    (await metrics.get("/api/v1/query", query="ALERTS", time=at))["data"]["result"]
                ),
                "by_regex": len(
                    (await metrics.get("/api/v1/query", query='{__name__=~"ALERTS.*"}', time=at))["data"][
                        "result"
                    ]
                ),
                "rules": len((await metrics.get("/api/v1/rules"))["data"]["groups"]),
                "alerts": len(await alerts.get("/api/v2/alerts")),
                "streams": len((await logs.get("/loki/api/v1/query_range", **query))["data"]["result"]),
                "services": len(services),
                "traces": len(found.get("data") or ()),
            }
    finally:
        await episode.close()


async def test_metrics_are_scraped_less_often(stage: Kept) -> None:
    episode = await stage.episode(replace(spec_of(stage.source), without=("metrics:60s", "alerts")))
    try:
        async with Web(episode, "prometheus") as metrics:
            query = "max(count_over_time(up[10m]))"
            (one,) = (await metrics.get("/api/v1/query", query=query))["data"]["result"]
            assert one["value"][1] == "10"
            assert (await metrics.get("/api/v1/query", query="ALERTS"))["data"]["result"] == []
            settings = (await metrics.get("/api/v1/status/config"))["data"]["yaml"]
            assert "scrape_interval: 60s" in settings
    finally:
        await episode.close()


async def test_what_is_withheld_looks_switched_off_and_nothing_else_changes(stage: Kept) -> None:
    whole = await seen(stage)
    assert all(amount > 0 for name, amount in whole.items() if name != "printed"), whole
    none = await seen(stage, "alerts", "events", "logs", "metrics", "traces")
    assert none == {**dict.fromkeys(whole, 0), "usage": -1, "printed": none["printed"]}
    some = await seen(stage, "alerts", "traces:0.1")
    assert 0 < some["traces"] < whole["traces"] / 2
    without_alerts = dict.fromkeys(("alerts", "rules", "firing", "by_regex", "told"), 0)
    assert some == {**whole, **without_alerts, "traces": some["traces"]}
