"""Natural-language forms and the crew's options, with a model that is a function."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedrill.agents import create
from firedrill.agents.base import AgentResult
from firedrill.agents.crew import create as create_crew
from firedrill.agents.live.mind import Speechless
from firedrill.agents.live.natural import TRIES, Natural, final, forms, read_object
from firedrill.agents.live.toolset import LiveTools
from firedrill.core.errors import InputError
from firedrill.core.outcome import Outcome
from firedrill.tools.base import ToolResult
from firedrill.tools.live.desk import Desk, Ending
from firedrill.tools.live.toolbox import LiveToolbox
from firedrill.tools.toolbox import failure


class Site:
    """A world without APIs."""

    alerts = ()
    namespace = "shop"

    async def now(self) -> int:
        return 1_893_456_000_000


class Box(LiveToolbox):
    """Tools that answer from a list."""

    def __init__(self, answers: Sequence[ToolResult | str]) -> None:
        super().__init__(Desk(Site()))  # type: ignore[arg-type]
        self.answers = [answer if isinstance(answer, ToolResult) else told(answer) for answer in answers]
        self.calls: list[tuple[str, Any]] = []

    async def call(self, name: str, arguments: Any = None, **_: Any) -> ToolResult:
        self.calls.append((name, arguments))
        return self.answers.pop(0)


class Model:
    """Says one thing after the other."""

    def __init__(self, *said: str) -> None:
        self.said = list(said)
        self.asked: list[tuple[str, str, str]] = []
        self.questions = 0

    async def ask(self, system: str, text: str, role: str) -> str:
        self.asked.append((system, text, role))
        self.questions += 1
        if not self.said:
            raise Speechless("too long")
        return self.said.pop(0)


def told(text: str) -> ToolResult:
    return ToolResult(("line",), ((text,),), text)


def natural(model: Model, box: Box) -> Natural:
    return Natural(model, box)  # type: ignore[arg-type]


async def test_a_request_becomes_a_call() -> None:
    model, box = Model('{"command": "get pods"}'), Box(["web-1"])
    result = await natural(model, box).call("nl2kubectl", {"request": "which pods are there"})
    assert box.calls == [("kubectl", {"command": "get pods"})]
    assert result.text == '[kubectl {"command": "get pods"}]\nweb-1'
    assert "shop" in model.asked[0][0]


async def test_what_was_wrong_goes_back_to_the_model() -> None:
    model = Model("I would run kubectl list", '{"command": "list"}', '{"command": "get"}')
    forms_ = natural(model, box := Box([failure("no command 'list'"), "fine"]))
    assert (await forms_.call("nl2kubectl", {"request": "list the pods"})).text.endswith("fine")
    assert "that is no JSON object" in model.asked[1][1]
    assert "no command 'list'" in model.asked[2][1]
    assert (len(box.calls), forms_.rewritten) == (2, 2)


async def test_it_gives_up_after_some_tries_and_says_what_was_tried() -> None:
    model = Model(*['{"query": "x("}'] * TRIES)
    result = await natural(model, Box([failure("closed")] * TRIES)).call(
        "nl2metrics", {"request": "the load"}
    )
    assert result.error
    assert result.text.count('metrics {"query": "x("}') == TRIES


async def test_what_the_cluster_refused_is_not_sent_again_in_other_words() -> None:
    refused = failure('Error from server (Forbidden): pods "web" is forbidden: no (rule gone)')
    result = await natural(Model('{"command": "delete pod web"}'), box := Box([refused])).call(
        "nl2kubectl", {"request": "delete it"}
    )
    assert result.error
    assert len(box.calls) == 1
    assert not final(failure('Error from server (NotFound): pods "web" not found'))


async def test_long_answers_are_condensed() -> None:
    model = Model('{"state": "all"}', "One thing fires.")
    result = await natural(model, Box(["x" * 9_000])).call("nl2alerts", {"request": "what fires?"})
    assert result.text == '[alerts {"state": "all"}: 9000 characters, condensed]\nOne thing fires.'
    assert model.asked[1][2] == "summariser"


async def test_a_model_that_takes_no_question_is_a_wrong_call() -> None:
    result = await natural(Model(), Box([])).call("nl2logs", {"request": "what do they say?"})
    assert (result.error, result.text) == (True, "error: too long")


def test_forms_stand_for_the_tools_that_ask() -> None:
    tools = LiveTools(Box([]), Model())  # type: ignore[arg-type]
    assert set(forms()) < set(tools.names)
    assert not {"kubectl", "metrics", "logs", "traces", "alerts"} & set(tools.names)
    assert {"topology", "wait", "diagnosis", "escalate"} < set(tools.names)
    assert all("offset" not in spec.parameters["properties"] for spec in tools.specs if spec.name in forms())


def test_what_ends_the_work() -> None:
    box = Box([])
    tools, diagnosing = LiveTools(box), LiveTools(box, until="diagnosis")

    def ends() -> list[bool]:
        return [item.ending is not None for item in (tools, diagnosing)]

    assert ends() == [False, False]
    box.desk.diagnosis = {"contributing_factors": []}
    assert ends() == [False, True]
    box.desk.ending = Ending({"escalate": True}, escalated=True, reason="no way")
    assert tools.ending == AgentResult(Outcome.ESCALATED, '{"escalate": true}', "no way")


async def test_a_defect_of_a_tool_ends_no_episode() -> None:
    tools = LiveTools(Box([]))
    result = await tools.call("alerts", {})
    assert result.error
    assert tools.notes()["defects"] == ["alerts: IndexError: pop from empty list"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1}', {"a": 1}),
        ('Sure:\n```json\n{"a": {"b": 2}}\n```', {"a": {"b": 2}}),
        ('{oops} {"a": 1} {"b": 2}', {"a": 1}),
        ("[1]", None),
        ("", None),
        ("{" * 500, None),
    ],
)
def test_the_object_in_what_a_model_wrote(text: str, found: object) -> None:
    assert read_object(text) == found


@given(st.text(alphabet='{}[]":,a1 \\\n', max_size=200))
def test_reading_an_object_never_fails(text: str) -> None:
    found = read_object(text)
    assert found is None or json.dumps(found)


def test_the_crew_s_options() -> None:
    crew = create("crew-sre:scripted/x", options={"base_url": "http://127.0.0.1:1/v1", "iterations": "5"})
    assert (crew.name, crew.config()["iterations"]) == ("crew-sre:scripted/x", 5)
    plain = create(
        "crew-sre", model="scripted/x", options={"base_url": "http://127.0.0.1:1", "toolbox": "live"}
    )
    assert plain.name == "crew-sre:scripted/x+live"
    assert crew.config()["toolbox"] != plain.config()["toolbox"]
    for wrong in ({"iterations": 0}, {"toolbox": "shell"}, {"iteration": 3}):
        with pytest.raises(InputError):
            create_crew({"model": "scripted/x", "base_url": "http://127.0.0.1:1", **wrong})


@pytest.mark.parametrize("spec", ["crew-sre", "react"])
async def test_tools_over_worlds_are_refused_on_recordings(spec: str, make_episode: Any) -> None:
    options = {"base_url": "http://127.0.0.1:1/v1", "toolbox": "nl"}
    with pytest.raises(InputError, match="living worlds"):
        await create(spec, model="scripted/x", options=options).solve(make_episode())
