"""The metering proxy on its socket, before a small endpoint of the test's own."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from firedrill.agents.base import Meter
from firedrill.agents.models.endpoint import Endpoint
from firedrill.agents.models.prices import Price, PriceTable, Rate
from firedrill.agents.models.usage import Protocol
from firedrill.agents.proxy.app import EpisodeProxy
from firedrill.agents.proxy.settings import Bounds, ProxySettings, Upstream
from firedrill.core.episode import Limits
from firedrill.core.errors import InfrastructureError, InputError
from firedrill.core.outcome import Outcome

KEY = "sk-canary-0f1e2d3c4b5a69788796a5b4c3d2e1f0"
PRICES = PriceTable({"openai/m-1": Price(Rate(10.0, 100.0)), "anthropic/m-1": Price(Rate(10.0, 100.0))})
LIMITS, BOUNDS = Limits(), Bounds()
CHAT_USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}


class Receipt:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def append(self, kind: str, /, **payload: Any) -> None:
        json.dumps(payload, allow_nan=False)
        self.lines.append((kind, payload))

    def text(self) -> str:
        return json.dumps(self.lines)


class Endpoints:
    """What stands behind the proxy: answers by ``self.answer`` and remembers what it was asked."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, str], Any]] = []
        self.answer: Callable[[Any], Response] = lambda _body: JSONResponse(chat_answer("hello"))
        self.url = ""

    async def handle(self, request: Request) -> Response:
        body = json.loads(await request.body())
        self.seen.append((request.url.path, dict(request.headers), body))
        return self.answer(body)


def chat_answer(text: str, usage: Any = CHAT_USAGE, calls: Any = None) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, "tool_calls": calls or []}
    return {
        "id": "c-1",
        "object": "chat.completion",
        "model": "m-1",
        "choices": [{"message": message}],
        "usage": usage,
    }


def events(*documents: Any, pause: asyncio.Event | None = None) -> Response:
    async def body() -> AsyncIterator[bytes]:
        for document in documents:
            if document is None:
                assert pause is not None
                await pause.wait()
            elif isinstance(document, Exception):
                raise document
            else:
                data = document if isinstance(document, str) else json.dumps(document)
                yield f"data: {data}\n\n".encode()

    return StreamingResponse(body(), media_type="text/event-stream")


def chat_chunks(text: str, usage: Any = CHAT_USAGE) -> list[Any]:
    chunks: list[Any] = [{"choices": [{"index": 0, "delta": {"content": letter}}]} for letter in text]
    return [*chunks, *([{"choices": [], "usage": usage}] if usage else []), "[DONE]"]


@pytest.fixture
async def endpoints() -> AsyncIterator[Endpoints]:
    found = Endpoints()
    app = Starlette(routes=[Route("/{path:path}", found.handle, methods=["POST"])])
    config = Config(app=app, lifespan="off", log_config=None, access_log=False)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: H11Protocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield found
    server.close()
    for connection in list(state.connections):
        connection.transport.abort()
    await asyncio.gather(*state.tasks, return_exceptions=True)


class Client:
    def __init__(self, proxy: EpisodeProxy, http: httpx.AsyncClient, socket: Any) -> None:
        self.proxy, self.http, self.socket = proxy, http, socket
        self.meter: Meter
        self.receipt: Receipt

    async def chat(self, text: str = "hi", **more: Any) -> httpx.Response:
        body = {"model": "any", "messages": [{"role": "user", "content": text}], **more}
        return await self.http.post("/v1/chat/completions", json=body)

    async def raw(self, data: bytes, seconds: float = 5.0) -> bytes:
        reader, writer = await asyncio.open_unix_connection(str(self.socket))
        writer.write(data)
        try:
            return await asyncio.wait_for(reader.read(), seconds)
        except ConnectionResetError:
            return b""
        finally:
            writer.close()


