"""The command incident: its words, and its wire with the host."""

from __future__ import annotations

import asyncio
import json
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firedrill.agents.base import Meter
from firedrill.agents.toolbox import EpisodeTools, ToolServer, incident, serving
from firedrill.agents.toolbox.serving import PLACE, PORT, write_command
from firedrill.core.errors import InfrastructureError
from firedrill.tools import TOOLS, schemas

TOOL: dict[str, Any] = {
    "name": "look",
    "description": "Looks at 100% of things. Slowly.",
    "inputSchema": {
        "properties": {
            "entity": {"type": "string", "description": "What."},
            "limit": {"type": "integer", "default": 50, "description": "Most rows."},
            "only_bad": {"type": "boolean", "default": False, "description": "Skip the rest."},
            "kinds": {"type": "array", "description": "Some."},
            "view": {"enum": ["a", "b"], "default": "a", "description": "How."},
        },
        "required": ["entity"],
    },
}


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], {}),
        (["shop/Pod/x"], {"entity": "shop/Pod/x"}),
        (["--entity", "x", "--limit=-5"], {"entity": "x", "limit": "-5"}),
        (["x", "--limit", "-15m"], {"entity": "x", "limit": "-15m"}),
        (["-x"], {"entity": "-x"}),
        (["x", "--only-bad"], {"entity": "x", "only_bad": "true"}),
        (["--only-bad", "x"], {"entity": "x", "only_bad": "true"}),
        (["--only_bad", "false", "x"], {"entity": "x", "only_bad": "false"}),
        (["--no-only-bad", "x"], {"entity": "x", "only_bad": "false"}),
        (["--kinds", "a,b", "--kinds=c,"], {"kinds": ["a", "b", "c"]}),
        (["--entity", "a b; rm -rf /\n"], {"entity": "a b; rm -rf /\n"}),
        (["--view="], {"view": ""}),
    ],
)
def test_words_become_arguments(words: list[str], found: dict[str, Any]) -> None:
    assert incident.read(TOOL, words) == found


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["a", "b"], "'b' belongs to no parameter"),
        (["--lmit", "3"], "no parameter --lmit; did you mean --limit?"),
        (["--entity"], "--entity needs a value"),
        (["--zzz=1"], "no parameter --zzz"),
        (["--no-limit"], "no parameter --no-limit"),
    ],
)
def test_words_that_mean_nothing_are_told(words: list[str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem.replace("?", r"\?")):
        incident.read(TOOL, words)


@given(st.lists(st.text(max_size=12) | st.sampled_from(["--entity", "--kinds=", "--only-bad", "--"])))
def test_no_words_break_it(words: list[str]) -> None:
    try:
        found = incident.read(TOOL, words)
    except ValueError:
        return
    assert set(found) <= set(TOOL["inputSchema"]["properties"])


def test_every_tool_of_the_toolbox_has_its_help() -> None:
    tools = schemas("mcp")
    text = incident.overview(tools)
    for tool in tools:
        assert f"  {tool['name']} " in text
        told = incident.help_text(tool)
        assert tool["description"] in told
        for name in tool["inputSchema"]["properties"]:
            assert name in told or name.replace("_", "-") in told or name.upper() in told
    assert "LOOK" not in text
    assert "ENTITY [--NAME" in incident.help_text(TOOL)
    assert "--view a|b" in incident.help_text(TOOL)
    assert "[default: 50]" in incident.help_text(TOOL)


def test_the_command_is_readable_by_all_and_stands_alone(tmp_path: Path) -> None:
    place = tmp_path / "incident"
    write_command(place, json.dumps(schemas("mcp")).encode())
    program = place / "bin" / "incident"
    assert program.read_text().startswith("#!/usr/bin/python3 -IS\n")
    for path in (place, place / "bin", program):
        assert stat.S_IMODE(path.stat().st_mode) == 0o755
    assert [tool["name"] for tool in json.loads((place / "tools.json").read_text())] == list(TOOLS)
    run = subprocess.run(
        [sys.executable, "-IS", program, "--help"], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert "alerts" in run.stdout


class Desk:
    """A served toolbox, and the command as a program of this machine."""

    def __init__(self, socket: Path, place: Path, receipt: Any, meter: Meter) -> None:
        self.socket, self.place, self.receipt, self.meter = socket, place, receipt, meter

    def client(self) -> httpx.AsyncClient:
        transport = httpx.AsyncHTTPTransport(uds=str(self.socket))
        return httpx.AsyncClient(transport=transport, base_url="http://tools", timeout=30)


@pytest.fixture
async def desk(open_greenhouse: Callable[..., Any], make_episode: Callable[..., Any]) -> Any:
    episode = make_episode()
    async with EpisodeTools() as tools:
        tools.attach(open_greenhouse())
        async with ToolServer(tools, episode.receipt, episode.meter).serve({"A": "b"}) as additions:
            assert additions.env["A"] == "b"
            assert additions.env["PATH"].startswith(f"{PLACE}/bin:/")
            assert additions.env["FIREDRILL_TOOLS"] == f"http://127.0.0.1:{PORT}/tools"
            yield Desk(additions.forwards[PORT], additions.mounts[PLACE], episode.receipt, episode.meter)


async def test_calls_over_the_socket_are_answered_counted_and_recorded(desk: Desk) -> None:
    async with desk.client() as client:
        listed = (await client.get("/tools")).json()
        assert [tool["name"] for tool in listed] == list(TOOLS)
        answer = await client.post("/tools/alerts", json={"limit": "1"})
        wrong = await client.post("/tools/objects", json={"limit": "many"})
        unknown = await client.post("/tools/nothing", json={})
    assert answer.status_code == 200
    document = answer.json()
    assert "PlannerDown" in document["text"]
    assert len(document["rows"]) == 1
    assert document["error"] is False
    assert (wrong.status_code, unknown.status_code) == (400, 400)
    assert "limit" in wrong.json()["text"]
    assert "there is no tool 'nothing'" in unknown.json()["text"]
    assert desk.meter.tool_calls == 3
    calls = desk.receipt.of("tool_call")
    assert [call["name"] for call in calls] == ["incident alerts", "incident objects", "incident nothing"]
    assert calls[0]["arguments"] == {"limit": "1"}
    assert [line["id"] for line in desk.receipt.of("tool_result")] == [call["id"] for call in calls]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/", b"", 404),
        ("GET", "/tools/alerts", b"", 404),
        ("POST", "/tools", b"{}", 404),
        ("POST", "/tools/../../etc/passwd", b"{}", 404),
        ("POST", "/tools/alerts", b"not json", 400),
        ("POST", "/tools/alerts", b"[1]", 400),
        ("POST", "/tools/alerts", b"[" * 60_000, 400),
        ("POST", "/tools/alerts", b'{"limit": ' + b"9" * 5_000 + b"}", 400),
        ("POST", "/tools/alerts", b'{"since": "' + b"x" * 66_000 + b'"}', 413),
        ("POST", "/tools/alerts", b'{"since": "\xff"}', 400),
        ("POST", "/tools/alerts", json.dumps({"a" * 500: ["b"] * 500}).encode(), 400),
        ("POST", "/tools/" + "x" * 5_000, b"{}", 400),
        ("POST", "/tools/alerts", b'{"limit": NaN}', 400),
        ("POST", "/tools/alerts", b'{"since": "\\ud800"}', 400),
    ],
)
async def test_hostile_requests_are_refused_in_few_words(
    desk: Desk, method: str, path: str, body: bytes, status: int
) -> None:
    async with desk.client() as client:
        answer = await client.request(method, path, content=body)
        assert answer.status_code == status
        assert answer.json()["error"] is True
        assert len(answer.content) < 12_000
        assert (await client.post("/tools/alerts", json={})).status_code == 200


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(["limit", "offset", "since", "until", "entity", "kind", "name", "labels", "x"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()),
    ),
    st.sampled_from(sorted(TOOLS)),
)
def test_no_arguments_break_a_tool(
    open_greenhouse: Callable[..., Any], arguments: dict[str, Any], name: str
) -> None:
    async def play() -> None:
        async with EpisodeTools() as tools:
            tools.attach(open_greenhouse())
            result = await tools.call(name, arguments)
        assert not tools.defects
        assert len(result.text) < 30_000

    asyncio.run(play())


