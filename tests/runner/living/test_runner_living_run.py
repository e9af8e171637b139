"""Runs on a living incident: who acts, who hangs, whose world dies, and what is taken up again."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firedrill.agents import AgentRequest
from firedrill.agents.base import AgentResult, Episode
from firedrill.agents.clients import Refused, Web
from firedrill.core.episode import Limits
from firedrill.core.errors import InfrastructureError
from firedrill.core.outcome import Outcome
from firedrill.records import RunFolder, verify
from firedrill.runner import Settings, Stage, Workshop, resume, run, score
from firedrill.runner.living import LivingEpisode, LivingStage
from firedrill.runner.living.standing import Standing
from firedrill.sandbox import View
from firedrill.suites import Suite, open_suite

pytestmark = [pytest.mark.slow, pytest.mark.elsewhere]
SCENARIO = "lite-018"
Solve = Callable[[Episode], Coroutine[Any, Any, AgentResult]]
NONE = AgentResult(Outcome.NO_SUBMISSION)


class Kept(LivingStage):
    """A stage that outlives its runs: it costs more than they do."""

    def close(self) -> None:
        """Stay."""

    def end(self) -> None:
        super().close()


@pytest.fixture(scope="module")
def suite() -> Suite:
    whole = open_suite("lite")
    return replace(whole, scenarios=tuple(item for item in whole.scenarios if item.id == SCENARIO))


@pytest.fixture(scope="module")
def stage(suite: Suite) -> Iterator[Kept]:
    kept = Kept.start(suite.scenarios[0])
    yield kept
    kept.end()


@pytest.fixture
def workshop(stage: Kept) -> Workshop:
    known = stage.inventory

    def prepare(source: Any, truth: Any) -> Stage:
        return Stage(source, truth, stage.topology, known, View(), known, living=stage)

    return Workshop(prepare=lambda *_: prepare)


class Acting:
    """An agent of a living world that does what a function says."""

    privileged = False
    needs_workspace = False
    acts = True

    def __init__(self, solve: Solve) -> None:
        self.name = solve.__name__
        self._solve = solve

    def config(self) -> dict[str, Any]:
        return {"agent": self.name}

    async def solve(self, episode: Episode) -> AgentResult:
        return await self._solve(episode)


async def look_and_restart(episode: Episode) -> AgentResult:
    """Reads, a write that is allowed, one that is not, and a wrong diagnosis."""
    assert episode.living is not None
    async with Web(episode.living, "kubernetes") as web, Web(episode.living, "loki") as logs:
        pods = await web.get("/api/v1/namespaces/book-info/pods")
        assert pods["items"]
        await logs.get("/loki/api/v1/labels")
        stamp = {"spec": {"template": {"metadata": {"annotations": {"restarted": "yes"}}}}}
        path = "/apis/apps/v1/namespaces/book-info/deployments/details-v1"
        await web.send("PATCH", path, stamp, kind="strategic")
        with pytest.raises(Refused) as refused:
            await web.send("POST", "/api/v1/namespaces/book-info/serviceaccounts/default/token", {})
        assert refused.value.code == 403
    await episode.living.wait(90_000)
    answer = {"contributing_factors": [{"name": "book-info/Deployment/details-v1"}]}
    return AgentResult(Outcome.SUBMITTED, json.dumps(answer))


async def hang(episode: Episode) -> AgentResult:
    await asyncio.Event().wait()
    return NONE


async def flood(episode: Episode) -> AgentResult:
    assert episode.living is not None

    async def ask() -> None:
        assert episode.living is not None
        async with Web(episode.living, "kubernetes") as web:
            while True:
                try:
                    await web.get("/api/v1/pods")
                except Refused:
                    await asyncio.sleep(0)

    await asyncio.gather(*(ask() for _ in range(20)))
    return NONE


async def kill_the_world(episode: Episode) -> AgentResult:
    assert isinstance(episode.living, LivingEpisode)
    os.kill(episode.living.pid, signal.SIGKILL)
    async with Web(episode.living, "kubernetes") as web:
        await web.get("/api/v1/pods")
    return NONE


async def freeze_the_world(episode: Episode) -> AgentResult:
    assert isinstance(episode.living, LivingEpisode)
    os.kill(episode.living.pid, signal.SIGSTOP)
    return NONE


async def test_null_does_not_pass_and_the_oracle_does(
    suite: Suite, workshop: Workshop, tmp_path: Path
) -> None:
    agents = [AgentRequest("null"), AgentRequest("oracle")]
    result = await run(suite, agents, out=tmp_path / "run", workshop=workshop)
    assert result.manifest.complete
    assert verify(result.path).ok
    folder = RunFolder(result.path)
    by_agent = {record.agent.split("-")[0]: (record, grade) for record, grade in folder.results()}
    record, grade = by_agent["null"]
    assert (record.outcome, grade.score if grade else None) == (Outcome.NO_SUBMISSION, 0.0)
    record, grade = by_agent["oracle"]
    assert grade is not None
    assert (record.outcome, grade.score, grade.metrics["repair"]) == (Outcome.SUBMITTED, 1.0, 1.0)
    assert (grade.metrics["diagnosis"], grade.metrics["intervention"]) == (1.0, 1.0)
    requests = [line.payload for line in folder.receipt(record.key) if line.kind == "request"]
    (made,) = [line for line in requests if line["verb"] == "create"]
    assert made["changed"] == ["book-info/Service/bookinfo-gateway-istio"]
    assert made["rule"]
    facts = folder.facts(record.key)
    assert facts is not None
    assert [line.model_dump(mode="json") for line in facts.requests] == requests
    assert score(result.path).changed == ()
    assert verify(result.path).ok


async def test_the_same_acts_have_the_same_end_however_many_are_at_it(
    suite: Suite, workshop: Workshop, tmp_path: Path
) -> None:
    for name, at_once in (("alone", 1), ("together", 3)):
        agents = [Acting(look_and_restart)] if at_once == 1 else [Acting(look_and_restart), Acting(flood)]
        await run(
            suite,
            agents,
            repeats=1 if at_once == 1 else 2,
            concurrency=at_once,
            limits=Limits(minutes=3.0),
            out=tmp_path / name,
            workshop=workshop,
        )
    paths = sorted(tmp_path.glob("*/episodes/*/look_and_restart-*/*/interventions.json"))
    assert len(paths) == 3
    assert len({path.read_bytes() for path in paths}) == 1
    assert len({path.with_name("grade.json").read_bytes() for path in paths}) == 1
    grade = json.loads(paths[0].with_name("grade.json").read_bytes())
    assert grade["score"] == 0.0
    denied = [item for item in json.loads(paths[0].read_bytes())["requests"] if item["effect"] == "deny"]
    assert [(item["resource"], item["subresource"]) for item in denied] == [("serviceaccounts", "token")]
    floods = sorted(tmp_path.glob("together/episodes/*/flood-*/*/episode.json"))
    assert [json.loads(path.read_bytes())["outcome"] for path in floods] == ["time_limit", "time_limit"]


async def test_an_agent_that_hangs_is_stopped(suite: Suite, workshop: Workshop, tmp_path: Path) -> None:
    await run(
        suite,
        [Acting(hang)],
        limits=Limits(minutes=0.01),
        settings=Settings(grace_seconds=0.1),
        out=tmp_path / "run",
        workshop=workshop,
    )
    ((record, grade),) = RunFolder(tmp_path / "run").results()
    assert record.outcome is Outcome.TIME_LIMIT
    assert grade is not None
    assert grade.score == 0.0


async def test_a_world_that_dies_is_nobody_elses_trouble_and_the_run_can_be_taken_up(
    suite: Suite, workshop: Workshop, tmp_path: Path
) -> None:
    dying, well = Acting(kill_the_world), Acting(look_and_restart)
    settings = Settings(retries=1, retry_seconds=0)
    result = await run(
        suite, [dying, well], concurrency=2, settings=settings, out=tmp_path / "run", workshop=workshop
    )
    assert not result.manifest.complete
    found = {
        record.agent.split("-")[0]: (record, grade) for record, grade in RunFolder(result.path).results()
    }
    record, grade = found["kill_the_world"]
    assert (record.outcome, record.attempts, grade) == (Outcome.INFRASTRUCTURE_ERROR, 2, None)
    assert "broke" in record.reason
    assert found["look_and_restart"][0].outcome is Outcome.SUBMITTED
    before = (tmp_path / "run").joinpath(found["look_and_restart"][0].key.folder, "episode.json").read_bytes()
    mended = Acting(look_and_restart)
    mended.name = dying.name
    again = await resume(
        result.path, suite=suite, agents=[mended, well], settings=settings, workshop=workshop
    )
    assert again.manifest.complete
    assert verify(again.path).ok
    assert before == (
        (tmp_path / "run").joinpath(found["look_and_restart"][0].key.folder, "episode.json").read_bytes()
    )


async def test_a_world_that_stands_still_is_given_up(
    suite: Suite, workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firedrill.runner.living.stage.ANSWER_SECONDS", 1.0)
    worlds: list[int] = []

    async def freeze(episode: Episode) -> AgentResult:
        worlds.append(episode.living.pid)  # type: ignore[union-attr]
        return await freeze_the_world(episode)

    settings = Settings(retries=1, retry_seconds=0)
    await run(suite, [Acting(freeze)], settings=settings, out=tmp_path / "run", workshop=workshop)
    ((record, grade),) = RunFolder(tmp_path / "run").results()
    assert (record.outcome, record.attempts, grade) == (Outcome.INFRASTRUCTURE_ERROR, 2, None)
    assert "does not answer" in record.reason
    async with asyncio.timeout(30):
        while any(Path(f"/proc/{pid}").exists() for pid in worlds):
            await asyncio.sleep(0.02)


FLOOD = """
import http.client, os, socket, ssl, sys, threading