@asynccontextmanager
async def opened(
    endpoints: Endpoints,
    protocol: Protocol = "chat",
    limits: Limits = LIMITS,
    bounds: Bounds = BOUNDS,
    prices: PriceTable = PRICES,
    default: str | None = "main",
    url: str | None = None,
    clock: Callable[[], float] | None = None,
) -> AsyncIterator[Client]:
    provider = "anthropic" if protocol == "anthropic" else "openai"
    base = url or endpoints.url + ("" if protocol == "anthropic" else "/v1")
    upstream = Upstream(
        Endpoint(f"{provider}/m-1", "m-1", provider, base, protocol, key=KEY, key_variable="SOME_KEY")
    )
    settings = ProxySettings({"main": upstream}, default, prices, bounds)
    meter = Meter(limits, clock=clock) if clock else Meter(limits)
    meter.start()
    receipt = Receipt()
    proxy = EpisodeProxy(settings, meter, receipt)
    async with proxy.serve() as socket:
        transport = httpx.AsyncHTTPTransport(uds=str(socket))
        async with httpx.AsyncClient(transport=transport, base_url="http://proxy", timeout=20) as http:
            client = Client(proxy, http, socket)
            client.meter, client.receipt = meter, receipt
            yield client
    assert KEY not in receipt.text()


async def test_a_chat_call_is_passed_on_counted_and_recorded(endpoints: Endpoints) -> None:
    async with opened(endpoints) as client:
        reply = await client.http.post(
            "/v1/chat/completions?key=smuggled",
            json={"model": "gpt-any", "messages": [{"role": "user", "content": "hi"}], "temperature": 0},
            headers={
                "authorization": "Bearer stolen",
                "x-api-key": "stolen",
                "cookie": "a=b",
                "x-forwarded-host": "evil.example",
                "openai-organization": "org-evil",
            },
        )
        assert reply.status_code == 200
        assert reply.json()["choices"][0]["message"]["content"] == "hello"
    path, headers, body = endpoints.seen[0]
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert not {"x-api-key", "cookie", "x-forwarded-host", "openai-organization"} & set(headers)
    assert body["model"] == "m-1" and body["temperature"] == 0
    meter = client.meter
    assert (meter.turns, meter.model_calls, meter.tokens.input, meter.tokens.output) == (1, 1, 1000, 100)
    assert meter.cost == pytest.approx(0.02)
    assert client.receipt.lines == [
        ("message", {"role": "user", "content": "hi"}),
        (
            "message",
            {
                "role": "assistant",
                "content": "hello",
                "model": "openai/m-1",
                "usage": {"input": 1000, "output": 100},
                "call": 1,
            },
        ),
    ]
    assert client.proxy.fault is None


async def test_each_message_is_recorded_once_over_a_growing_conversation(endpoints: Endpoints) -> None:
    call = {"id": "t1", "type": "function", "function": {"name": "sh", "arguments": '{"cmd": "ls"}'}}
    async with opened(endpoints) as client:
        endpoints.answer = lambda _body: JSONResponse(chat_answer("", calls=[call]))
        messages: list[Any] = [{"role": "system", "content": "s"}, {"role": "user", "content": "go"}]
        await client.http.post("/v1/chat/completions", json={"model": "x", "messages": messages})
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "t1", "content": "a.txt"},
        ]
        endpoints.answer = lambda _body: JSONResponse(chat_answer("done"))
        await client.http.post("/v1/chat/completions", json={"model": "x", "messages": messages})
        # The same again: nothing of it is new but the answer.
        await client.http.post("/v1/chat/completions", json={"model": "x", "messages": messages})
    said = [(kind, p.get("role") or p.get("id"), p["content"]) for kind, p in client.receipt.lines]
    assert said == [
        ("message", "system", "s"),
        ("message", "user", "go"),
        ("message", "assistant", ""),
        ("tool_result", "t1", "a.txt"),
        ("message", "assistant", "done"),
        ("message", "assistant", "done"),
    ]
    assert client.receipt.lines[2][1]["tool_calls"] == [
        {"id": "t1", "name": "sh", "arguments": {"cmd": "ls"}}
    ]
    assert client.meter.tool_calls == 1


@pytest.mark.parametrize("wanted", [False, True])
async def test_a_chat_stream_passes_live_and_its_usage_is_counted(endpoints: Endpoints, wanted: bool) -> None:
    go_on = asyncio.Event()
    chunks = chat_chunks("hey")
    endpoints.answer = lambda _body: events(chunks[0], None, *chunks[1:], pause=go_on)
    options = {"stream_options": {"include_usage": True}} if wanted else {}
    async with opened(endpoints) as client:
        body = {"model": "x", "messages": [{"role": "user", "content": "hi"}], "stream": True, **options}
        received = []
        async with client.http.stream("POST", "/v1/chat/completions", json=body) as reply:
            assert reply.headers["content-type"].startswith("text/event-stream")
            async for line in reply.aiter_lines():
                if line:
                    received.append(line)
                    go_on.set()  # only after the first event has come through
        assert endpoints.seen[0][2]["stream_options"] == {"include_usage": True}
        assert received[-1] == "data: [DONE]"
        assert ('"usage"' in "".join(received)) is wanted
    assert client.meter.tokens.input == 1000 and client.meter.cost == pytest.approx(0.02)
    assert client.receipt.lines[-1][1]["content"] == "hey"


