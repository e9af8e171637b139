"""One call to a model endpoint: send it, pass the answer back, count what it used."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from firedrill import __version__
from firedrill.agents.base import Meter
from firedrill.agents.models.trouble import classify
from firedrill.agents.models.usage import CHARS_PER_TOKEN, read_usage
from firedrill.agents.proxy.ledger import Ledger
from firedrill.agents.proxy.reply import Head, Reply
from firedrill.agents.proxy.settings import ProxySettings
from firedrill.agents.proxy.stream import Assembler, EventSplitter, event_data
from firedrill.agents.proxy.transcript import Said, reply_said
from firedrill.agents.proxy.wire import Call, error_body
from firedrill.core.episode import Tokens
from firedrill.core.errors import FiredrillError, InfrastructureError, InputError

_ACCOUNT = ("key", "quota", "model")
_RETURNED = ("retry-after", "retry-after-ms", "x-should-retry")
_JSON = {"content-type": "application/json"}
_STREAM = {"content-type": "text/event-stream", "cache-control": "no-cache"}


@dataclass
class Upstairs:
    """What the calls of one episode share, and what they found out about the endpoint."""

    client: httpx.AsyncClient
    settings: ProxySettings
    meter: Meter
    ledger: Ledger
    fault: FiredrillError | None = None
    """Why the last call failed, when that was not the program's doing."""
    halt: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with a fault that no further call can mend; no program can work on then."""
    estimated: int = 0
    """Calls whose tokens had to be estimated because the endpoint never told."""


class _FailedError(Exception):
    """The endpoint gave no answer that counts; ``head`` is what the program gets to read of it."""

    def __init__(self, head: Head, text: str, fault: FiredrillError | None, *, halt: bool = False) -> None:
        self.head = head
        self.fault = fault
        self.halt = halt
        super().__init__(text)


class Exchange:
    """One call. ``number`` is its place in the ledger, None for a call that is not counted."""

    def __init__(
        self, shared: Upstairs, call: Call, reply: Reply, number: int | None, headers: Mapping[str, str]
    ) -> None:
        self._shared = shared
        self._call = call
        self._reply = reply
        self._number = number
        self._headers = headers
        self._started = shared.meter.clock()
        self._assembler = Assembler(call.protocol)
        self._accepted = False
        self._held: bytes | None = None
        self._counted = number is None
        self._written = False
        self._tokens = Tokens()

    async def run(self) -> None:
        """Make the call.

        Ends only when the endpoint has, so that a program cannot read an answer and leave before its
        usage is told. When cancelled, what came so far is counted by estimate.
        """
        try:
            await self._send()
        except _FailedError as failure:
            await self._fail(failure)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            await self._fail(self._failure(502, "no_answer", f"no answer ({type(error).__name__})"))
        except asyncio.CancelledError:
            self._reply.start(self._error(403, "episode_over", "the episode is over"))
            self._count(self._assembler.answer(), "the episode ended before the answer did")
            raise

    async def _send(self) -> None:
        call = self._call
        url = call.upstream.url(call.protocol, counting=self._number is None)
        async with self._shared.client.stream(
            "POST", url, content=call.body, headers=self._sent_headers()
        ) as response:
            if response.status_code != 200:
                raise await self._refusal(response)
            self._accepted = True
            if call.stream and response.headers.get("content-type", "").startswith("text/event-stream"):
                await self._stream(response)
            else:
                await self._whole(response)

    def _sent_headers(self) -> dict[str, str]:
        passed = {
            name: value for name, value in self._headers.items() if len(value) < 1024 and value.isascii()
        }
        return {
            **self._call.upstream.defaults(),
            **passed,
            "content-type": "application/json",
            "accept": "text/event-stream" if self._call.stream else "application/json",
            "accept-encoding": "identity",
            "user-agent": f"firedrill/{__version__}",
            **self._call.upstream.headers(),
        }

    async def _refusal(self, response: httpx.Response) -> _FailedError:
        """An answer that is no yes: what the program gets to read, and whose fault it is."""
        status, endpoint = response.status_code, self._call.upstream.endpoint
        if not 400 <= status < 600:
            return self._failure(502, "bad_answer", f"answered with status {status}")
        body = await self._read(response, self._shared.settings.bounds.error)
        trouble = classify(status, response.headers, body, endpoint.key)
        text = f"{endpoint.model}: {trouble.text}"
        if trouble.kind in _ACCOUNT:
            # The endpoint's words may name the key or the account, so they stay outside.
            mend = f"check {endpoint.key_variable or 'the account'} and the model's name"
            fault = InputError(f"{endpoint.public_url} refuses ({trouble.text})", field="model", mend=mend)
            shown = f"{endpoint.model}: the endpoint refuses the account or the model (status {status})"
            head = self._error(status, "endpoint_refuses", shown)
            return _FailedError(head, text, fault, halt=trouble.kind != "model")
        headers = {name: response.headers[name] for name in _RETURNED if name in response.headers}
        shown_body = body if _object(body) else self._error(status, "endpoint_error", text).body
        own = InfrastructureError(f"{endpoint.public_url}: {trouble.text}") if status >= 500 else None
        return _FailedError(Head(status, shown_body, {**_JSON, **headers}), text, own)

    async def _read(self, response: httpx.Response, bound: int) -> bytes:
        """An answer up to ``bound`` bytes and the piece that goes past it, without the key."""
        parts: list[bytes] = []
        size = 0
        async for part in response.aiter_bytes():
            parts.append(part)
            size += len(part)
            if size > bound:
                break
        return self._call.upstream.redact(b"".join(parts))

    async def _whole(self, response: httpx.Response) -> None:
        body = await self._read(response, self._shared.settings.bounds.answer)
        self._assembler.size = len(body)
        self._bound(len(body))
        answer = _object(body)
        if answer is None:
            raise self._failure(502, "bad_answer", "the answer is not JSON")
        await self._settle(answer)
        self._reply.start(Head(200, body, _JSON))

    async def _stream(self, response: httpx.Response) -> None:
        self._reply.start(Head(200, None, _STREAM))
        splitter = EventSplitter()
        size = 0
        async for part in response.aiter_bytes():
            size += len(part)
            self._bound(size)
            for event in splitter.feed(part):
                await self._event(event)
        if rest := splitter.rest():
            await self._event(rest)
        await self._settle(self._assembler.answer())
        await self._hold(None)
        await self._reply.put(None)

    async def _event(self, event: bytes) -> None:
        event = self._call.upstream.redact(event)
        data = event_data(event)
        only_usage = self._assembler.feed(data) if data is not None else False
        if not only_usage or self._call.usage_wanted:
            await self._hold(event)

    async def _hold(self, event: bytes | None) -> None:
        """Pass on an event; on a living world the one before it: the last waits for its tokens' time."""
        held = event
        if self._shared.meter.think is not None:
            held, self._held = self._held, event
        if held is not None:
            await self._reply.put(held)

    async def _fail(self, failure: _FailedError) -> None:
        if self._number is not None:
            self._blame(failure.fault, halt=failure.halt)
        self._reply.start(failure.head)
        if self._accepted:
            self._count(self._assembler.answer(), str(failure))
        elif self._number is not None:
            # Nothing was said, so it was no turn: the program may try again.
            self._shared.meter.turns = max(0, self._shared.meter.turns - 1)
            self._shared.ledger.close(self._number, notice=f"no answer: {failure}")
        await self._reply.cut()

    async def _settle(self, answer: Mapping[str, Any]) -> None:
        """Count a whole answer, let the time pass that it takes, and write it down with the moment."""
        meter = self._shared.meter
        self._spend(answer)
        await meter.settle()
        moment = {} if meter.moment is None else {"at_ms": await meter.moment()}
        self._write(answer, moment=moment)

    def _count(self, answer: Mapping[str, Any], why: str = "") -> None:
        """Add the call to the meter and the ledger, once; ``why`` it is not whole."""
        self._spend(answer, why)
        self._write(answer, why)

    def _spend(self, answer: Mapping[str, Any], why: str = "") -> None:
        """Add the call to the meter, once.

        Without usage from the endpoint, a token is taken to be four bytes of the request or four
        characters of the answer.
        """
        if self._counted or self._number is None:
            return
        self._counted = True
        shared, call = self._shared, self._call
        reading = read_usage(call.protocol, answer)
        tokens = reading.tokens
        cost = shared.settings.prices.cost_of(call.upstream.label, reading)
        if why or not reading.reported:
            shared.estimated += 1
            written = math.ceil(self._assembler.size / CHARS_PER_TOKEN)
            tokens = Tokens(
                input=tokens.input or math.ceil(len(call.body) / CHARS_PER_TOKEN),
                output=max(tokens.output, written),
                cached=tokens.cached,
                reasoning=tokens.reasoning,
            )
            cost = shared.settings.prices.cost(call.upstream.label, tokens, reading.cache_write)
        shared.meter.spend(tokens, cost, shared.meter.clock() - self._started)
        if not why:
            self._blame(None)
        if cost is None and shared.meter.limits.cost:
            problem = f"a cost cap needs a price, and nothing says what {call.upstream.label} costs"
            mend = "add the model to a price file (--prices), or leave out the cap"
            self._blame(InputError(problem, field="cost", mend=mend), halt=True)
        self._tokens = tokens

    def _write(
        self, answer: Mapping[str, Any], why: str = "", moment: Mapping[str, int] | None = None
    ) -> None:
        """Add the call to the ledger, once."""
        if self._written or self._number is None:
            return
        self._written = True
        said = reply_said(self._call.protocol, answer) or [Said("message", "assistant")]
        self._shared.meter.tool_calls += sum(len(each.calls) for each in said)
        usage = self._tokens.model_dump(exclude_defaults=True)
        label = self._call.upstream.label
        self._shared.ledger.close(self._number, said, notice=why, model=label, usage=usage, **(moment or {}))

    def _blame(self, fault: FiredrillError | None, *, halt: bool = False) -> None:
        if not self._shared.halt.is_set():
            self._shared.fault = fault
        if halt:
            self._shared.halt.set()

    def _bound(self, size: int) -> None:
        if size > self._shared.settings.bounds.answer:
            raise self._failure(502, "too_large", "the answer is too large")

    def _failure(self, status: int, code: str, text: str) -> _FailedError:
        endpoint = self._call.upstream.endpoint
        shown = f"{endpoint.model}: {text}"
        fault = InfrastructureError(f"{endpoint.public_url}: {text}")
        return _FailedError(self._error(status, code, shown), shown, fault)

    def _error(self, status: int, code: str, text: str) -> Head:
        body = json.dumps(error_body(self._call.protocol, status, code, text)).encode()
        return Head(status, body, _JSON)


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