async def test_too_many_calls_are_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "CALLS_LIMIT", 2)
    async with desk.client() as client:
        codes = [(await client.post("/tools/alerts", json={})).status_code for _ in range(3)]
    assert codes == [200, 200, 403]


async def test_many_callers_at_once(desk: Desk) -> None:
    async with desk.client() as client:
        answers = await asyncio.gather(*(client.post("/tools/objects", json={}) for _ in range(24)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1


async def test_a_failing_machine_is_told_apart(make_episode: Callable[..., Any]) -> None:
    def broken() -> Any:
        raise OSError("the disk is gone")

    episode = make_episode()
    async with EpisodeTools() as tools:
        tools.attach(broken)
        async with ToolServer(tools, episode.receipt).serve() as additions:
            transport = httpx.AsyncHTTPTransport(uds=str(additions.forwards[PORT]))
            async with httpx.AsyncClient(transport=transport, base_url="http://tools") as client:
                answer = await client.post("/tools/alerts", json={})
    assert answer.status_code == 503
    assert "disk" not in answer.text
    assert isinstance(tools.fault, InfrastructureError)
    assert episode.meter.tool_calls == 0


async def test_the_command_against_its_host(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The client's own code over TCP, which stands for the port inside a sandbox."""

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other_reader, other_writer = await asyncio.open_unix_connection(str(desk.socket))

        async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(65_536):
                target.write(data)
                await target.drain()
            target.close()

        await asyncio.gather(pump(reader, other_writer), pump(other_reader, writer))

    server = await asyncio.start_server(forward, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("FIREDRILL_TOOLS", f"http://127.0.0.1:{port}/tools")
    monkeypatch.setattr(incident, "load", lambda: schemas("mcp"))

    async def run(*words: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(incident.main, list(words))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    code, out, err = await run("alerts", "--limit", "1")
    assert (code, err) == (0, "")
    assert "PlannerDown" in out
    code, out, err = await run("objects", "--kind", "Deployment", "--json")
    assert code == 0
    assert {"columns", "rows", "truncated", "next_offset", "notes", "error"} == set(json.loads(out))
    code, out, err = await run("alerts", "--limit", "many")
    assert (code, out) == (2, "")
    assert err.startswith("incident: limit:")
    assert (await run())[0] == 2
    assert (await run("--help"))[0] == 0
    assert "--limit N" in (await run("alerts", "--help"))[1]
    assert (await run("frobnicate"))[0] == 2
    assert "did you mean --limit" in (await run("alerts", "--limi", "1"))[2]
    server.close()
    monkeypatch.setenv("FIREDRILL_TOOLS", "http://127.0.0.1:1/tools")
    code, out, err = await run("alerts")
    assert (code, out) == (3, "")
    assert "no tools to be reached" in err


async def test_a_long_answer_is_kept_by_its_ends() -> None:
    assert serving.ends("x" * 20_000) == "x" * 20_000
    kept = serving.ends("a" * 20_000 + "b" * 20_000)
    assert kept.startswith("aaa")
    assert kept.endswith("bbb")
    assert "20000 characters left out" in kept


def test_messages_of_the_model_context_protocol() -> None:
    def answered(**message: Any) -> Any:
        return incident.reply([TOOL], {"jsonrpc": "2.0", **message})

    begun = answered(id=1, method="initialize", params={"protocolVersion": "2025-03-26"})
    assert begun["result"]["protocolVersion"] == "2025-03-26"
    later = answered(id=1, method="initialize", params={"protocolVersion": "2099-01-01"})
    assert later["result"]["protocolVersion"] == incident.VERSIONS[-1]
    assert answered(method="notifications/initialized") is None
    assert answered(id="a", method="ping") == {"jsonrpc": "2.0", "id": "a", "result": {}}
    assert answered(id=2, method="tools/list")["result"]["tools"] == [TOOL]
    assert answered(id=3, method="resources/list", params=[])["error"]["code"] == -32601


def test_a_list_of_objects_is_given_as_json() -> None:
    tool = {"name": "x", "inputSchema": {"properties": {"steps": {"type": "array"}}, "required": ["steps"]}}
    text = '[{"a": "b, c"}]'
    assert incident.read(tool, [text]) == incident.read(tool, ["--steps", text]) == {"steps": text}