async def test_the_responses_protocol(endpoints: Endpoints) -> None:
    usage = {"input_tokens": 10, "output_tokens": 5, "input_tokens_details": {"cached_tokens": 4}}
    output = [
        {"type": "reasoning", "summary": []},
        {"type": "function_call", "call_id": "f1", "name": "sh", "arguments": "{}"},
    ]
    whole = {"id": "r", "object": "response", "output": output, "usage": usage}
    async with opened(endpoints, "responses") as client:
        endpoints.answer = lambda _body: JSONResponse(whole)
        body: dict[str, Any] = {"model": "x", "instructions": "be", "input": "go"}
        assert (await client.http.post("/v1/responses", json=body)).json() == whole
        endpoints.answer = lambda _body: events(
            {"type": "response.output_text.delta", "delta": "ab"},
            {"type": "response.completed", "response": {**whole, "output": []}},
        )
        history = [
            {"role": "user", "content": "go"},
            output[1],
            {"type": "function_call_output", "call_id": "f1", "output": "x"},
        ]
        await client.http.post("/v1/responses", json={**body, "input": history, "stream": True})
    assert [path for path, _, _ in endpoints.seen] == ["/v1/responses"] * 2
    assert (client.meter.turns, client.meter.tokens.input, client.meter.tokens.cached) == (2, 20, 8)
    kinds = [(kind, p.get("role") or p.get("id")) for kind, p in client.receipt.lines]
    assert kinds == [
        ("message", "system"),
        ("message", "user"),
        ("message", "assistant"),
        ("tool_result", "f1"),
        ("message", "assistant"),
    ]


async def test_anthropic_messages(endpoints: Endpoints) -> None:
    usage = {"input_tokens": 7, "cache_read_input_tokens": 3, "output_tokens": 2}
    content = [
        {"type": "text", "text": "so"},
        {"type": "tool_use", "id": "u1", "name": "sh", "input": {"c": 1}},
    ]
    async with opened(endpoints, "anthropic") as client:
        endpoints.answer = lambda _body: JSONResponse({"type": "message", "content": content, "usage": usage})
        body: dict[str, Any] = {
            "model": "x",
            "max_tokens": 9,
            "system": "s",
            "messages": [{"role": "user", "content": "go"}],
        }
        headers = {"x-api-key": "mine", "anthropic-version": "2023-06-01", "anthropic-beta": "b-1"}
        reply = await client.http.post("/v1/messages?beta=true", json=body, headers=headers)
        assert reply.json()["content"] == content
        path, sent, _ = endpoints.seen[0]
        assert (path, sent["x-api-key"], sent["anthropic-beta"]) == ("/v1/messages", KEY, "b-1")
        assert "authorization" not in sent
        endpoints.answer = lambda _body: events(
            {
                "type": "message_start",
                "message": {"model": "m-1", "usage": {"input_tokens": 7, "output_tokens": 1}},
            },
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "fi"}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "n"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}},
            {"type": "message_stop"},
        )
        body["messages"] += [
            {"role": "assistant", "content": content},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "u1", "content": "r"}]},
        ]
        reply = await client.http.post("/v1/messages", json={**body, "stream": True})
        assert "message_stop" in reply.text
        endpoints.answer = lambda _body: JSONResponse({"input_tokens": 12})
        counted = await client.http.post("/v1/messages/count_tokens", json=body)
        assert counted.json() == {"input_tokens": 12}
        assert endpoints.seen[-1][0] == "/v1/messages/count_tokens"
    assert (client.meter.turns, client.meter.tokens.input, client.meter.tokens.output) == (2, 17, 6)
    said = [(kind, p.get("role") or p.get("id"), p["content"]) for kind, p in client.receipt.lines]
    assert said == [
        ("message", "system", "s"),
        ("message", "user", "go"),
        ("message", "assistant", "so"),
        ("tool_result", "u1", "r"),
        ("message", "assistant", "fin"),
    ]


