"""Retries, bounds and errors of the model client, against a server that misbehaves."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from firedrill.agents.base import Episode, LimitReached
from firedrill.agents.models import (
    WIRES,
    ContextOverflow,
    Conversation,
    ModelClient,
    Price,
    PriceTable,
    Rate,
    Refused,
    Reply,
    Retry,
    WireSpec,
    resolve,
)
from firedrill.agents.models import client as client_module
from firedrill.agents.scripted import Cut, Fail, Raw, Say, Script, ScriptedServer, Slow
from firedrill.agents.scripted.policy import Step
from firedrill.core.errors import InfrastructureError, InputError
from firedrill.core.outcome import Outcome

MakeEpisode = Callable[..., Episode]
Serve = Callable[..., ScriptedServer]
Ask = Callable[..., Awaitable[tuple[Reply, "Asker"]]]
QUICK = Retry(attempts=3, base=0.001)


class Asker:
    """One client and one question."""

    def __init__(self, server: ScriptedServer, episode: Episode, **options: Any) -> None:
        environ = {"OPENAI_API_KEY": "canary-key-123"}
        endpoint = resolve("openai/gpt-x", base_url=server.base_url, environ=environ)
        self.waits: list[float] = []
        self.episode = episode
        self.wire = WIRES["chat"](WireSpec("gpt-x", "Be brief."))
        self.talk = Conversation(self.wire)
        self.talk.user("Find it.")
        prices = options.pop("prices", PriceTable())
        self.client = ModelClient(endpoint, prices, options.pop("retry", QUICK), self.sleep)
        self.options = options

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    async def ask(self) -> Reply:
        async with self.client.session() as session:
            return await session.ask(
                self.wire,
                self.talk.body(),
                meter=self.episode.meter,
                receipt=self.episode.receipt,
                salt="1:0",
                **self.options,
            )


@pytest.fixture
def ask(make_episode: MakeEpisode, serve: Serve) -> Ask:
    """Asks once, against a server that takes these steps."""

    async def ask(
        *steps: Step, context_tokens: int | None = None, episode: Episode | None = None, **options: Any
    ) -> tuple[Reply, Asker]:
        server = serve(steps, context_tokens=context_tokens)
        asker = Asker(server, episode or make_episode(), **options)
        return await asker.ask(), asker

    return ask


def retries(asker: Asker) -> list[str]:
    lines: Any = asker.episode.receipt
    return [line["reason"] for line in lines.of("retry")]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fail(429, "slow down"), "429: slow down"),
        (Fail(500), "500: the endpoint is in trouble"),
        (Fail(529, "Overloaded"), "529: Overloaded"),
        (Cut(), "the connection failed (RemoteProtocolError)"),
        (Raw(b"{"), "an answer that is not JSON"),
        (Raw(b"[]"), "an answer that is not an object"),
        (Raw(b"[" * 200_000), "an answer that is not JSON"),
        (Raw(b"{}"), "an answer without choices"),
        (Raw(b'{"error": {"code": 502, "message": "upstream"}}'), "502: upstream"),
        (Raw(b"", 502), "502"),
    ],
)
async def test_the_endpoints_fault_is_tried_again(fault: Step, reason: str, ask: Ask) -> None:
    reply, asker = await ask(fault, Say("ok"))
    assert reply.text == "ok"
    assert retries(asker) == [reason]
    assert len(asker.waits) == 1
    assert asker.episode.meter.model_calls == 1


async def test_after_all_retries_it_is_infrastructure(ask: Ask) -> None:
    with pytest.raises(InfrastructureError, match="kept failing: 503: down"):
        await ask(Fail(503, "down", times=3), Say("never"))


async def test_nobody_there_is_infrastructure(make_episode: MakeEpisode) -> None:
    async with ScriptedServer(Script([])) as server:
        asker = Asker(server, make_episode())
    with pytest.raises(InfrastructureError, match="ConnectError"):
        await asker.ask()
    assert asker.waits == [
        pytest.approx(wait) for wait in (QUICK.delay(1, "1:0", None), QUICK.delay(2, "1:0", None))
    ]


async def test_waits_grow_and_are_the_same_each_time() -> None:
    retry = Retry(base=1, most=10)
    waits = [retry.delay(attempt, "seed", None) for attempt in range(1, 7)]
    assert waits == [retry.delay(attempt, "seed", None) for attempt in range(1, 7)]
    assert waits != [retry.delay(attempt, "other", None) for attempt in range(1, 7)]
    for wait, full in zip(waits, (1, 2, 4, 8, 10, 10), strict=True):
        assert full / 2 <= wait <= full


async def test_retry_after_is_honoured_and_capped(ask: Ask) -> None:
    faults = [Fail(429, headers={"retry-after": "7"}), Fail(429, headers={"retry-after": "86400"})]
    _, asker = await ask(*faults, Say("ok"))
    assert asker.waits == [7.0, 120.0]


async def test_retry_after_nothing_still_backs_off(ask: Ask) -> None:
    _, asker = await ask(Fail(429, headers={"retry-after": "0"}), Say("ok"))
    assert 0 < asker.waits[0] <= QUICK.base


async def test_waiting_never_outlasts_the_time_cap(make_episode: MakeEpisode, ask: Ask) -> None:
    fault = Fail(429, headers={"retry-after": "100"})
    with pytest.raises(InfrastructureError, match="until the time cap"):
        await ask(fault, Say("ok"), episode=make_episode(minutes=1))


async def test_a_slow_model_hits_the_time_cap(make_episode: MakeEpisode, ask: Ask) -> None:
    episode = make_episode(minutes=0.005)
    with pytest.raises(LimitReached) as caught:
        await ask(Slow(1), Say("late"), episode=episode)
    assert caught.value.outcome is Outcome.TIME_LIMIT
    assert episode.meter.reached is caught.value


async def test_no_byte_in_time_is_tried_again(ask: Ask) -> None:
    reply, asker = await ask(Slow(2), Say("ok"), retry=replace(QUICK, timeout=1.0))
    assert reply.text == "ok"
    assert retries(asker) == ["no answer in time"]


async def test_answers_are_bounded(monkeypatch: pytest.MonkeyPatch, ask: Ask) -> None:
    monkeypatch.setattr(client_module, "ANSWER_LIMIT", 10_000)
    reply, asker = await ask(Raw(b" " * 1_000_000 + b"{}"), Say("ok"))
    assert reply.text == "ok"
    assert retries(asker) == ["an answer of more than 32 MB"]


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (Fail(401, "Incorrect API key provided: canary-key-123"), "check OPENAI_API_KEY"),
        (Fail(403, "no"), "check OPENAI_API_KEY"),
        (Fail(404, "no such model"), "knows no 'gpt-x'"),
        (Fail(402, "pay"), "top up the account"),
        (Fail(429, "You exceeded your current quota", "insufficient_quota"), "top up the account"),
        (Raw(b"moved", 301), "check the model's name and the base URL"),
    ],
)
async def test_what_no_retry_mends_stops_the_run(fault: Step, problem: str, ask: Ask) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        await ask(fault, Say("never"))
    assert "canary" not in str(caught.value)


async def test_a_refused_request_is_a_setting_at_first_and_the_conversation_later(ask: Ask) -> None:
    fault = Fail(400, "Unsupported parameter: 'temperature'")
    with pytest.raises(InputError, match="check the model's settings"):
        await ask(fault, Say("never"), proven=False)
    with pytest.raises(Refused, match="Unsupported parameter"):
        await ask(fault, Say("never"), proven=True)


async def test_overflow_by_status_and_by_stop_reason(
    make_episode: MakeEpisode, ask: Ask, serve: Serve
) -> None:
    with pytest.raises(ContextOverflow) as caught:
        await ask(Say("never"), context_tokens=5)
    assert caught.value.window is None or caught.value.window == 5
    server = serve([Say("", stop="model_context_window_exceeded")])
    asker = Asker(server, make_episode())
    endpoint = resolve("anthropic/c", base_url=server.base_url, environ={})
    asker.client = replace(asker.client, endpoint=endpoint)
    asker.wire = WIRES["anthropic"](WireSpec("c", "Be brief."))
    asker.talk = Conversation(asker.wire)
    asker.talk.user("Find it.")
    with pytest.raises(ContextOverflow, match="end of the context window"):
        await asker.ask()


async def test_cost_is_counted_and_a_cap_needs_a_price(make_episode: MakeEpisode, ask: Ask) -> None:
    prices = PriceTable({"openai/gpt-x": Price(Rate(1_000_000, 0))})
    usage = {"prompt_tokens": 2, "completion_tokens": 1}
    _, asker = await ask(Say("ok", usage=usage), prices=prices)
    assert asker.episode.meter.cost == 2.0
    _, asker = await ask(Say("ok", usage={**usage, "cost": 0.5}), prices=prices)
    assert asker.episode.meter.cost == 0.5
    _, asker = await ask(Say("ok", usage=usage))
    assert asker.episode.meter.cost is None
    with pytest.raises(InputError, match="a cost cap needs a price"):
        await ask(Say("ok", usage=usage), episode=make_episode(cost=1.0))


async def test_caps_stop_before_the_next_call(make_episode: MakeEpisode, ask: Ask) -> None:
    episode = make_episode(cost=1.0)
    episode.meter.cost = 1.5
    with pytest.raises(LimitReached) as caught:
        await ask(Say("never"), episode=episode)
    assert caught.value.outcome is Outcome.COST_LIMIT
    assert episode.meter.model_calls == 0


async def test_the_key_goes_to_the_endpoint_and_nowhere_else(make_episode: MakeEpisode, serve: Serve) -> None:
    echo = json.dumps({"choices": [{"message": {"content": "your key is canary-key-123"}}]}).encode()
    server = serve([Raw(echo)], keys=frozenset({"canary-key-123"}))
    asker = Asker(server, make_episode())
    reply = await asker.ask()
    assert server.seen[0].headers["authorization"] == "Bearer canary-key-123"
    assert reply.text == "your key is [key]"
    assert b"canary" not in reply.echo[0]
    assert "canary" not in repr(asker.client)


async def test_many_episodes_ask_at_once(make_episode: MakeEpisode, serve: Serve) -> None:
    asker = Asker(serve([Slow(0.05), Say("ok")]), make_episode())
    replies = await asyncio.gather(*(asker.ask() for _ in range(8)))
    assert [reply.text for reply in replies] == ["ok"] * 8


def test_secure_endpoints_get_a_checked_connection() -> None:
    secure = client_module._context(secure=True)
    assert secure.verify_mode is ssl.CERT_REQUIRED
    assert secure.check_hostname
    assert secure.cert_store_stats()["x509_ca"] > 10
