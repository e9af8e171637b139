"""``firedrill play`` and ``firedrill answer``, as a person uses them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firedrill.cli import main
from firedrill.cli.play import _Sitting
from firedrill.gateway.kubernetes.kubectl import find_kubectl

SCENARIO = "lite/lite-001"
CAUSE = "AuthorizationPolicy/reviews-v3-callers"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["play", "lite"], "has 21 scenarios"),
        (["play", "lite/no-such-thing"], "no scenario 'no-such-thing'"),
        (["play", "nowhere/else/1"], "no such file or folder"),
        (["play", "--approver", "nobody"], "policy or terminal"),
        (["play", "--kubeconfig", __file__], "the file exists"),
        (["answer"], "no answer"),
        (["answer", "FILE", "--cause", "a/b/c"], "a file says everything"),
        (["answer", "--cause", "web"], "no incident is being played"),
    ],
)
def test_mistakes_are_told_in_a_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.setenv("FIREDRILL_DATA", str(tmp_path))
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error


@pytest.mark.parametrize(("typed", "ends"), [("y", True), ("Yes", True), ("n", False), ("", False)])
async def test_an_interrupt_asks_before_it_ends(tmp_path: Path, typed: str, ends: bool) -> None:
    sitting = _Sitting(tmp_path, None, 1.0, False, None, None, False)
    sitting._terminal.there = True
    asked = []

    async def put(question: str) -> str:
        asked.append(question)
        return typed

    sitting._terminal.put = put  # type: ignore[method-assign]
    giving_up = asyncio.create_task(sitting._give_up())
    sitting._on = True
    sitting._interrupt(2)
    await asyncio.wait({giving_up}, timeout=0.2)
    assert asked == ["End without an answer?"]
    assert giving_up.done() is ends
    giving_up.cancel()


async def test_a_second_interrupt_ends_at_once(tmp_path: Path) -> None:
    sitting = _Sitting(tmp_path, None, 1.0, False, None, None, False)
    sitting._terminal.there = True

    async def never(question: str) -> str:
        await asyncio.Event().wait()
        return ""

    sitting._terminal.put = never  # type: ignore[method-assign]
    giving_up = asyncio.create_task(sitting._give_up())
    sitting._on = True
    for _ in range(2):
        sitting._interrupt(2)
        await asyncio.sleep(0.01)
    await asyncio.wait_for(giving_up, 1)


async def test_an_interrupt_before_the_call_or_after_the_answer_breaks_it_off(tmp_path: Path) -> None:
    sitting = _Sitting(tmp_path, None, 1.0, False, None, None, False)
    sitting._interrupt(2)
    assert sitting._stop.is_set()


@pytest.fixture
def playing(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any], dict[str, str]]]:
    """The incident, served at ten times the wall's speed, with a person at the terminal as the approver."""
    environment = {**os.environ, "FIREDRILL_DATA": str(tmp_path / "data")}
    command = [sys.executable, "-m", "firedrill", "play", SCENARIO, "--speed", "10", "--json"]
    command += ["--approver", "terminal", "--out", str(tmp_path / "run")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=environment, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield process, json.loads(process.stdout.readline()), environment
        finally:
            process.kill()


async def look_from_outside(namespace: str, environment: dict[str, str]) -> None:
    """An MCP client that starts `firedrill mcp playing`, as its configuration says."""
    from mcp.client.client import Client
    from mcp.client.stdio import StdioServerParameters

    from firedrill.tools.live.catalog import LIVE_TOOLS

    words = ["-m", "firedrill", "mcp", "playing"]
    program = StdioServerParameters(command=sys.executable, args=words, env=environment)
    async with asyncio.timeout(120), Client(program) as client:

        async def ask(name: str, **arguments: Any) -> str:
            result = await client.call_tool(name, arguments)
            assert not result.is_error, result
            return str(result.content[0].text)  # type: ignore[union-attr]

        assert [tool.name for tool in (await client.list_tools()).tools] == list(LIVE_TOOLS)
        fired = await ask("alerts")
        assert namespace in fired
        found = await ask("kubectl", command=f"kubectl get authorizationpolicies -n {namespace}")
        assert "reviews-v3-callers" in found
        assert float(await ask("metrics", query="count(up)")) > 5
        assert await ask("wait", seconds=5)
        refused = await client.call_tool("mitigation_report", {"changes": [], "summary": "nothing"})
        assert refused.is_error


@pytest.mark.slow
@pytest.mark.elsewhere
@pytest.mark.service
def test_a_person_takes_the_pager(
    playing: tuple[subprocess.Popen[str], dict[str, Any], dict[str, str]], tmp_path: Path
) -> None:
    found = find_kubectl()
    if not found:
        pytest.skip("kubectl is not installed")
    process, told, environment = playing
    assert "lite" not in json.dumps(told)
    namespace = told["namespace"]

    def kubectl(*arguments: str) -> subprocess.Popen[str]:
        command = [str(found[0].path), "--kubeconfig", told["kubeconfig"], "-n", namespace, *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    seen, _ = kubectl("get", "authorizationpolicies").communicate(timeout=60)
    assert "reviews-v3-callers" in seen
    asyncio.run(look_from_outside(namespace, environment))
    deleting = kubectl("delete", "authorizationpolicy", "reviews-v3-callers")
    question = ""
    while "[y/N" not in question:
        question += process.stderr.read(1)  # type: ignore[union-attr]
    assert "asks to delete" in question
    process.stdin.write("y it lets nobody in\n")  # type: ignore[union-attr]
    process.stdin.flush()  # type: ignore[union-attr]
    assert "deleted" in deleting.communicate(timeout=60)[0]
    time.sleep(1)
    command = [sys.executable, "-m", "firedrill", "answer", "--cause", CAUSE, "--json"]
    answered = subprocess.run(
        command, check=False, env=environment, capture_output=True, text=True, timeout=240
    )
    grade = json.loads(answered.stdout)
    assert (grade["outcome"], grade["metrics"]["diagnosis"], grade["metrics"]["harm"]) == (
        "submitted",
        1.0,
        0.0,
    )
    assert grade["metrics"]["repair_service"] == 1.0
    last, _ = process.communicate(timeout=60)
    assert json.loads(last) == grade
    assert process.returncode == 0
    lines = [json.loads(line) for line in (next((tmp_path / "run").rglob("receipt.jsonl"))).open()]
    deleted = next(line for line in lines if line["kind"] == "request" and line["verb"] == "delete")
    assert (deleted["asked"], deleted["approver"], deleted["code"]) == (True, "person", 200)
    assert not list((tmp_path / "data" / "playing").iterdir())
    assert main(["verify", str(tmp_path / "run")]) == 0
