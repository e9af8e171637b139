"""Agents on call: what they are told, how thinking takes time, and the rule that stands in for a model."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from firedrill.agents.base import AgentResult, Episode, Living, Meter, OnCall, Task
from firedrill.agents.react import create
from firedrill.agents.scripted import Investigator, Say, Script, ScriptedServer, finish, shell
from firedrill.agents.scripted.policy import Call, Message, Policy, Turn
from firedrill.agents.scripted.responder import Pager, on_call, remedies
from firedrill.agents.task import LIVE_EXAMPLE, LIVE_SCHEMA, situation, task_document, task_text
from firedrill.core.episode import Limits, Tokens
from firedrill.core.outcome import Outcome
from firedrill.core.submission import parse_submission

MakeEpisode = Callable[..., Episode]
Serve = Callable[..., ScriptedServer]
Play = Callable[[Episode, Policy], Awaitable[AgentResult]]
ADDRESSES = {
    name: f"http://127.0.0.1:{port}"
    for name, port in (
        ("kubernetes", 1),
        ("prometheus", 2),
        ("alertmanager", 3),
        ("loki", 4),
        ("jaeger", 5),
    )
}
CALLED = OnCall(
    alerts=(
        {
            "name": "PumpDown",
            "labels": {"alertname": "PumpDown", "pod": "pump-1"},
            "fired": "2031-03-02T09:10:00Z",
            "description": "the pump `$x`\n# does not pump",
        },
    ),
    namespace="garden",
    addresses=ADDRESSES,
    kubeconfig="/home/user/kubeconfig",
    authority="operator",
    authority_title="repairs",
    minutes=45,
    read_s=3,
    write_s=5,
    token_s=0.02,
)
TASK = Task(files=("README.md", "kubeconfig"), living=CALLED)


class World:
    """A living world as far as a loop needs one."""

    def __init__(self) -> None:
        self.thought: list[int] = []

    async def spend(self, ms: int) -> None:
        self.thought.append(ms)

    async def now(self) -> int:
        return 1000 + sum(self.thought)


def called(make_episode: MakeEpisode, **limits: Any) -> tuple[Episode, World]:
    episode, world = make_episode(**limits), World()
    episode.task, episode.living = TASK, cast(Living, world)
    episode.meter.think, episode.meter.token_ms = world.spend, 20.0
    return episode, world


def test_the_task_begins_with_the_page_in_the_home_folder() -> None:
    text = task_text(TASK, Limits(turns=7, minutes=45))
    page = situation(CALLED)
    assert text.startswith(page.strip())
    for part in (
        *ADDRESSES.values(),
        "`garden`",
        "`operator`: repairs",
        "45 minutes",
        "3 s",
        "5 s",
        "0.02 s",
    ):
        assert part in page
    assert (
        "**PumpDown** fires since 2031-03-02T09:10:00Z: the pump ?$x? # does not pump\n(pod=pump-1)" in page
    )
    assert "7 model calls, 45 minutes of the incident's clock" in text
    assert "$" not in text.replace("$x", "")


def test_no_token_price_is_told_where_there_is_none() -> None:
    assert "each token" in situation(CALLED)
    assert "each token" not in situation(replace(CALLED, token_s=0))


def test_programs_get_the_same_as_json() -> None:
    document = task_document(TASK, Limits())
    assert document["on_call"]["addresses"] == ADDRESSES
    assert document["on_call"]["alerts"][0]["name"] == "PumpDown"
    assert document["on_call"]["seconds"] == {"read": 3, "write": 5, "token": 0.02}
    assert document["answer_schema"] == LIVE_SCHEMA
    assert set(LIVE_EXAMPLE) <= set(LIVE_SCHEMA["properties"])
    assert "on_call" not in task_document(Task(), Limits())
    assert parse_submission(json.dumps(LIVE_EXAMPLE)).causes


async def test_thinking_is_paid_once_and_rounded_over_all() -> None:
    world = World()
    meter = Meter(Limits(), think=world.spend, token_ms=0.4)
    for written in (1, 1, 1, 0):
        meter.spend(Tokens(input=1000, output=written), None)
        await meter.settle()
    assert world.thought == [1]
    await Meter(Limits(), token_ms=20).settle()


@pytest.fixture
def play(serve: Serve) -> Play:
    async def play(episode: Episode, policy: Policy) -> AgentResult:
        server = serve(policy)
        given = {"model": "scripted/x", "base_url": server.base_url, "context_window": 100_000}
        return await create(given).solve(episode)

    return play


async def test_a_model_on_call_thinks_before_it_acts_one_command_after_the_other(
    make_episode: MakeEpisode, play: Play
) -> None:
    episode, world = called(make_episode)
    answer = '{"contributing_factors": [{"name": "garden/Deployment/pump"}]}'
    write = shell(f"echo '{answer}' > /home/user/agent_output.json")
    steps = [
        Say(
            "", (shell("sleep 0.05; echo a >> log"), shell("echo b >> log")), usage={"completion_tokens": 50}
        ),
        Say("", (write, finish()), usage={"completion_tokens": 10}),
    ]
    result = await play(episode, Script(steps))
    assert result.outcome is Outcome.SUBMITTED
    assert world.thought == [1000, 200]
    workspace: Any = episode.workspace
    assert workspace.most_running == 1
    assert (workspace.root / "log").read_text() == "a\nb\n"
    task: Any = episode.receipt
    assert "PumpDown" in task.lines[0]["text"]


async def test_an_answer_that_escalates_hands_the_incident_over(
    make_episode: MakeEpisode, play: Play
) -> None:
    episode, _ = called(make_episode)
    answer = '{"contributing_factors": [], "escalate": true, "escalate_reason": "beyond me"}'
    write = shell(f"echo '{answer}' > /home/user/agent_output.json")
    result = await play(episode, Script([Say("", (write, finish()))]))
    assert (result.outcome, result.reason) == (Outcome.ESCALATED, "beyond me")


# the rule


def turn(*outputs: str) -> Turn:
    """A conversation in which each message of the model was answered by so many lines."""
    messages = [Message("user", task_text(TASK, Limits()))]
    for output in outputs:
        messages += [Message("assistant", "", (Call("run_shell", "{}"),)), Message("tool", output)]
    return Turn("chat", "investigator", "", tuple(messages), ("run_shell", "finish"))


def fact(kind: str, name: str = "", **more: Any) -> str:
    return json.dumps({"fact": kind, "id": name, **more}, separators=(",", ":"))


def commands(say: Say) -> list[str]:
    return [json.loads(call.arguments).get("command", "finish") for call in say.calls]


def document(say: Say) -> Mapping[str, Any]:
    (text,) = [text for text in commands(say) if "<<'ANSWER'" in text]
    found: dict[str, Any] = json.loads(text.split("<<'ANSWER'\n")[1].removesuffix("\nANSWER"))
    return found


PUMP, TAP = "garden/Deployment/pump", "garden/Deployment/tap"
BROKEN = fact("change", PUMP, at="09:08", short=True, what="image: a -> b")
LOOKED = fact("looked")


def test_the_rule_reads_its_task() -> None:
    assert on_call(turn())
    pager = Pager.read(turn().messages[0].text)
    assert pager == Pager(
        "/home/user/agent_output.json",
        ADDRESSES["alertmanager"],
        ("PumpDown",),
        "2031-03-02T09:10:00Z",
        "garden",
    )
    (look,) = commands(Investigator().reply(turn()))
    assert "ONSET=2031-03-02T09:10:00Z" in look


def test_a_release_that_does_not_come_up_is_taken_back_and_named_when_the_alerts_are_over() -> None:
    rule = Investigator()
    seen = f"{fact('change', TAP, at='09:01', short=False, what='image: c -> d')}\n{BROKEN}\n{LOOKED}"
    act, check = commands(rule.reply(turn(seen)))
    assert act.startswith("kubectl -n garden rollout undo deployment/pump && ")
    assert "sleep 120" in check
    acted = fact("acted", PUMP, what="undo")
    again = rule.reply(turn(seen, f"{acted}\n{fact('firing', names=['PumpDown'])}"))
    assert [text.split("\n")[0] for text in commands(again)] == ["sleep 120"]
    done = rule.reply(turn(seen, f"{acted}\n{fact('firing', names=['PumpDown'])}", fact("firing", names=[])))
    assert [item["name"] for item in document(done)["contributing_factors"]] == [PUMP]
    assert done.calls[-1].name == "finish"


def test_what_does_not_help_is_taken_back_and_the_rest_goes_to_a_person() -> None:
    rule = Investigator()
    seen = f"{fact('change', TAP, at='09:01', short=False, what='image: c -> d')}\n{LOOKED}"
    assert "deployment/tap" in commands(rule.reply(turn(seen)))[0]
    firing = fact("firing", names=["PumpDown"])
    last = rule.reply(turn(seen, f"{fact('acted', TAP, what='undo')}\n{firing}", firing, firing, firing))
    assert "rollout undo deployment/tap" in commands(last)[0]
    assert "reverted" in commands(last)[0]
    assert document(last)["escalate"] is True
    assert document(last)["contributing_factors"] == []


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (fact("zero", PUMP, was=3, recent=True), "kubectl -n garden scale deployment/pump --replicas=3"),
        (fact("cordoned", "cluster/Node/shed", pending=2), "kubectl uncordon shed"),
        (
            fact(
                "experiment",
                "lab/PodChaos/kill",
                recent=True,
                aims=["garden"],
                resource="podchaos.chaos-mesh.org",
            ),
            "kubectl -n lab delete podchaos.chaos-mesh.org kill",
        ),
        (
            fact("change", "garden/StatefulSet/well", short=True),
            "kubectl -n garden rollout undo statefulset/well",
        ),
    ],
)
def test_every_remedy_has_its_evidence(line: str, command: str) -> None:
    pager = Pager.read(turn().messages[0].text)
    (made,) = remedies([json.loads(line)], pager)
    assert made.command.startswith(command)


@pytest.mark.parametrize(
    "line",
    [
        fact("zero", PUMP, was=3, recent=False),
        fact("cordoned", "cluster/Node/shed", pending=0),
        fact("experiment", "lab/PodChaos/kill", recent=True, aims=[], resource="podchaos.chaos-mesh.org"),
        fact("change", "office/Deployment/wiki", short=False),
        fact("waiting", "garden/Pod/x"),
    ],
)
def test_nothing_is_done_without(line: str) -> None:
    assert remedies([json.loads(line)], Pager.read(turn().messages[0].text)) == []


def test_the_rule_does_not_look_for_ever() -> None:
    last = Investigator().reply(turn("error", "error"))
    assert document(last)["escalate"] is True


def test_notes_carry_what_was_found_and_done() -> None:
    acted = fact("acted", PUMP, what="undo")
    wordy = replace(turn(f"{BROKEN}\n{LOOKED}", acted), wordy=True)
    notes = Investigator().reply(wordy).text
    for line in (BROKEN, LOOKED, acted):
        assert line in notes
