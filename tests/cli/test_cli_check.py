"""`firedrill check`: its table, its JSON and its exit codes; what is checked is tested elsewhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from firedrill.cli.app import main
from firedrill.runner import checking
from firedrill.runner.checking import Checked, Outcome, Point, Wanted

FIT = Checked("lite-001", (Point("null"), Point("truth", "warns", "Quiet fires too")))
BAD = Checked("lite-002", (Point("null", "fails", "repaired"), Point("truth")))


def answer(monkeypatch: pytest.MonkeyPatch, *found: Checked, broken: Any = None) -> list[Wanted]:
    asked: list[Wanted] = []

    async def check(wanted: Wanted, progress: Any) -> Outcome:
        asked.append(wanted)
        progress(0, len(found), "begins")
        return Outcome(found, broken or {})

    monkeypatch.setattr(checking, "check", check)
    return asked


def test_what_is_asked_for_is_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    asked = answer(monkeypatch, FIT)
    told = ["--limit", "2", "--seed", "5", "-n", "3", "--exploit", "open-rbac", "--out", str(tmp_path)]
    assert main(["check", "lite", *told]) == 0
    wanted = asked[0]
    assert (wanted.suite.name, wanted.limit, wanted.seed, wanted.processes) == ("lite", 2, 5, 3)
    assert (wanted.exploits, wanted.out) == (("open-rbac",), tmp_path)


def test_the_table_tells_what_does_not_hold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(monkeypatch, FIT, BAD)
    assert main(["check", "lite"]) == 1
    out, err = capsys.readouterr()
    assert "lite-001 truth: warning: Quiet fires too" in out
    assert "lite-002 null: repaired" in out
    assert "1 of 2 scenarios are fit" in out
    assert next(line.split() for line in out.splitlines() if line.split()[:1] == ["lite-002"]) == [
        "lite-002",
        "ok",
        "NO",
    ]
    assert err == "0/2  begins\n"


def test_json_stands_alone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    answer(monkeypatch, FIT)
    assert main(["check", "lite", "--json", "-q"]) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert (document["passed"], document["suite"]["name"], err) == (True, "lite", "")
    assert document["scenarios"][0]["points"][1]["text"] == "Quiet fires too"


def test_what_could_not_be_checked_is_the_machines_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(monkeypatch, FIT, broken={"lite-002": "a process died"})
    assert main(["check", "lite", "-q"]) == 3
    assert "lite-002 could not be checked: a process died" in capsys.readouterr().out


def test_a_scenario_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "lite", "--scenario", "lite-0x1"]) == 2
    assert "did you mean" in capsys.readouterr().err
