"""Numbers and foreign text as people read them; and the scoreboard in a terminal."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from firedrill.grading.statistics import Estimate
from firedrill.records import ReceiptLine, RunFolder
from firedrill.report import exports, terminal, text
from firedrill.report.model import RunView
from firedrill.report.trajectory import MOST_LINES, turns_of

MakeRun = Callable[..., Path]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "–"),
        (0.0031, "3 ms"),
        (4.25, "4.2 s"),
        (75, "1 min 15 s"),
        (3725, "1 h 02 min"),
        (59.97, "60.0 s"),
    ],
)
def test_durations(seconds: float | None, words: str) -> None:
    assert text.duration(seconds) == words


@pytest.mark.parametrize(
    ("dollars", "words"),
    [(None, "–"), (0, "$0.00"), (0.0012, "$0.0012"), (5.384, "$5.38"), (1234.5, "$1,234.50")],
)
def test_money(dollars: float | None, words: str) -> None:
    assert text.money(dollars) == words


def test_numbers() -> None:
    assert text.percent(0.4567) == "45.7 %"
    assert text.percent(None) == text.number(None) == text.count(None) == "–"
    assert (text.count(3.0), text.count(3.25), text.count(12345.6)) == ("3", "3.2", "12,346")
    assert text.interval(Estimate(0.5, 0.25, 0.75, 0.1, 9)) == "[25.0, 75.0]"
    assert text.interval(Estimate(None, None, None, None, 0)) == "–"
    assert [text.bucket(x) for x in (None, 0, 0.04, 0.5, 1)] == ["sx", "s0", "s0", "s5", "s10"]


@given(st.text(alphabet=st.characters(codec=None)))
def test_visible_text_hides_nothing(words: str) -> None:
    shown = text.visible(words)
    assert all(character in "\n\t" or character.isprintable() or ord(character) > 0x9F for character in shown)
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")
    shown.encode("utf-8")
    assert "\n" not in text.one_line(words)
    assert len(text.one_line(words, 10)) <= 60


def test_a_run_in_which_nothing_has_ended_has_no_standing() -> None:
    assert terminal.standing([]) == []


def test_a_narrow_terminal_does_without_some_columns_and_never_without_the_agents() -> None:
    columns = ["resolved", "95 %", "n", "diagnosis", "repair", "SLO-min saved", "to repair", "harm"]
    rows = [["100.0 %", "[2.5, 100.0]", "1", "1.00", "1.00", "+0.99", "4 min 30 s (1)", "1 none"]]
    assert terminal._fitting(columns, rows, 200, terminal._SPARED) == list(range(8))
    assert [columns[place] for place in terminal._fitting(columns, rows, 66, terminal._SPARED)] == [
        "resolved",
        "n",
        "repair",
        "to repair",
        "harm",
    ]
    assert [columns[place] for place in terminal._fitting(columns, rows, 0, terminal._SPARED)] == [
        "resolved",
        "repair",
        "harm",
    ]


def test_the_terminal_tells_the_same_story(make_run: MakeRun) -> None:
    view = RunView(RunFolder(make_run(scenarios=8, infrastructure=True, agent_name=lambda folder: folder)))
    out = io.StringIO()
    terminal.scoreboard(view.board, Console(file=out, width=160), names=view.names)
    words = " ".join(out.getvalue().split())
    for part in (
        "100.0 %",
        "pass@2",
        "pass^2",
        "better (p",
        "1 of 16 episodes failed on our side",
        "published ITBench-AA",
    ):
        assert part in words, part


def test_the_best_of_two_lucky_agents_is_undecided(make_run: MakeRun) -> None:
    view = RunView(RunFolder(make_run(scenarios=2)))
    assert view.standing == ["undecided, about 4 more scenarios would tell", ""]
    same = RunView(RunFolder(make_run("same", scores={"a-00000001": 1.0, "b-00000002": 1.0})))
    assert same.standing[0] == "no difference seen"


def test_exports_agree_with_each_other(make_run: MakeRun) -> None:
    view = RunView(RunFolder(make_run()))
    document = json.loads(exports.as_json(view))
    rows = list(csv.DictReader(io.StringIO(exports.as_csv(view))))
    assert len(document["episodes"]) == len(rows) == 8
    assert {row["outcome"] for row in rows} == {"submitted"}
    assert [float(row["score"]) for row in rows] == [row["score"] for row in document["episodes"]]
    assert rows[0]["chain_node_f1"] == "", "not defined is empty, not 0"
    assert document["agents"][0]["score"]["mean"] == 1.0
    assert document["suite"]["version"] == "1"
    table = exports.as_markdown(view)
    assert "| 100.0 % |" in table
    assert "<script>" not in table
    assert len({line.count(" | ") for line in table.splitlines() if line.startswith("| ")}) == 1


def test_a_spreadsheet_runs_nothing(make_run: MakeRun) -> None:
    view = RunView(RunFolder(make_run(agent_name=lambda folder: "=1+1")))
    names = {row["agent"] for row in csv.DictReader(io.StringIO(exports.as_csv(view)))}
    assert not [name for name in names if name.startswith(("=", "+", "-", "@"))]


def test_two_agents_of_one_name_are_told_apart(make_run: MakeRun) -> None:
    view = RunView(RunFolder(make_run(agent_name=lambda folder: "react:x")))
    assert {view.name(row.agent) for row in view.board.agents} == {"good-00000001", "bad-00000002"}


def test_a_very_long_receipt_is_cut_and_says_so() -> None:
    lines = [
        ReceiptLine(i, "message", {"role": "assistant", "content": str(i)}) for i in range(MOST_LINES + 5)
    ]
    turns, left_out = turns_of(lines)
    assert (len(turns), left_out) == (MOST_LINES, 5)


def test_every_kind_of_line_has_a_form() -> None:
    lines = [
        ReceiptLine(0, "tool_call", {"name": "finish", "arguments": {"reason": "done", "paths": ["a"]}}),
        ReceiptLine(1, "tool_call", {"name": "broken", "arguments": "{not json"}),
        ReceiptLine(1, "tool_call", {"name": "run_shell", "arguments": json.dumps({"command": "ls\nid"})}),
        ReceiptLine(2, "tool_result", {"content": "refused", "timed_out": True}),
        ReceiptLine(3, "retry", {"reason": "429"}),
        ReceiptLine(4, "summary", {"text": "so far"}),
        ReceiptLine(5, "message", {"left_out": {"bytes": 9, "digest": "d"}}),
        ReceiptLine(6, "something new", {"a": 1}),
        ReceiptLine(7, "message", {"role": "assistant", "content": ""}),
    ]
    turns, _ = turns_of(lines)
    shown = [(part.kind, part.label) for turn in turns for part in turn.parts]
    assert ("call", "finish") in shown
    assert ("note", "timed out") in shown
    assert ("note", "something new") in shown
    assert len(shown) == 9
    assert [part.text for turn in turns for part in turn.parts if part.label == "run_shell"] == ["ls\nid"]
