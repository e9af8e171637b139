"""The crew of assessments, and how a model hands in, with a model that is a script."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firedrill.agents import create
from firedrill.agents.base import Assessment, LimitReached
from firedrill.agents.crew.ciso import create as create_crew
from firedrill.agents.models import Retry
from firedrill.agents.scripted import Call, Say, Script, ScriptedServer, Turn, finish, shell
from firedrill.core.errors import InputError
from firedrill.core.outcome import Outcome
from firedrill.runner.planning import entrant, refuse_strangers
from firedrill.suites import open_suite

REGO = """\
package check
import rego.v1
default result := false
result if input.mode == "strict"
"""
Serve = Callable[..., ScriptedServer]


def call(name: str, **arguments: Any) -> Call:
    return Call(name, json.dumps(arguments))


class Model:
    """Chooses wrongly first; writes what does not compile first; is sent back once."""

    team = Script(
        [
            Say("", (call("HandOver", summary="made"), call("run_shell", command="ls"))),
            Say("", (call("GenerateOPARego", sentence="strict", policy_file="policy.rego"),)),
            Say(
                "", (call("TryPolicy", policy_file="policy.rego", objects="{mode: strict}\n---\n{mode: x}"),)
            ),
            Say("", (call("HandOver", summary="tried on both"),)),
        ]
    )
    again = Script([Say("", (call("HandOver", summary="it was right"),))])
    reporter = Script([Say("", (call("SendBack", reason="think of none"),))])
    last = Script([Say("", (call("SendBack", reason="again"),)), Say("", (call("Report", summary="sound"),))])

    def __init__(self) -> None:
        self.told: list[str] = []

    def reply(self, turn: Turn) -> Any:
        first, asked = turn.messages[0].text, turn.messages[-1].text
        if turn.system.startswith("You decide which team"):
            right = "names none of the teams" in asked
            return Say(f'So: {{"team": "{"kubectl-opa" if right else "best"}", "goal": "mode is strict"}}')
        if turn.system.startswith("You write policies in Rego"):
            right = "What is wrong with it" in asked
            return Say(REGO if right else REGO.replace("package check", "package other"))
        if first not in self.told:
            self.told.append(first)
        if turn.system.startswith("You make"):
            return (self.again if "think of none" in first else self.team).reply(turn)
        return (self.last if "cannot go back" in first else self.reporter).reply(turn)


def assessing(episode: Any) -> Any:
    asked = Assessment(
        kind="kubectl-opa", requirement="The mode is strict.", files=("policy.rego",), folder="/home/user"
    )
    return replace(episode, task=replace(episode.task, domain="ciso", assessment=asked))


def options(server: ScriptedServer) -> dict[str, Any]:
    return {"model": "scripted/x", "base_url": server.base_url, "context_window": 100_000}


async def test_one_chooses_a_team_makes_and_another_checks(
    serve: Serve, make_episode: Any, tmp_path: Path
) -> None:
    model = Model()
    episode = assessing(make_episode())
    crew = create_crew(options(serve(model)), retry=Retry(attempts=2, base=0.001))
    result = await crew.solve(episode)
    assert (result.outcome, result.submission, result.reason) == (Outcome.SUBMITTED, None, "sound")
    assert await episode.workspace.read_file("/home/user/policy.rego") == REGO.encode()
    said = [line["content"] for line in episode.receipt.of("tool_result")]
    assert "policy.rego does not exist; nothing was recorded" in said[0]
    assert "There is no tool 'run_shell'" in said[1]
    assert "input 1: result is true" in said[3]
    assert "input 2: result is false" in said[3]
    # it goes back once
    assert any("There is no tool 'SendBack'" in text for text in said)
    assert result.notes["selector"] == {"team": "kubectl-opa", "tries": 2}
    assert result.notes["team-1"]["written"] == 4
    assert [name for name in result.notes if name.startswith("team")] == ["team-1", "team-2"]
    team, reporter, again, last = model.told
    assert "mode is strict" in team
    assert "tried on both" in reporter
    assert "think of none" in again
    assert "it was right" in last


async def test_who_uses_up_the_messages_has_handed_in_nothing(serve: Serve, make_episode: Any) -> None:
    episode = assessing(make_episode())
    crew = create_crew({**options(serve([Say("hm")])), "iterations": 2}, retry=Retry(attempts=2, base=0.001))
    with pytest.raises(LimitReached, match="2 messages of the reporter"):
        await crew.solve(episode)
    # a selector that names no team leaves it at what the task says
    assert episode.receipt.of("task")[0]["text"].count("The mode is strict.") == 2


async def test_a_model_with_a_shell_hands_in_its_folder(serve: Serve, make_episode: Any) -> None:
    episode = assessing(make_episode())
    server = serve(
        [
            Say("", (finish(paths=["policy.rego"]),)),
            Say("", (shell("printf 'package check' > policy.rego"),)),
            Say("", (finish("done", ["policy.rego"]),)),
        ]
    )
    agent = create("react", options={**options(server), "toolbox": "shell"})
    result = await agent.solve(episode)
    assert (result.outcome, result.submission) == (Outcome.SUBMITTED, None)
    (first, _, _) = episode.receipt.of("tool_result")
    assert "policy.rego does not exist. Nothing was handed in." in first["content"]
    offered = [tool["function"]["name"] for tool in json.loads(server.seen[0].body)["tools"]]
    assert offered == ["run_shell", "finish"]
    (task,) = episode.receipt.of("task")
    assert "The mode is strict." in task["text"]
    assert "agent_output.json" not in task["text"]


async def test_crews_are_put_where_they_belong(make_episode: Any) -> None:
    known = {"base_url": "http://127.0.0.1:1/v1"}
    with pytest.raises(InputError, match="put on assessments"):
        await create("crew-ciso", model="scripted/x", options=known).solve(make_episode())
    with pytest.raises(InputError, match="this is an assessment"):
        await create("crew-sre", model="scripted/x", options=known).solve(assessing(make_episode()))
    crew = create("crew-ciso:scripted/x", options={**known, "iterations": "5"})
    assert (crew.name, crew.config()["iterations"]) == ("crew-ciso:scripted/x", 5)
    for wrong in ({"iterations": 0}, {"toolbox": "shell"}):
        with pytest.raises(InputError):
            create_crew({"model": "scripted/x", **known, **wrong})


@pytest.mark.parametrize(
    ("spec", "toolbox", "fits"),
    [
        ("crew-ciso", None, True),
        ("react", "live", True),
        ("react", "shell", True),
        ("react", "full", False),
        ("crew-sre", None, False),
        ("command:true", "live", False),
        ("command:true", None, True),
    ],
)
def test_who_cannot_assess_is_refused_before_a_run(spec: str, toolbox: str | None, *, fits: bool) -> None:
    suite = open_suite("lite-ciso")
    given = {"toolbox": toolbox} if toolbox else {}
    if not spec.startswith("command"):
        given |= {"base_url": "http://127.0.0.1:1/v1", "model": "scripted/x"}
    agents = [entrant(create(spec, options=given))]
    if fits:
        refuse_strangers(suite.scenarios, agents, ())
        return
    with pytest.raises(InputError, match="is an assessment"):
        refuse_strangers(suite.scenarios, agents, ())