sys.stdout.write("x" * 8_000_000)
for number in range(9):
    try:
        with open(f"junk{number}", "wb") as junk:
            while True:
                junk.write(bytes(1 << 20))
    except OSError as error:
        sys.stderr.write(error.strerror)
silent = [socket.create_connection(("127.0.0.1", port)) for port in (6443, 9090) for _ in range(300)]
del silent

def ask(port, verb, path, body=None):
    tls = ssl._create_unverified_context()
    kind = http.client.HTTPSConnection if port == 6443 else http.client.HTTPConnection
    web = kind("127.0.0.1", port, timeout=60, **({"context": tls} if port == 6443 else {}))
    try:
        web.request(verb, path, body)
        return web.getresponse().status
    except OSError:
        return 0
    finally:
        web.close()

codes = {ask(6443, "POST", "/api/v1/namespaces/default/pods", bytes(9 << 20)) for _ in range(3)}
codes |= {ask(9090, "POST", "/api/v1/query", bytes(9 << 20)) for _ in range(3)}
assert codes <= {0, 413}, codes
bomb = "count_over_time({__name__=~'.+'}[1h:1s])"
ask(9090, "GET", "/api/v1/query?query=" + bomb.replace("'", "%27").replace("+", "%2B"))

def go_on():
    while True:
        ask(6443, "GET", "/version")
        ask(9090, "GET", "/api/v1/alerts")

