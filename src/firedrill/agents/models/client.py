"""Asking an endpoint: a connection per episode, bounded answers, retries with backoff."""

from __future__ import annotations

import asyncio
import json
import math
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from firedrill.agents.base import Meter, ReceiptSink
from firedrill.agents.models.endpoint import Endpoint
from firedrill.agents.models.neutral import Reply
from firedrill.agents.models.prices import PriceTable
from firedrill.agents.models.trouble import Trouble, classify, error_inside
from firedrill.agents.models.usage import CHARS_PER_TOKEN, Reading
from firedrill.agents.models.wire import BadReply, Wire
from firedrill.core.episode import Tokens
from firedrill.core.errors import InfrastructureError, InputError
from firedrill.core.outcome import Outcome

if TYPE_CHECKING:
    import httpx

ANSWER_LIMIT = 32_000_000
"""Bytes of an answer that are read at most."""


class ContextOverflow(Exception):
    """The conversation is longer than the context window; ``window`` is what the endpoint says it is."""

    def __init__(self, text: str, window: int | None = None) -> None:
        self.window = window
        super().__init__(text)


class Refused(Exception):
    """The endpoint does not take this request, and would not take it again."""


@dataclass(frozen=True)
class Retry:
    """Exponential backoff: ``base * 2**n`` seconds, at most ``most``, less a seeded jitter of a half."""

    attempts: int = 8
    base: float = 1.0
    most: float = 60.0
    most_asked: float = 120.0
    """How long a ``Retry-After`` is honoured at most."""
    timeout: float = 600.0
    """Seconds without a byte from the endpoint."""

    def delay(self, attempt: int, salt: str, asked: float | None) -> float:
        """Seconds before attempt ``attempt`` (from 1)."""
        # A seed, not a secret: the same episode waits alike each time.
        jitter = random.Random(f"{salt}:{attempt}").random()  # noqa: S311
        wait: float = min(self.most, self.base * 2.0 ** (attempt - 1)) * (0.5 + jitter / 2)
        return wait if asked is None else max(min(asked, self.most_asked), wait if asked == 0 else 0.0)