@pytest.mark.parametrize("stream", [False, True])
async def test_on_call_a_message_has_the_moment_at_which_it_was_written(
    endpoints: Endpoints, stream: bool
) -> None:
    now = [5_000]

    async def think(ms: int) -> None:
        now[0] += ms

    async def moment() -> int:
        return now[0]

    async with opened(endpoints) as client:
        meter = client.meter
        meter.think, meter.moment, meter.token_ms = think, moment, 20.0
        endpoints.answer = lambda _: events(*chat_chunks("ok")) if stream else JSONResponse(chat_answer("ok"))
        assert (await client.chat(stream=stream)).status_code == 200
    ((_, asked), (_, said)) = client.receipt.lines
    assert "at_ms" not in asked
    assert (said["content"], said["at_ms"]) == ("ok", 5_000 + 100 * 20)


async def test_turn_cap_refuses_in_the_shape_of_the_protocol_and_marks_the_meter(
    endpoints: Endpoints,
) -> None:
    async with opened(endpoints, limits=Limits(turns=2)) as client:
        assert [(await client.chat()).status_code for _ in range(3)] == [200, 200, 403]
        error = (await client.chat()).json()["error"]
        assert error["code"] == "cap_reached" and "2 turns" in error["message"]
        reached = await asyncio.wait_for(client.meter.capped(), 1)
    assert reached.outcome is Outcome.TURN_LIMIT
    assert len(endpoints.seen) == 2
    assert client.receipt.lines[-1][0] == "notice"


async def test_cost_cap(endpoints: Endpoints) -> None:
    async with opened(endpoints, limits=Limits(cost=0.03)) as client:
        assert [(await client.chat()).status_code for _ in range(3)] == [200, 200, 403]
        assert client.meter.reached is not None
        assert client.meter.reached.outcome is Outcome.COST_LIMIT


async def test_time_cap(endpoints: Endpoints) -> None:
    now = [0.0]
    async with opened(endpoints, limits=Limits(minutes=1), clock=lambda: now[0]) as client:
        assert (await client.chat()).status_code == 200
        now[0] = 61.0
        assert (await client.chat()).status_code == 403
        assert client.meter.reached is not None
        assert client.meter.reached.outcome is Outcome.TIME_LIMIT


async def test_parallel_calls_do_not_pass_the_turn_cap(endpoints: Endpoints) -> None:
    async with opened(endpoints, limits=Limits(turns=5), bounds=Bounds(at_once=3)) as client:
        replies = await asyncio.gather(*(client.chat(str(n)) for n in range(12)))
    assert sorted(reply.status_code for reply in replies) == [200] * 5 + [403] * 7
    assert client.meter.turns == 5 == len(endpoints.seen)
    calls = [line[1]["call"] for line in client.receipt.lines if "call" in line[1]]
    assert calls == sorted(calls)


async def test_a_cost_cap_without_a_price_halts(endpoints: Endpoints) -> None:
    async with opened(endpoints, limits=Limits(cost=1.0), prices=PriceTable()) as client:
        assert (await client.chat()).status_code == 200
        fault = await asyncio.wait_for(client.proxy.halted(), 1)
        assert isinstance(fault, InputError) and "price" in str(fault)
        assert (await client.chat()).status_code == 403


async def test_an_answer_without_usage_is_estimated(endpoints: Endpoints) -> None:
    endpoints.answer = lambda _body: JSONResponse(chat_answer("x" * 400, usage=None))
    async with opened(endpoints) as client:
        await client.chat("y" * 4000)
    assert client.proxy.estimated == 1
    assert 1000 < client.meter.tokens.input < 1100 and client.meter.tokens.output >= 100
    assert client.meter.cost is not None and client.meter.cost > 0


@pytest.mark.parametrize("stream", [False, True])
async def test_on_a_living_world_an_answer_ends_when_its_tokens_time_has_passed(
    endpoints: Endpoints, stream: bool
) -> None:
    think = asyncio.Event()
    passed: list[int] = []

    async def spend(ms: int) -> None:
        passed.append(ms)
        await think.wait()

    endpoints.answer = lambda _: events(*chat_chunks("ab")) if stream else JSONResponse(chat_answer("ab"))
    async with opened(endpoints) as client:
        client.meter.think, client.meter.token_ms = spend, 20.0
        asking = asyncio.create_task(client.chat(stream=stream))
        while not passed and not asking.done():
            await asyncio.sleep(0.01)
        assert not asking.done()
        think.set()
        assert (await asking).status_code == 200
    assert passed == [client.meter.tokens.output * 20]


