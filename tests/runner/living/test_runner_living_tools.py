"""Whole incidents by function calls: a model with live tools, two engineers in words, and an MCP client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firedrill.agents import AgentRequest
from firedrill.agents.base import Episode, Meter, Task
from firedrill.agents.live.serving import LiveEpisodeTools
from firedrill.agents.scripted import Call, Say, Script, ScriptedServer, Turn
from firedrill.agents.toolbox.serving import ToolServer
from firedrill.core.episode import EpisodeRecord, Limits
from firedrill.core.grade import Grade
from firedrill.core.outcome import Outcome
from firedrill.records import RunFolder
from firedrill.runner import Stage, Workshop, run
from firedrill.runner.living import LivingStage, furnish
from firedrill.sandbox import View, open_workspace
from firedrill.sandbox.base import SandboxSpec
from firedrill.suites import Suite, open_suite
from firedrill.tools.live.catalog import LIVE_TOOLS

pytestmark = [pytest.mark.slow, pytest.mark.elsewhere, pytest.mark.service]
SCENARIO = "lite-018"
LABELS = {"gateway.networking.k8s.io/gateway-name": "bookinfo-gateway"}
MADE = json.dumps(
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "bookinfo-gateway-istio", "namespace": "book-info", "labels": LABELS},
        "spec": {"selector": LABELS, "ports": [{"name": "http", "port": 80, "targetPort": 80}]},
    }
)
CAUSE = [{"name": "book-info/Service/bookinfo-gateway-istio", "reasoning": "callers cannot find it"}]
MAKE = {"command": "kubectl create -f -", "manifest": MADE}
UNTIL_CLEAR = {"seconds": 1200, "until_clear": True}
DONE = {"summary": "it is back", "changes": [{"what": "made the Service", "why": "it was gone"}]}


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


def call(name: str, **arguments: Any) -> Call:
    return Call(name, json.dumps(arguments))


PLAIN = Script(
    [
        Say("", (call("alerts"), call("kubectl", command="kubectl list svc"))),
        Say("", (call("traces", service="traffic-generator", limit=2), call("kubectl", command="get svc"))),
        Say("", (call("mitigation_report", **DONE),)),
        Say("", (call("kubectl", **MAKE),)),
        Say("", (call("wait", **UNTIL_CLEAR),)),
        Say("", (call("diagnosis", entities=CAUSE),)),
        Say("", (call("mitigation_report", **DONE),)),
    ]
)


class Crew:
    """What the model of two engineers says, and what it writes where it is asked to translate."""

    looking = Script(
        [
            Say(
                "", (call("nl2alerts", request="what fires?"), call("nl2kubectl", request="which services?"))
            ),
            Say("", (call("nl2kubectl", request="delete the gateway"), call("run_shell", command="ls"))),
            Say("", (call("summarise", tool="topology", question="who is called?"),)),
            Say("", (call("diagnosis", entities=[{**CAUSE[0], "gone": True}]),)),
        ]
    )
    acting = Script(
        [
            Say(
                "", (call("mitigation_plan", steps=[{"command": "kubectl delete ns book-info", "why": "x"}]),)
            ),
            Say("", (call("mitigation_plan", steps=[{**MAKE, "why": "it is gone", "undo": "delete it"}]),)),
            Say("", (call("nl2kubectl", request="make the service"),)),
            Say("", (call("wait", **UNTIL_CLEAR),)),
            Say("", (call("mitigation_report", **DONE),)),
        ]
    )

    def reply(self, turn: Turn) -> Any:
        asked = turn.messages[-1].text
        if turn.system.startswith("You condense"):
            return Say("Nobody answers to bookinfo-gateway-istio.")
        if not turn.system.startswith("You translate"):
            return (self.looking if "You only look" in turn.system else self.acting).reply(turn)
        if "what fires" in asked:
            return Say('```json\n{"state": "firing"}\n```')
        if "which services" in asked:
            wrong = "did not take" not in asked
            return Say('{"command": "kubectl list svc"}' if wrong else 'So: {"command": "kubectl get svc"}')
        return Say(json.dumps({"command": "kubectl delete svc details"} if "delete" in asked else MAKE))


Results = dict[str, tuple[EpisodeRecord, Grade, list[Any]]]


@pytest.fixture(scope="module")
def results(suite: Suite, stage: Kept, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Both agents on the same incident, at once."""
    known = stage.inventory

    def prepare(source: Any, truth: Any) -> Stage:
        return Stage(source, truth, stage.topology, known, View(), known, living=stage)

    workshop = Workshop(prepare=lambda *_: prepare)
    out = tmp_path_factory.mktemp("tools") / "run"
    with ScriptedServer(PLAIN) as plain, ScriptedServer(Crew()) as crew:
        agents = [
            AgentRequest("react", "scripted/plain", {"base_url": plain.base_url, "toolbox": "live"}),
            AgentRequest("crew-sre", "scripted/crew", {"base_url": crew.base_url}),
        ]
        asyncio.run(run(suite, agents, concurrency=2, out=out, workshop=workshop))
    folder = RunFolder(out)
    found: Results = {}
    for record, grade in folder.results():
        assert grade is not None
        found[record.agent.split("-")[0]] = (record, grade, list(folder.receipt(record.key)))
    return found