@dataclass(frozen=True)
class ModelClient:
    """Asks one endpoint. Holds no state: any number of episodes may use it, each in a session of its own.

    An episode asks one thing at a time, so a session is one connection. A pool for all episodes would
    look through every connection at every request: measured at fifty episodes, half of what a turn costs.
    """

    endpoint: Endpoint
    prices: PriceTable
    retry: Retry = field(default_factory=Retry)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Open a connection, which is made with the first request and closed at the end."""
        pool = _open(self.endpoint.base_url, self.retry.timeout)
        try:
            yield Session(self, pool)
        finally:
            await pool.aclose()


@dataclass(frozen=True)
class Session:
    """The connection of one episode."""

    client: ModelClient
    pool: httpx.AsyncClient = field(repr=False)

    async def ask(
        self, wire: Wire, body: bytes, *, meter: Meter, receipt: ReceiptSink, salt: str, proven: bool = True
    ) -> Reply:
        """One model call, counted on ``meter``, tried again while the endpoint is at fault.

        ``salt`` seeds the jitter. ``proven`` says that this endpoint has already taken a request of
        this form: then a refusal is about what the conversation holds.

        Raises:
            ContextOverflow: when the conversation is too long.
            Refused: when the endpoint does not take the conversation.
            InputError: when the key, the model's name, the account or a setting is wrong.
            InfrastructureError: when the endpoint was still at fault after all retries.
            LimitReached: when the time or cost cap is hit.
        """
        endpoint, retry = self.client.endpoint, self.client.retry
        for attempt in range(1, retry.attempts + 1):
            meter.check()
            started = time.perf_counter()
            answer = await self._once(wire, body, meter)
            seconds = time.perf_counter() - started
            if isinstance(answer, Reply):
                self._spend(answer, meter, seconds)
                if answer.stop == "overflow" and not answer.calls:
                    raise ContextOverflow("the answer reached the end of the context window")
                return answer
            meter.model_seconds += seconds
            _give_up(endpoint, answer, proven)
            receipt.append("retry", reason=answer.text, attempt=attempt)
            if attempt < retry.attempts:
                await self._wait(attempt, salt, answer, meter)
        raise InfrastructureError(f"{endpoint.public_url} kept failing: {answer.text}")

    async def _once(self, wire: Wire, body: bytes, meter: Meter) -> Reply | Trouble:
        import httpx

        left = meter.seconds_left
        try:
            async with asyncio.timeout(left):
                status, headers, raw = await self._post(wire, body)
        except TimeoutError:
            meter.check()
            raise meter.cap(Outcome.TIME_LIMIT, "the time cap, waiting for the model") from None
        except httpx.TimeoutException:
            return Trouble("retry", "no answer in time")
        except httpx.InvalidURL:
            return Trouble("model", "the base URL cannot be used")
        except (httpx.TransportError, httpx.DecodingError) as error:
            return Trouble("retry", f"the connection failed ({type(error).__name__})")
        key = self.client.endpoint.key
        if len(raw) > ANSWER_LIMIT:
            return Trouble("retry", "an answer of more than 32 MB")
        if key and key.encode() in raw:
            raw = raw.replace(key.encode(), b"[key]")
        if status != 200:
            return classify(status if status >= 400 else 404, headers, raw, key)
        try:
            decoded = json.loads(raw)
        except (ValueError, RecursionError):
            return Trouble("retry", "an answer that is not JSON")
        if not isinstance(decoded, dict):
            return Trouble("retry", "an answer that is not an object")
        if inside := error_inside(decoded, headers, key):
            return inside
        try:
            reply = wire.parse(decoded)
        except BadReply as error:
            return Trouble("retry", str(error))
        return reply if reply.reading.reported else replace(reply, reading=estimated(body, reply))

    async def _post(self, wire: Wire, body: bytes) -> tuple[int, dict[str, str], bytes]:
        endpoint = self.client.endpoint
        headers = {"content-type": "application/json", **wire.headers(endpoint.key)}
        url = endpoint.base_url + wire.path
        async with self.pool.stream("POST", url, content=body, headers=headers) as response:
            chunks: list[bytes] = []
            size = 0
            async for chunk in response.aiter_bytes():
                chunks.append(chunk)
                size += len(chunk)
                if size > ANSWER_LIMIT:
                    break
            names = ("retry-after", "retry-after-ms")
            kept = {name: response.headers[name] for name in names if name in response.headers}
            return response.status_code, kept, b"".join(chunks)

    def _spend(self, reply: Reply, meter: Meter, seconds: float) -> None:
        model = self.client.endpoint.model
        cost = self.client.prices.cost_of(model, reply.reading)
        if not reply.reading.reported:
            cost = self.client.prices.cost(model, reply.reading.tokens)
        if cost is None and meter.limits.cost:
            raise InputError(
                f"a cost cap needs a price, and nothing says what {model} costs",
                field="cost",
                mend="add the model to a price file (-o prices=FILE), or leave out the cap",
            )
        meter.spend(reply.reading.tokens, cost, seconds)

    async def _wait(self, attempt: int, salt: str, trouble: Trouble, meter: Meter) -> None:
        delay = self.client.retry.delay(attempt, salt, trouble.after)
        left = meter.seconds_left
        if left is not None and delay >= left:
            where = self.client.endpoint.public_url
            raise InfrastructureError(f"{where} kept failing until the time cap: {trouble.text}")
        await self.client.sleep(delay)


def estimated(body: bytes, reply: Reply) -> Reading:
    """What a call took whose endpoint does not say: a token for four bytes sent and four characters said."""
    written = len(reply.text) + len(reply.thinking) + sum(len(call.arguments) for call in reply.calls)
    tokens = Tokens(input=math.ceil(len(body) / CHARS_PER_TOKEN), output=math.ceil(written / CHARS_PER_TOKEN))
    return Reading(tokens)


def _give_up(endpoint: Endpoint, trouble: Trouble, proven: bool) -> None:
    """Raise for every trouble that another try cannot mend."""
    text = trouble.text
    if trouble.kind == "retry":
        return
    if trouble.kind == "overflow":
        raise ContextOverflow(text, trouble.window)
    where = endpoint.public_url
    if trouble.kind == "key":
        variable = endpoint.key_variable
        mend = f"check {variable}" if variable else "this endpoint wants a key"
        raise InputError(f"{where} does not let us in ({text})", field="model", mend=mend)
    if trouble.kind == "quota":
        raise InputError(f"{where} wants to be paid first ({text})", field="model", mend="top up the account")
    if trouble.kind == "model":
        raise InputError(
            f"{where} knows no {endpoint.name!r} ({text})",
            field="model",
            mend="check the model's name and the base URL",
        )
    if not proven:
        raise InputError(
            f"{where} refuses the request ({text})", field="model", mend="check the model's settings"
        )
    raise Refused(text)


def _open(base_url: str, timeout: float) -> httpx.AsyncClient:
    import httpx

    limits = httpx.Limits(max_connections=2, max_keepalive_connections=1, keepalive_expiry=60)
    return httpx.AsyncClient(
        limits=limits,
        timeout=httpx.Timeout(timeout, connect=10),
        verify=_context(secure=base_url.startswith("https:")),
    )


@lru_cache(maxsize=2)
def _context(*, secure: bool) -> ssl.SSLContext:
    """Certificates are loaded once, and only where they are looked at: it takes longer than a turn."""
    if not secure:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    import httpx

    return httpx.create_ssl_context()