async def test_leaving_a_stream_early_does_not_escape_the_meter(endpoints: Endpoints) -> None:
    go_on = asyncio.Event()
    chunks = chat_chunks("a" * 50)
    endpoints.answer = lambda _body: events(chunks[0], None, *chunks[1:], pause=go_on)
    async with opened(endpoints) as client:
        body = {"model": "x", "messages": [{"role": "user", "content": "hi"}], "stream": True}
        async with client.http.stream("POST", "/v1/chat/completions", json=body) as reply:
            async for _ in reply.aiter_lines():
                break
        assert client.meter.tokens.input == 0
        go_on.set()
        await client.proxy.settle(5)
    assert client.meter.tokens.input == 1000 and client.proxy.estimated == 0
    assert client.receipt.lines[-1][1]["content"] == "a" * 50


async def test_a_stream_that_never_ends_is_counted_by_estimate(endpoints: Endpoints) -> None:
    chunks = chat_chunks("b" * 40)
    never = asyncio.Event()
    endpoints.answer = lambda _body: events(*chunks[:40], None, pause=never)
    async with opened(endpoints) as client:
        body = {"model": "x", "messages": [{"role": "user", "content": "hi"}], "stream": True}
        async with client.http.stream("POST", "/v1/chat/completions", json=body) as reply:
            got = 0
            async for line in reply.aiter_lines():
                got += bool(line)
                if got == 40:
                    break
            await client.proxy.settle(0.1)
        assert (client.proxy.estimated, client.meter.tokens.output) == (1, 10)
        never.set()
    assert ("notice", {"text": "the episode ended before the answer did", "call": 1}) in client.receipt.lines


async def test_a_stream_that_breaks_is_seen_as_broken(endpoints: Endpoints) -> None:
    endpoints.answer = lambda _body: events(*chat_chunks("abc")[:2], RuntimeError("gone"))
    async with opened(endpoints) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.chat(stream=True)
        await client.proxy.settle(5)
        assert client.proxy.defect is None
        assert isinstance(client.proxy.fault, InfrastructureError)
    assert client.meter.turns == 1 and client.proxy.estimated == 1


async def test_errors_of_the_endpoint_pass_and_cost_no_turn(endpoints: Endpoints) -> None:
    error = {"error": {"message": f"slow down {KEY}", "type": "rate"}}
    endpoints.answer = lambda _body: JSONResponse(error, 429, {"retry-after": "3", "set-cookie": "a=b"})
    async with opened(endpoints, limits=Limits(turns=1)) as client:
        reply = await client.chat()
        assert (reply.status_code, reply.headers["retry-after"]) == (429, "3")
        assert "set-cookie" not in reply.headers and KEY not in reply.text
        assert client.meter.turns == 0 and client.proxy.fault is None
    async with opened(endpoints) as client:
        endpoints.answer = lambda _body: PlainTextResponse("<html>bad gateway", 502)
        reply = await client.chat()
        assert reply.status_code == 502 and reply.json()["error"]["code"] == "endpoint_error"
        assert isinstance(client.proxy.fault, InfrastructureError)
        endpoints.answer = lambda _body: JSONResponse(chat_answer("ok"))
        assert (await client.chat()).status_code == 200
        assert client.proxy.fault is None


@pytest.mark.parametrize(
    ("status", "code"), [(401, "invalid_api_key"), (403, ""), (402, "insufficient_quota")]
)
async def test_a_refused_account_is_the_users_mistake(endpoints: Endpoints, status: int, code: str) -> None:
    body = {"error": {"message": f"Incorrect key {KEY[:12]}", "code": code}}
    endpoints.answer = lambda _body: JSONResponse(body, status)
    async with opened(endpoints) as client:
        reply = await client.chat()
        assert reply.status_code == status and KEY[:12] not in reply.text
        fault = await asyncio.wait_for(client.proxy.halted(), 1)
        assert isinstance(fault, InputError) and "SOME_KEY" in str(fault) and KEY not in str(fault)
    assert KEY[:12] not in client.receipt.text()


