"""The loop against a model that misbehaves in every way that models do."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from firedrill.agents.base import AgentError, AgentResult, Episode, LimitReached
from firedrill.agents.models import PROTOCOLS, Protocol, Retry
from firedrill.agents.react import ReactAgent, create
from firedrill.agents.scripted import (
    Call,
    Cut,
    Fail,
    Raw,
    Say,
    Script,
    ScriptedServer,
    Slow,
    finish,
    shell,
)
from firedrill.agents.scripted.policy import Policy, Step, Turn
from firedrill.core.errors import InfrastructureError, InputError
from firedrill.core.outcome import Outcome
from firedrill.sandbox.base import CommandResult

MakeEpisode = Callable[..., Episode]
Serve = Callable[..., ScriptedServer]
Play = Callable[..., Awaitable[AgentResult]]
ANSWER = '{"contributing_factors": [{"name": "a/Deployment/b"}]}'
WRITE = shell(f"echo '{ANSWER}' > /home/user/agent_output.json")
QUICK = Retry(attempts=3, base=0.001)


def agent_for(server: ScriptedServer, **options: Any) -> ReactAgent:
    given = {"model": "scripted/x", "base_url": server.base_url, "context_window": 100_000}
    return create({**given, **options}, retry=QUICK)


@pytest.fixture
def play(serve: Serve) -> Play:
    """Plays an episode against a policy, or the steps of a script."""

    async def play(
        episode: Episode,
        policy: Policy | list[Step],
        *,
        context_tokens: int | None = None,
        **options: Any,
    ) -> AgentResult:
        return await agent_for(serve(policy, context_tokens=context_tokens), **options).solve(episode)

    return play


def lines(episode: Episode, kind: str) -> list[dict[str, Any]]:
    receipt: Any = episode.receipt
    found: list[dict[str, Any]] = receipt.of(kind)
    return found


def said(episode: Episode) -> str:
    receipt: Any = episode.receipt
    text: bytes = receipt.bytes()
    return text.decode()


def refusals(episode: Episode) -> list[str]:
    return [line["content"] for line in lines(episode, "tool_result") if line.get("refused")]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_episode_in_every_protocol(
    make_episode: MakeEpisode, protocol: Protocol, play: Play
) -> None:
    episode = make_episode(files={"alerts/a.json": "[]"})
    steps: list[Step] = [
        Say("I look.", (shell("ls alerts"), shell("echo out; echo err >&2; exit 3")), thinking="hm"),
        Say("", (WRITE,)),
        Say("", (finish("it is b"),)),
    ]
    result = await play(episode, steps, protocol=protocol, reasoning_effort="low")
    assert result.outcome is Outcome.SUBMITTED
    assert result.submission is not None
    assert json.loads(result.submission) == json.loads(ANSWER)
    assert result.reason == "it is b"
    assert [line["kind"] for line in episode.receipt.lines] == [  # type: ignore[attr-defined]
        *("task", "message", "tool_call", "tool_call", "tool_result", "tool_result"),
        *("message", "tool_call", "tool_result", "message", "tool_call", "tool_result"),
    ]
    first = lines(episode, "message")[0]
    assert (first["content"], first["thinking"], first["stop"]) == ("I look.", "hm", "calls")
    results = lines(episode, "tool_result")
    assert results[0]["stdout"] == "a.json\n"
    assert (results[1]["stdout"], results[1]["stderr"], results[1]["exit_code"]) == ("out\n", "err\n", 3)
    usage = episode.meter.usage()
    assert (usage.turns, usage.model_calls, usage.tool_calls) == (3, 3, 4)
    assert usage.tokens.input > usage.tokens.output > 0
    assert result.notes["model_served"] == ["x"]


async def test_the_task_names_files_caps_and_answer_but_no_scenario(
    make_episode: MakeEpisode, play: Play
) -> None:
    episode = make_episode(files={"alerts/a.json": "[]", "k8s_events_raw.tsv": ""}, turns=37)
    await play(episode, [Say("", (WRITE, finish()))])
    (task,) = lines(episode, "task")
    for part in ("- `alerts`", "- `k8s_events_raw.tsv`", "37 turns", "/home/user/agent_output.json"):
        assert part in task["text"]
    assert "$" not in task["text"]


async def test_calls_of_one_message_run_at_the_same_time_and_stay_in_order(
    make_episode: MakeEpisode, play: Play
) -> None:
    episode = make_episode()
    slow_first = (shell("sleep 0.3; echo one"), shell("sleep 0.1; echo two"), shell("echo three"))
    await play(episode, [Say("", slow_first), Say("", (WRITE, finish()))])
    assert [line["stdout"] for line in lines(episode, "tool_result")[:3]] == ["one\n", "two\n", "three\n"]
    assert episode.workspace.most_running == 3  # type: ignore[attr-defined]


async def test_others_run_before_finish_wherever_it_stands(make_episode: MakeEpisode, play: Play) -> None:
    episode = make_episode()
    result = await play(episode, [Say("", (finish("first"), WRITE))])
    assert result.outcome is Outcome.SUBMITTED
    assert [line["id"] for line in lines(episode, "tool_result")] == ["call_1_1", "call_1_2"]


async def test_more_than_one_finish_is_refused(make_episode: MakeEpisode, play: Play) -> None:
    episode = make_episode()
    steps: list[Step] = [Say("", (WRITE, finish("a"), finish("b"))), Say("", (finish("c"),))]
    result = await play(episode, steps)
    assert result.reason == "c"
    assert refusals(episode) == ["Call finish once in a message. Nothing was handed in."] * 2


@pytest.mark.parametrize(
    ("before", "call", "problem"),
    [
        ("true", finish(), "agent_output.json does not exist or is not a regular file"),
        ("echo x > other", finish(paths=["other"]), "must include /home/user/agent_output.json"),
        (
            f"echo '{ANSWER}' > agent_output.json",
            finish(paths=["agent_output.json", "no"]),
            "/home/user/no does not",
        ),
        (
            "echo x > agent_output.json",
            finish(paths=["agent_output.json", "/etc/passwd"]),
            "is not below /home/user",
        ),
        ("echo x > agent_output.json", finish(paths=["agent_output.json", "../../x"]), "/x is not below"),
        ("mkdir agent_output.json", finish(), "is not a regular file"),
        ("ln -s /etc/passwd agent_output.json", finish(), "is not a regular file"),
        ("printf '\\xff\\xfe' > agent_output.json", finish(), "is not UTF-8 text (byte 0)"),
        ("printf ' \\n' > agent_output.json", finish(), "is empty"),
        ("head -c 1000001 /dev/zero > agent_output.json", finish(), "is larger than 1000000 bytes"),
    ],
)
async def test_finish_without_a_good_answer_is_refused_and_the_turn_counts(
    make_episode: MakeEpisode, before: str, call: Call, problem: str, play: Play
) -> None:
    episode = make_episode()
    clean_up = shell(f"rm -rf agent_output.json; echo '{ANSWER}' > agent_output.json")
    result = await play(episode, [Say("", (shell(before),)), Say("", (call,)), Say("", (clean_up, finish()))])
    assert result.outcome is Outcome.SUBMITTED
    (refusal,) = refusals(episode)
    assert problem in refusal
    assert refusal.endswith("Nothing was handed in.")
    assert episode.meter.turns == 3


@pytest.mark.parametrize("path", ["agent_output.json", "./agent_output.json", "~/agent_output.json"])
async def test_finish_takes_relative_paths(make_episode: MakeEpisode, path: str, play: Play) -> None:
    result = await play(make_episode(), [Say("", (WRITE, finish(paths=[path])))])
    assert result.outcome is Outcome.SUBMITTED


async def test_the_answer_is_the_file_at_the_time_of_finish(make_episode: MakeEpisode, play: Play) -> None:
    later = shell("echo '{\"contributing_factors\": []}' > agent_output.json")
    result = await play(make_episode(), [Say("", (WRITE,)), Say("", (later, finish()))])
    assert result.submission == '{"contributing_factors": []}\n'


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_malformed_calls_are_refused_with_a_useful_message(
    make_episode: MakeEpisode, protocol: Protocol, play: Play
) -> None:
    episode = make_episode()
    bad = (
        Call("run_shell", '{"command": "ls'),
        Call("functions.search", "{}"),
        Call("run_shell", "[]"),
        Call("run_shell", "{}"),
        Call("run_shell", '{"command": 5}'),
        Call("run_shell", '{"command": "  "}'),
        Call("run_shell", '{"command": "ls", "timeout": "60"}'),
        Call("finish", '{"reason": "x"}'),
        shell("echo fine"),
    )
    await play(episode, [Say("", bad), Say("", (WRITE, finish()))], protocol=protocol)
    told = "\n".join(refusals(episode))
    assert len(refusals(episode)) == 8
    for part in (
        "There is no tool 'functions.search'. The tools are run_shell and finish.",
        "`command` of run_shell is missing",
        "`command` of run_shell must be a string, not a number",
        "`command` of run_shell is empty",
        "`timeout` of run_shell must be a number of seconds, not a string",
        "`paths` of finish is missing",
    ):
        assert part in told
    assert episode.workspace.commands[0] == "echo fine"  # type: ignore[attr-defined]
    assert lines(episode, "tool_call")[0]["arguments"] in ('{"command": "ls', '"{\\"command\\": \\"ls"')


async def test_words_alone_get_a_nudge_and_cost_a_turn(make_episode: MakeEpisode, play: Play) -> None:
    episode = make_episode()
    steps: list[Step] = [
        Say("I think..."),
        Say(""),
        Say("too long", stop="length"),
        Say("", (WRITE, finish())),
    ]
    await play(episode, steps)
    notices = [line["text"] for line in lines(episode, "notice")]
    assert ["called no tool" in notice for notice in notices] == [True, True, False]
    assert "cut off at the output limit" in notices[2]
    assert episode.meter.turns == 4


async def test_turns_left_are_told_in_the_last_twenty(make_episode: MakeEpisode, play: Play) -> None:
    episode = make_episode(turns=23)
    with pytest.raises(LimitReached) as caught:
        await play(episode, [Say("", (shell("true"),))])
    assert caught.value.outcome is Outcome.TURN_LIMIT
    notices = [line["text"] for line in lines(episode, "notice")]
    assert [int(notice.split()[2].strip(".")) for notice in notices] == list(range(20, 0, -1))
    assert episode.meter.turns == 23
    assert len(lines(episode, "message")) == 23


async def test_the_notice_reaches_the_model_with_the_output(make_episode: MakeEpisode, serve: Serve) -> None:
    script = Script([Say("", (shell("echo hi"),)), Say("", (WRITE, finish()))])
    server = serve(script)
    await agent_for(server).solve(make_episode(turns=5))
    sent = json.loads(server.seen[-1].body)["messages"][-1]
    assert sent["role"] == "tool"
    assert sent["content"].startswith("hi\n[exit code 0]\n\n[Turns left: 4.")


async def test_an_endless_model_ends_at_the_cap_with_nothing_handed_in(
    make_episode: MakeEpisode, play: Play
) -> None:
    episode = make_episode(turns=5)
    with pytest.raises(LimitReached):
        await play(episode, [Say("", (WRITE,)), Say("thinking")])
    assert not lines(episode, "submission")


async def test_finish_on_the_last_turn_counts(make_episode: MakeEpisode, play: Play) -> None:
    result = await play(make_episode(turns=2), [Say("", (WRITE,)), Say("", (finish(),))])
    assert result.outcome is Outcome.SUBMITTED


async def test_time_cap_in_a_command(make_episode: MakeEpisode, play: Play) -> None:
    episode = make_episode(minutes=0.02)
    with pytest.raises(LimitReached) as caught:
        await play(episode, [Say("", (shell("sleep 30"),))])
    assert caught.value.outcome is Outcome.TIME_LIMIT
    assert lines(episode, "tool_result")[0]["timed_out"]


async def test_cost_cap(make_episode: MakeEpisode, play: Play) -> None:
    episode = make_episode(cost=1.0)
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.4}
    with pytest.raises(LimitReached) as caught:
        await play(episode, [Say("", (shell("true"),), usage=usage)])
    assert caught.value.outcome is Outcome.COST_LIMIT
    assert episode.meter.cost == pytest.approx(1.2)
    assert episode.meter.turns == 3


async def test_a_command_that_times_out_is_told(make_episode: MakeEpisode, play: Play) -> None:
    episode = make_episode()
    await play(episode, [Say("", (shell("sleep 5", timeout=0.1),)), Say("", (WRITE, finish()))])
    assert lines(episode, "tool_result")[0]["exit_code"] == 124


async def test_no_more_than_so_many_commands_at_once(make_episode: MakeEpisode, play: Play) -> None:
    episode = make_episode()
    many = tuple(shell(f"echo {number}") for number in range(20))
    await play(episode, [Say("", many), Say("", (WRITE, finish()))])
    assert len(episode.workspace.commands) == 17  # type: ignore[attr-defined]
    assert refusals(episode) == ["One message may run 16 commands. This one was not run."] * 4
    assert episode.workspace.most_running <= 8  # type: ignore[attr-defined]


async def test_a_sandbox_that_fails_is_infrastructure(make_episode: MakeEpisode, play: Play) -> None:
    episode = make_episode()

    async def fail(command: str, *, timeout: float | None = None, stdin: bytes = b"") -> CommandResult:
        raise InfrastructureError("no sandbox")

    episode.workspace.run = fail  # type: ignore[method-assign]
    with pytest.raises(InfrastructureError, match="no sandbox"):
        await play(episode, [Say("", (shell("a"), shell("b")))])


# The window


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_history_is_summarised_at_seventy_percent(
    make_episode: MakeEpisode, protocol: Protocol, serve: Serve
) -> None:
    episode = make_episode(turns=30)
    steps: list[Step] = [Say("", (shell("head -c 6000 /dev/zero | tr '\\0' x"),)) for _ in range(12)]
    script = Script([*steps, Say("", (WRITE, finish()))], notes="The cause is b.")
    server = serve(script)
    result = await agent_for(server, protocol=protocol, context_window=10_000).solve(episode)
    sizes = [len(seen.body) / 4 for seen in server.seen]
    assert result.outcome is Outcome.SUBMITTED
    summaries = lines(episode, "summary")
    assert len(summaries) == result.notes["summaries"] >= 2
    assert summaries[0]["text"].startswith("The cause is b.")
    assert max(sizes) < 10_000
    # Notes cost calls and tokens, but no turn.
    assert episode.meter.turns == 13
    assert episode.meter.model_calls == 13 + len(summaries)
    after = said(episode).count("The cause is b.")
    assert after >= len(summaries)


async def test_notes_stand_beside_the_task(make_episode: MakeEpisode, serve: Serve) -> None:
    steps: list[Step] = [Say("", (shell("head -c 6000 /dev/zero | tr '\\0' x"),)) for _ in range(5)]
    script = Script([*steps, Say("", (WRITE, finish()))], notes="The cause is b.")
    server = serve(script)
    await agent_for(server, context_window=10_000).solve(make_episode())
    bodies = [json.loads(seen.body)["messages"] for seen in server.seen]
    begun_again = next(body for body in bodies if "The cause is b." in body[1]["content"])
    assert "# What to hand in" in begun_again[1]["content"]
    assert len(begun_again) == 2


async def test_usage_that_nobody_reports_is_estimated(make_episode: MakeEpisode, play: Play) -> None:
    episode = make_episode(turns=30)
    output = shell("head -c 6000 /dev/zero | tr '\\0' x")
    steps: list[Step] = [Say("", (output,), usage={}) for _ in range(8)]
    result = await play(episode, [*steps, Say("", (WRITE, finish()), usage={})], context_window=10_000)
    assert result.notes["summaries"] >= 1
    estimated = result.notes["calls_with_estimated_usage"]
    assert estimated == episode.meter.model_calls - result.notes["summaries"]
    # the commands alone are longer
    assert episode.meter.tokens.output > estimated * len(output.arguments) / 5
    assert episode.meter.tokens.input > 10_000
    assert result.notes["cost"].startswith("unknown")


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_overflow_drops_the_newest_and_goes_on(
    make_episode: MakeEpisode, protocol: Protocol, play: Play
) -> None:
    """The window is smaller than the table says: the endpoint is believed."""
    episode = make_episode()
    big = shell("head -c 19000 /dev/zero | tr '\\0' x")

    class Policy:
        def reply(self, turn: Turn) -> Say:
            if turn.wordy:
                return Say("Notes.")
            if "Ask for less output" in turn.messages[0].text:
                return Say("", (WRITE, finish()))
            return Say("", (big, shell("echo small")) if turn.outputs else (shell("echo small"),))

    result = await play(episode, Policy(), context_tokens=4_000, protocol=protocol)
    assert result.outcome is Outcome.SUBMITTED
    assert [line["text"] for line in lines(episode, "notice")] == [
        "The latest messages did not fit the context window and were dropped. Ask for less output at a time."
    ]
    assert len(lines(episode, "summary")) == 1
    assert result.notes["context_window"]["tokens"] == (100_000 if protocol == "responses" else 4_000)


async def test_overflow_right_after_the_first_message(make_episode: MakeEpisode, play: Play) -> None:
    episode = make_episode()

    class Policy:
        def reply(self, turn: Turn) -> Say:
            if "Ask for less output" in turn.messages[0].text:
                return Say("", (WRITE, finish()))
            return Say("", (shell("head -c 19000 /dev/zero | tr '\\0' x"),))

    result = await play(episode, Policy(), context_tokens=4_000)
    assert result.outcome is Outcome.SUBMITTED
    assert result.notes["summaries"] == 0


async def test_a_window_smaller_than_the_task_is_an_error_of_the_agent(
    make_episode: MakeEpisode, play: Play
) -> None:
    with pytest.raises(AgentError, match="the task does not fit"):
        await play(make_episode(), [Say("never")], context_tokens=100)


async def test_overflow_without_end_is_an_error_of_the_agent(make_episode: MakeEpisode, play: Play) -> None:
    class Policy:
        """Overflows whatever is left, as an endpoint with a broken count would."""

        def reply(self, turn: Turn) -> Step:
            if turn.wordy:
                return Say("Notes.")
            full = Fail(400, "maximum context length exceeded", "context_length_exceeded")
            cut = "dropped" in turn.messages[0].text or "Notes." in turn.messages[0].text
            return full if cut or turn.number > 3 else Say("", (shell("true"),))

    with pytest.raises(AgentError, match="the task does not fit"):
        await play(make_episode(), Policy())


async def test_overflow_while_notes_are_taken(make_episode: MakeEpisode, play: Play) -> None:
    episode = make_episode(turns=30)

    class Policy:
        def reply(self, turn: Turn) -> Step:
            if turn.wordy:
                many = len(turn.outputs) > 2
                return Fail(400, "prompt is too long", "x", times=99) if many else Say("Few notes.")
            if "Few notes." in turn.messages[0].text:
                return Say("", (WRITE, finish()))
            return Say("", (shell("head -c 6000 /dev/zero | tr '\\0' x"),))

    result = await play(episode, Policy(), context_window=10_000)
    assert result.outcome is Outcome.SUBMITTED
    assert lines(episode, "summary")[0]["text"] == "Few notes."
    assert len(lines(episode, "notice")) >= 1


async def test_notes_without_a_word_are_said_to_be_missing(make_episode: MakeEpisode, play: Play) -> None:
    episode = make_episode(turns=30)

    class Policy:
        def reply(self, turn: Turn) -> Step:
            if "(no notes were taken)" in turn.messages[0].text:
                return Say("", (WRITE, finish()))
            return Say("", (shell("head -c 6000 /dev/zero | tr '\\0' x"),))

    await play(episode, Policy(), context_window=10_000)
    assert lines(episode, "summary")[0]["text"] == "(no notes were taken)"


# The endpoint


@pytest.mark.parametrize("fault", [Fail(429), Fail(500), Cut(), Raw(b"<html>"), Slow(0.05)])
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_faults_of_the_endpoint_cost_no_turn(
    make_episode: MakeEpisode, protocol: Protocol, fault: Step, play: Play
) -> None:
    episode = make_episode()
    result = await play(episode, [Say("", (WRITE,)), fault, Say("", (finish(),))], protocol=protocol)
    assert result.outcome is Outcome.SUBMITTED
    assert episode.meter.turns == 2
    assert len(lines(episode, "retry")) == (0 if isinstance(fault, Slow) else 1)


async def test_a_conversation_that_the_endpoint_refuses(make_episode: MakeEpisode, play: Play) -> None:
    with pytest.raises(AgentError, match="refused the conversation"):
        await play(make_episode(), [Say("", (shell("true"),)), Fail(400, "content policy"), Say("never")])


async def test_a_first_request_that_is_refused_is_a_setting(make_episode: MakeEpisode, play: Play) -> None:
    with pytest.raises(InputError, match="check the model's settings"):
        await play(make_episode(), [Fail(400, "Unsupported value: temperature"), Say("never")])


async def test_a_dead_endpoint_is_infrastructure(make_episode: MakeEpisode, play: Play) -> None:
    with pytest.raises(InfrastructureError):
        await play(make_episode(), [Fail(500, times=9), Say("never")])


# Records


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_the_same_script_gives_the_same_bytes(
    make_episode: MakeEpisode, protocol: Protocol, play: Play
) -> None:
    steps: list[Step] = [
        Say("a", (shell("sleep 0.05; ls"), shell("echo b"), Call("no", "{"))),
        Fail(429, headers={"retry-after": "0"}),
        Cut(),
        Say("b"),
        Say("", (shell("head -c 30000 /dev/zero | tr '\\0' y"),)),
        Say("", (WRITE, finish())),
    ]
    records = []
    for _ in range(2):
        episode = make_episode(files={"alerts/a.json": "[]"}, turns=6)
        result = await play(episode, list(steps), protocol=protocol, context_window=12_000)
        records.append((said(episode), result, episode.meter.usage()))
    assert records[0] == records[1]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_no_key_in_any_record(
    make_episode: MakeEpisode, protocol: Protocol, monkeypatch: pytest.MonkeyPatch, serve: Serve
) -> None:
    canary = "sk-canary-0123456789abcdef"
    monkeypatch.setenv("OPENAI_API_KEY", canary)
    episode = make_episode()
    steps: list[Step] = [
        Fail(429, f"key {canary} is slowed down"),
        Say(f"I was told {canary}", (shell(f"echo {canary}"), Call(canary, canary)), thinking=canary),
        Say("", (WRITE, finish(canary))),
    ]
    server = serve(steps, keys=frozenset({canary}))
    options = {"model": "openai/x", "base_url": server.base_url, "protocol": protocol}
    agent = create(options, retry=QUICK)
    result = await agent.solve(episode)
    for record in (said(episode), repr(result), json.dumps(agent.config()), repr(agent), agent.name):
        assert "canary" not in record


async def test_the_seed_follows_the_episode(make_episode: MakeEpisode, serve: Serve) -> None:
    server = serve([Say("", (WRITE, finish()))])
    for seed in (1, 2):
        await agent_for(server, seed=40).solve(make_episode(seed=seed))
    assert [json.loads(seen.body)["seed"] for seen in server.seen] == [41, 42]