@pytest.mark.parametrize("agent", ["react", "crew"])
def test_an_incident_is_ended_by_function_calls(results: Results, agent: str) -> None:
    record, grade, lines = results[agent]
    assert (record.outcome, grade.score) == (Outcome.SUBMITTED, 1.0)
    assert {grade.metrics[name] for name in ("repair", "diagnosis", "intervention")} == {1.0}
    requests = [line.payload for line in lines if line.kind == "request"]
    # what was refused before it was sent is no request, and a dry run changes nothing
    (made,) = [item for item in requests if item["verb"] == "create" and not item["dry_run"]]
    assert made["changed"] == ["book-info/Service/bookinfo-gateway-istio"]
    assert not [item for item in requests if item["verb"] == "delete" and not item["dry_run"]]


def test_wrong_calls_are_told_how_to_mend_them(results: Results) -> None:
    record, _, lines = results["react"]
    said = [line.payload["content"] for line in lines if line.kind == "tool_result"]
    assert any("did you mean `kubectl get`" in text for text in said)
    assert any("there is no diagnosis yet" in text for text in said)
    assert record.agent_notes["toolbox"]["refused"] == {"kubectl": 1, "mitigation_report": 1}


def test_one_looks_and_one_acts(results: Results) -> None:
    record, _, lines = results["crew"]
    said = [line.payload["content"] for line in lines if line.kind == "tool_result"]
    assert any("you only look: `kubectl delete`" in text for text in said)
    assert any("There is no tool 'run_shell'" in text for text in said)
    assert any("nothing was recorded: step 1" in text for text in said)
    assert any(text.endswith("condensed]\nNobody answers to bookinfo-gateway-istio.") for text in said)
    assert [line.kind for line in lines].count("task") == 2
    notes = record.agent_notes
    assert notes["diagnosis"]["translated"] == {"questions": 5, "written_again": 1}
    assert notes["plan"][0]["undo"] == "delete it"
    # what was asked beside counts as calls of the model, and takes no turn
    assert (record.usage.turns, record.usage.model_calls) == (9, 15)


@contextlib.asynccontextmanager
async def served(stage: Kept) -> AsyncIterator[tuple[Any, Episode, int, Path]]:
    """An episode whose tools are behind a port, and the command that asks them."""
    living = await stage.episode()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(living.close)
        view, box = furnish(living, View(), SandboxSpec())
        workspace = await stack.enter_async_context(open_workspace(view, box))
        limits = Limits()
        meter = Meter(limits)
        meter.start()
        receipt = Receipt()
        task = Task(living=living.on_call)
        episode = Episode(task, workspace, meter, receipt, limits, seed=1, living=living)
        tools = await stack.enter_async_context(LiveEpisodeTools())
        additions = await stack.enter_async_context(ToolServer(tools, receipt, meter).serve())
        tools.attach(episode)
        (socket,) = additions.forwards.values()

        async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            inward, outward = await asyncio.open_unix_connection(socket)
            await asyncio.gather(copied(reader, outward), copied(inward, writer))

        server = await asyncio.start_server(forward, "127.0.0.1", 0)
        stack.callback(server.close)
        (place,) = additions.mounts.values()
        yield living, episode, server.sockets[0].getsockname()[1], place / "bin" / "incident"


async def copied(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65_536):
        target.write(data)
        await target.drain()
    target.close()


class Receipt:
    """Keeps nothing."""

    def append(self, kind: str, /, **payload: Any) -> None:
        """Forget it."""


async def test_an_mcp_client_ends_an_incident(stage: Kept) -> None:
    from mcp.client.client import Client
    from mcp.client.stdio import StdioServerParameters

    async with served(stage) as (living, episode, port, program):
        env = {"FIREDRILL_TOOLS": f"http://127.0.0.1:{port}/tools"}
        command = StdioServerParameters(command=sys.executable, args=["-IS", str(program), "mcp"], env=env)
        async with Client(command) as client:

            async def ask(name: str, **arguments: Any) -> str:
                result = await client.call_tool(name, arguments)
                text: str = result.content[0].text  # type: ignore[union-attr]
                return f"wrong: {text}" if result.is_error else text

            assert [tool.name for tool in (await client.list_tools()).tools] == list(LIVE_TOOLS)
            assert "NoRequestsReceived" in await ask("alerts")
            assert (await ask("kubectl", command="kubectl get deploymnets")).startswith("wrong: error: this")
            assert "cannot be reached" not in await ask("metrics", query="count(up)")
            assert "created" in await ask("kubectl", **MAKE)
            assert "none of them fires" in await ask("wait", **UNTIL_CLEAR)
            assert (await ask("diagnosis", entities=CAUSE)).startswith("book-info/Service/")
            assert "your work ends here" in await ask("mitigation_report", **DONE)
        answer = json.loads(await episode.workspace.read_file(episode.task.answer) or b"{}")
        assert answer["changes"] == DONE["changes"]
        facts = await living.finish([item["name"] for item in answer["contributing_factors"]])
    from firedrill.grading.living import repair

    assert repair(facts).passed