async def test_answers_that_are_no_answers(endpoints: Endpoints) -> None:
    async with opened(endpoints, bounds=Bounds(answer=5_000)) as client:
        for answer in (
            PlainTextResponse("not json", media_type="application/json"),
            RedirectResponse("http://evil.example/v1"),
            JSONResponse(chat_answer("z" * 20_000)),
        ):
            endpoints.answer = lambda _body, answer=answer: answer  # type: ignore[misc]
            reply = await client.chat()
            assert reply.status_code == 502, answer
            assert reply.json()["error"]["message"].startswith("openai/m-1: ")


async def test_an_endpoint_that_is_not_there(endpoints: Endpoints) -> None:
    async with opened(endpoints, url="http://127.0.0.1:9/v1") as client:
        reply = await client.chat()
        assert reply.status_code == 502 and "no answer" in reply.json()["error"]["message"]
        assert isinstance(client.proxy.fault, InfrastructureError)
        assert client.meter.turns == 0


async def test_the_key_is_cut_out_of_whole_answers_and_streams(endpoints: Endpoints) -> None:
    async with opened(endpoints) as client:
        endpoints.answer = lambda _body: JSONResponse(chat_answer(f"your key is {KEY}"))
        assert "[key]" in (await client.chat()).text
        endpoints.answer = lambda _body: events({"choices": [{"delta": {"content": KEY}}]}, "[DONE]")
        reply = await client.chat(stream=True)
        assert KEY not in reply.text and "[key]" in reply.text


@pytest.mark.parametrize(
    "path",
    [
        "/v1/embeddings",
        "/v1/files",
        "/v1/messages/batches",
        "/v1/chat/completions/../../admin",
        "/v1/chat/completions/%2e%2e/%2e%2e/admin",
        "//v1/chat/completions",
        "/v1//chat/completions",
        "/",
        "/v1/responses/resp_1",
        "/admin",
    ],
)
async def test_no_other_path_is_answered(endpoints: Endpoints, path: str) -> None:
    async with opened(endpoints) as client:
        for method in (b"POST", b"GET", b"DELETE"):
            request = b"%s %s HTTP/1.1\r\nhost: evil.example\r\ncontent-length: 2\r\n\r\n{}" % (
                method,
                path.encode(),
            )
            answer = await client.raw(request)
            assert answer.startswith(b"HTTP/1.1 404")
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert endpoints.seen == []


@pytest.mark.parametrize(
    "head",
    [
        b"content-length: 2\r\ncontent-length: 50",
        b"content-length: 2\r\ntransfer-encoding: gzip",
        b"content-length: -1",
        b"x: a\rb",
        b"x\x00: a",
        b"big: " + b"a" * 100_000,
    ],
)
async def test_smuggled_and_broken_heads_are_refused(endpoints: Endpoints, head: bytes) -> None:
    async with opened(endpoints) as client:
        request = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n" + head + b"\r\n\r\n{}"
        answer = await client.raw(request)
        assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 408"))
    assert endpoints.seen == []


async def test_absolute_targets_and_tunnels_go_nowhere(endpoints: Endpoints) -> None:
    async with opened(endpoints) as client:
        for line in (
            b"GET http://evil.example/ HTTP/1.1",
            b"CONNECT evil.example:443 HTTP/1.1",
            b"GET /../../etc/passwd HTTP/1.1",
        ):
            answer = await client.raw(line + b"\r\nhost: evil.example\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 404")
    assert endpoints.seen == []


async def test_bodies_are_bounded(endpoints: Endpoints) -> None:
    async with opened(endpoints, bounds=Bounds(request=50_000)) as client:
        reply = await client.chat("x" * 100_000)
        assert reply.status_code == 413 and reply.json()["error"]["code"] == "too_large"

        async def endless_body() -> AsyncIterator[bytes]:
            for _ in range(30):
                yield b"x" * 10_000

        endless = await client.http.post("/v1/messages", content=endless_body())
        assert endless.status_code == 413 and endless.json()["type"] == "error"
    assert endpoints.seen == [] and client.meter.turns == 0