for _ in range(30):
    threading.Thread(target=go_on).start()
"""


@pytest.mark.service
async def test_a_program_that_floods_harms_nobody_else(
    suite: Suite, workshop: Workshop, tmp_path: Path
) -> None:
    from firedrill.sandbox import toolroot

    if shutil.which("bwrap") is None or toolroot.locate() is None:
        pytest.skip("no bubblewrap or no tool root here")
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent/flood.py").write_text(FLOOD)
    flooding = AgentRequest(f"command:python3 {tmp_path}/agent/flood.py")
    quiet = Acting(look_and_restart)
    limits, ends = Limits(minutes=2.0), []
    for name, others in (("alone", []), ("beside", [flooding])):
        agents: list[Any] = [quiet, *others]
        await run(suite, agents, concurrency=2, limits=limits, out=tmp_path / name, workshop=workshop)
        ends.append(next((tmp_path / name).glob("episodes/*/look_and_restart-*/*/interventions.json")))
    assert ends[0].read_bytes() == ends[1].read_bytes()
    folder = RunFolder(tmp_path / "beside")
    (record,) = (item for item, _ in folder.results() if item.agent.startswith("command"))
    assert (record.outcome, record.attempts) == (Outcome.TIME_LIMIT, 1), record.reason
    facts = folder.facts(record.key)
    assert facts is not None
    assert len(facts.requests) < 12_000
    assert verify(folder.path).ok


async def on_call(episode: Episode) -> AgentResult:
    """Mends it with kubectl and curl, and waits by watching."""

    async def sh(command: str) -> str:
        done = await episode.workspace.run(command, timeout=120)
        assert done.exit_code == 0, (command, done.stdout, done.stderr)
        return done.stdout

    page = await sh("cat README.md; ls -a")
    assert "fires since" in page
    assert "kubeconfig" in page
    assert SCENARIO not in page
    assert "deleted-kubernetes-service" not in page
    refused = await episode.workspace.run("kubectl -n book-info create token default", timeout=60)
    assert "is forbidden" in refused.stderr
    assert (await episode.workspace.run("curl -sS -m 5 http://example.com", timeout=20)).exit_code != 0
    assert json.loads(await sh("curl -s http://127.0.0.1:16686/api/services"))["data"]
    (step,) = episode.privilege.steps if episode.privilege else ()
    await episode.workspace.write_file("service.json", json.dumps(step["body"]).encode())
    await sh("kubectl -n book-info create -f service.json")
    # not `rollout restart`, which writes the time of this machine into the object
    await sh("kubectl -n book-info scale deployment/details-v1 --replicas=2")
    await sh("kubectl -n book-info rollout status deployment/details-v1")
    await sh("kubectl -n book-info wait --for=condition=Ready pod -l app=details --timeout=60s")
    for _ in range(6):
        await sh("kubectl -n book-info get pods -w")
        firing = "curl -s http://127.0.0.1:9093/api/v2/alerts | jq -r '.[].labels.alertname'"
        if not set((await sh(firing)).split()) & {alert["name"] for alert in episode.living.alerts}:  # type: ignore[union-attr]
            break
    answer = {"contributing_factors": [{"name": "book-info/Service/bookinfo-gateway-istio"}]}
    return AgentResult(Outcome.SUBMITTED, json.dumps(answer))


@pytest.mark.service
async def test_an_incident_is_ended_with_kubectl_and_curl_in_the_sandbox(
    suite: Suite, workshop: Workshop, tmp_path: Path
) -> None:
    from firedrill.gateway.kubernetes.kubectl import find_kubectl
    from firedrill.sandbox import toolroot

    if not find_kubectl() or shutil.which("bwrap") is None or toolroot.locate() is None:
        pytest.skip("no kubectl, no bubblewrap or no tool root here")
    agent = Acting(on_call)
    agent.needs_workspace = agent.privileged = True
    await run(suite, [agent], repeats=2, concurrency=2, out=tmp_path / "run", workshop=workshop)
    folder = RunFolder(tmp_path / "run")
    asked, grades = [], []
    for record, grade in folder.results():
        assert (record.outcome, record.reason) == (Outcome.SUBMITTED, "")
        assert grade is not None
        assert (grade.score, grade.metrics["diagnosis"]) == (1.0, 1.0), grade.reason
        facts = folder.facts(record.key)
        assert facts is not None
        assert {line.api for line in facts.requests} == {"kubernetes", "jaeger", "alertmanager"}
        # clients choose how long each watch may last by lot: paths differ, and nothing else does
        asked.append(
            [(line.at_ms, line.verb, line.resource, line.name, line.code) for line in facts.requests]
        )
        grades.append(grade)
    assert asked[0] == asked[1]
    assert grades[0] == grades[1]


async def test_who_does_nothing_is_told_what_became_of_another_world_where_nothing_was_done(
    stage: Kept,
) -> None:
    said: list[list[str]] = [[], ["book-info/Service/reviews"], ["book-info/Service/reviews"], []]
    episodes = [await stage.episode() for _ in said]
    try:
        stage.standing = Standing()
        await episodes[0].finish(said[0])
        told = await episodes[1].finish(said[1])
        stage.standing = Standing()
        found = await episodes[2].finish(said[2])
        await episodes[3].wait(60_000)
        later = await episodes[3].finish(said[3])
    finally:
        for episode in episodes:
            await episode.close()
    assert told.model_dump_json() == found.model_dump_json()
    assert told.intervention is not None and told.intervention.predicted
    assert later.times.te == found.times.te + 60_000, "a world that went on is another one"


async def test_an_episode_whose_run_was_killed_ends_by_itself(stage: Kept) -> None:
    episode = await stage.episode()
    folder = next(iter(episode.sockets.values())).parent
    episode._writer.transport.abort()  # as the kernel does
    async with asyncio.timeout(60):
        while folder.exists() or Path(f"/proc/{episode.pid}").exists():
            await asyncio.sleep(0.05)
    assert "broke" in str(await episode.failed())
    await episode.close()


async def test_an_episode_that_was_closed_leaves_nothing_behind(suite: Suite, stage: Kept) -> None:
    episode = await stage.episode()
    folder = next(iter(episode.sockets.values())).parent
    assert folder.is_dir()
    assert folder.stat().st_mode & 0o777 == 0o700
    await episode.close()
    assert not folder.exists()
    with pytest.raises(InfrastructureError):
        await episode.now()
