"""The scripted server: protocols, streams, checks and starting it anywhere."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from firedrill.agents.models import PROTOCOLS, Protocol, UsageFromStream
from firedrill.agents.models.usage import read_usage
from firedrill.agents.scripted import (
    Call,
    Fail,
    Investigator,
    Raw,
    Say,
    Script,
    ScriptedServer,
    Slow,
    Turn,
    finish,
    mark,
    shell,
)
from firedrill.agents.scripted.__main__ import main
from firedrill.agents.scripted.reading import BadRequest, read_turn
from firedrill.core.errors import InfrastructureError

Serve = Callable[..., ScriptedServer]
PATHS = {"chat": "/chat/completions", "responses": "/responses", "anthropic": "/messages"}


def request(protocol: Protocol, text: str = "Hello", **more: Any) -> dict[str, Any]:
    bodies: dict[str, dict[str, Any]] = {
        "chat": {"messages": [{"role": "user", "content": text}]},
        "responses": {"input": text},
        "anthropic": {"messages": [{"role": "user", "content": text}], "max_tokens": 10},
    }
    return {"model": "x", **bodies[protocol], **more}


def post(server: ScriptedServer, protocol: Protocol, body: dict[str, Any]) -> httpx.Response:
    return httpx.post(server.base_url + PATHS[protocol], json=body, timeout=60)


def events_of(text: str) -> list[dict[str, Any]]:
    lines = [line[6:] for line in text.splitlines() if line.startswith("data: ") and line != "data: [DONE]"]
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_stream_tells_what_the_whole_answer_tells(serve: Serve, protocol: Protocol) -> None:
    server = serve([Say("Words.", (shell("ls"), Call("bad", "{")), thinking="Hm.")])
    whole = post(server, protocol, request(protocol)).json()
    streamed = post(server, protocol, request(protocol, stream=True))
    assert streamed.headers["content-type"].startswith("text/event-stream")
    usage = UsageFromStream(protocol)
    usage.feed(streamed.content)
    # Only the request differs, by a few characters.
    assert abs(usage.reading().tokens.input - read_usage(protocol, whole).tokens.input) < 10
    assert usage.reading().tokens.output == read_usage(protocol, whole).tokens.output > 0
    events = events_of(streamed.text)
    if protocol == "chat":
        delta = {**events[0]["choices"][0]["delta"]}
        delta["tool_calls"] = [
            {k: v for k, v in call.items() if k != "index"} for call in delta["tool_calls"]
        ]
        assert delta == whole["choices"][0]["message"]
        assert streamed.text.endswith("data: [DONE]\n\n")
    elif protocol == "responses":
        assert events[-1]["response"]["output"] == whole["output"]
        items = [event["item"] for event in events if event["type"] == "response.output_item.done"]
        assert items == whole["output"]
    else:
        kinds = [event["type"] for event in events]
        assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])
        parts = [event["delta"] for event in events if event["type"] == "content_block_delta"]
        assert [part["type"] for part in parts] == ["thinking_delta", "text_delta"] + ["input_json_delta"] * 2
        assert json.loads(parts[2]["partial_json"]) == {"command": "ls"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_errors_have_the_protocols_form(serve: Serve, protocol: Protocol) -> None:
    server = serve([Fail(429, "slow", "rate", {"retry-after": "3"}), Say("ok")])
    answer = post(server, protocol, request(protocol))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    error = answer.json()["error"]
    assert error["message"] == "slow"
    assert error["type" if protocol == "anthropic" else "code"] == "rate"
    assert post(server, protocol, request(protocol)).status_code == 200


@pytest.mark.parametrize(
    ("protocol", "change", "problem"),
    [
        ("chat", {"model": None}, "`model` is missing"),
        ("chat", {"messages": []}, "there are no messages"),
        ("chat", {"messages": [{"role": "robot"}]}, "unknown role"),
        ("chat", {"messages": [{"role": "tool", "tool_call_id": "a", "content": ""}]}, "no call has the id"),
        ("chat", {"messages": [{"role": "assistant", "content": ""}]}, "an assistant message is empty"),
        (
            "chat",
            {
                "messages": [
                    {
                        "role": "assistant",
                        "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{"}}],
                    }
                ]
            },
            "not JSON",
        ),
        (
            "chat",
            {
                "messages": [
                    {
                        "role": "assistant",
                        "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}],
                    }
                ]
            },
            "without a result: a",
        ),
        (
            "responses",
            {
                "input": [
                    {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
                    {"role": "user", "content": "x"},
                ]
            },
            "without a result: a",
        ),
        ("anthropic", {"max_tokens": None}, "max_tokens: Field required"),
        ("anthropic", {"messages": [3]}, "bad request"),
    ],
)
def test_what_real_endpoints_refuse_is_refused(
    serve: Serve, protocol: Protocol, change: dict[str, Any], problem: str
) -> None:
    answer = post(serve([Say("never")]), protocol, {**request(protocol), **change})
    assert answer.status_code == 400
    assert problem in answer.json()["error"]["message"]


def test_a_request_that_is_not_json() -> None:
    with pytest.raises(BadRequest, match="not JSON"):
        read_turn("chat", b"{")


def test_keys_and_models(serve: Serve) -> None:
    server = serve([Say("ok")], keys=frozenset({"k"}))
    assert post(server, "chat", request("chat")).status_code == 401
    headers = {"authorization": "Bearer k"}
    assert httpx.post(server.base_url + "/chat/completions", json=request("chat"), headers=headers).is_success
    assert httpx.get(server.base_url + "/models").json()["data"][0]["id"] == "investigator"


def test_a_policy_that_breaks_says_how(serve: Serve) -> None:
    class Broken:
        def reply(self, turn: Turn) -> Say:
            raise KeyError("lost")

    answer = post(serve(Broken()), "chat", request("chat"))
    assert answer.status_code == 500
    assert "KeyError: 'lost'" in answer.json()["error"]["message"]


def test_a_script_goes_on_behind_a_summary() -> None:
    script = Script([Say("one"), Raw(b"", times=2), Say("two"), Say("three")], notes="N")

    def turn(text: str, wordy: bool = False) -> Turn:
        body = {**request("chat", text), **({"tool_choice": "none"} if wordy else {})}
        return read_turn("chat", json.dumps(body).encode())

    assert script.reply(turn("a")) == Say("one")
    assert [type(script.reply(turn(f"a {mark(1)}"))) for _ in range(3)] == [Raw, Raw, Say]
    assert script.reply(turn(f"a {mark(7)}")) == Say("three")
    assert script.reply(turn(f"a {mark(2)}", wordy=True)) == Say(f"N {mark(2)}")
    assert Script([]).reply(turn("a")) == Say()


async def test_it_starts_inside_a_running_loop_and_stops_twice() -> None:
    async with ScriptedServer(Script([Slow(0.01), Say("ok")])) as server:
        url = server.base_url
        async with httpx.AsyncClient() as client:
            answers = await asyncio.gather(
                *(client.post(url + "/chat/completions", json=request("chat")) for _ in range(5))
            )
        assert [answer.json()["choices"][0]["message"]["content"] for answer in answers] == ["ok"] * 5
    server.stop()
    with pytest.raises(RuntimeError, match="does not run"):
        _ = server.base_url
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_a_port_that_is_taken_is_told(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    port = int(serve([]).base_url.split(":")[2].removesuffix("/v1"))
    with pytest.raises(InfrastructureError, match=f"port {port}: Address already in use"):
        ScriptedServer(Script([]), port=port).start()
    assert main(["--port", str(port)]) == 3
    assert "Address already in use" in capsys.readouterr().err


def test_it_runs_as_a_program() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "firedrill.agents.scripted", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert httpx.get(url + "/models").is_success
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_helpers_write_good_calls() -> None:
    assert json.loads(shell("ls", 5).arguments) == {"command": "ls", "timeout": 5}
    assert json.loads(finish().arguments)["paths"] == ["/home/user/agent_output.json"]
    assert isinstance(Investigator(), object)