async def test_slow_requests_are_cut(endpoints: Endpoints) -> None:
    async with opened(endpoints, bounds=Bounds(header_seconds=0.5, body_seconds=0.5)) as client:
        assert await client.raw(b"POST /v1/chat/comp", 3) == b""
        assert await client.raw(b"", 3) == b""
        slow = await client.raw(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 99\r\n\r\n{", 3
        )
        assert slow.startswith(b"HTTP/1.1 408") and b"connection: close" in slow
        assert (await client.chat()).status_code == 200


async def test_connections_are_bounded(endpoints: Endpoints) -> None:
    async with opened(endpoints, bounds=Bounds(connections=4, header_seconds=1.0)) as client:
        idle = [await asyncio.open_unix_connection(str(client.socket)) for _ in range(12)]
        with pytest.raises(httpx.TransportError):
            await client.chat()
        for _, writer in idle:
            writer.close()
        assert (await patient(client)).status_code == 200


async def patient(client: Client) -> httpx.Response:
    """Asked again until the proxy has noticed that others have gone."""
    while True:
        try:
            return await client.chat()
        except httpx.TransportError:
            await asyncio.sleep(0.05)


async def test_requests_are_bounded(endpoints: Endpoints) -> None:
    async with opened(endpoints, bounds=Bounds(requests=2)) as client:
        assert [(await client.chat()).status_code for _ in range(3)] == [200, 200, 403]


async def test_models_are_listed_and_others_refused(endpoints: Endpoints) -> None:
    async with opened(endpoints, default=None) as client:
        listed = (await client.http.get("/v1/models")).json()
        assert [model["id"] for model in listed["data"]] == ["main"]
        listed = (await client.http.get("/v1/models", headers={"anthropic-version": "x"})).json()
        assert listed["first_id"] == "main"
        assert (await client.http.get("/v1/models/main")).json()["id"] == "main"
        assert (await client.http.get("/v1/models/other")).status_code == 404
        reply = await client.chat()
        assert reply.status_code == 404 and "main" in reply.json()["error"]["message"]
        body = {"model": "main", "messages": [{"role": "user", "content": "x"}]}
        assert (await client.http.post("/v1/chat/completions", json=body)).status_code == 200
        reply = await client.http.post("/v1/messages", json={**body, "max_tokens": 1})
        assert reply.status_code == 400 and "/v1/chat/completions" in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "members"),
    [
        ("chat/completions", {"tools": [{"type": "web_search"}]}),
        ("chat/completions", {"web_search_options": {"size": 1}}),
        ("chat/completions", {"plugins": [{"id": "web"}]}),
        ("chat/completions", {"models": ["other/model"]}),
        ("chat/completions", {"service_tier": "priority"}),
        (
            "responses",
            {"tools": [{"type": "function"}, {"type": "mcp", "server_url": "https://evil.example"}]},
        ),
        ("responses", {"background": True}),
        (
            "responses",
            {
                "input": [
                    {"role": "user", "content": [{"type": "input_image", "image_url": "https://e.example/x"}]}
                ]
            },
        ),
    ],
)
async def test_what_would_be_a_second_way_out_is_refused(
    endpoints: Endpoints, path: str, members: dict[str, Any]
) -> None:
    async with opened(endpoints) as client:
        body = {"model": "x", "messages": [{"role": "user", "content": "hi"}], **members}
        reply = await client.http.post(f"/v1/{path}", json=body)
        assert reply.status_code == 403 and reply.json()["error"]["code"] == "not_allowed"
    assert endpoints.seen == [] and client.meter.turns == 0
    assert client.receipt.lines[0][0] == "notice"


async def test_after_the_end_nothing_is_taken(endpoints: Endpoints) -> None:
    async with opened(endpoints) as client:
        await client.proxy.settle(0)
        reply = await client.chat()
        assert reply.status_code == 403 and reply.json()["error"]["code"] == "episode_over"


async def test_the_socket_is_gone_afterwards(endpoints: Endpoints) -> None:
    async with opened(endpoints) as client:
        assert client.socket.exists()
    assert not client.socket.parent.exists()


async def test_a_defect_of_the_proxy_is_not_the_agents_fault(
    endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("firedrill.agents.proxy.app.prepare_call", broken)
    async with opened(endpoints) as client:
        assert (await client.chat()).status_code == 500
        assert isinstance(client.proxy.fault, InfrastructureError)
        # The slot is free again.
        assert (await client.chat()).status_code == 500
