"""``firedrill suite`` from the outside: output, exit codes, and JSON that is JSON alone."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from firedrill.cli import main

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "scenario-world.yaml"

TRUTH = """metadata: {version: v1}
fault: [{category: Change, condition: bad image, entity: {kind: Deployment, name: web, group_id: web-1}}]
groups: [{id: web-1, kind: Deployment, namespace: shop, filter: [^web$], root_cause: true}]
aliases: []
alerts: []
propagations: []
recommended_actions: []
"""


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    root = tmp_path / "bench"
    rows = []
    for n in (1, 2):
        folder = root / "sre" / f"Scenario-{n}"
        folder.mkdir(parents=True)
        (folder / "otel_logs_raw.tsv").write_text(f"Timestamp\tBody\n2026-01-01 00:00:00\thello {n}\n")
        (folder / "ground_truth.yaml").write_text(TRUTH + f"# {n}\n")
        rows.append(
            json.dumps({"id_aa": f"aa-{n}", "scenario_id": f"Scenario-{n}", "source_split": "public"})
        )
    (root / "sre" / "data.jsonl").write_text("\n".join(rows))
    return root


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["suite", *map(str, arguments)])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err


def as_json(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> Any:
    got, out, _ = call(capsys, *arguments, "--json")
    assert got == code
    return json.loads(out)


def test_add_list_show_remove(capsys: pytest.CaptureFixture[str], bench: Path) -> None:
    assert as_json(capsys, "list")["suites"] == []
    code, out, _ = call(capsys, "list")
    assert code == 0
    assert "no suite is registered" in out
    code, out, _ = call(capsys, "add", bench, "--name", "drills")
    assert code == 0
    assert out.startswith("drills@1  2 scenarios  sha256:")
    (entry,) = as_json(capsys, "list")["suites"]
    assert (entry["name"], entry["scenarios"], entry["present"]) == ("drills", 2, True)
    code, out, _ = call(capsys, "list")
    assert str(bench) in out
    assert "itbench-aa (ArtificialAnalysis/ITBench-AA)" in out
    shown = as_json(capsys, "show", "drills")
    assert shown["digest"] == entry["digest"]
    assert shown["ids"] == {"aa-1": "Scenario-1", "aa-2": "Scenario-2"}
    assert [item["metadata"]["class"] for item in shown["scenarios"]] == ["Change", "Change"]
    assert [item["id"] for item in as_json(capsys, "show", "drills", "--scenario", "aa-2")["scenarios"]] == [
        "Scenario-2"
    ]
    code, out, _ = call(capsys, "show", "drills")
    assert "Scenario-2" in out
    assert "public" in out
    assert not any(line.endswith(" ") for line in out.splitlines())
    assert as_json(capsys, "remove", "drills")["removed"][0]["name"] == "drills"
    code, _, err = call(capsys, "remove", "drills")
    assert code == 2
    assert "no suite" in err
    assert (bench / "sre" / "data.jsonl").exists(), "the files stay"


def test_other_content_under_a_taken_name(capsys: pytest.CaptureFixture[str], bench: Path) -> None:
    assert call(capsys, "add", bench)[0] == 0
    (bench / "sre" / "Scenario-1" / "ground_truth.yaml").write_text(TRUTH.replace("bad image", "bad tag"))
    code, out, err = call(capsys, "add", bench)
    assert (code, out) == (2, "")
    assert "--replace" in err
    code, _, err = call(capsys, "show", "bench")
    assert "suite-changed" in err
    assert call(capsys, "add", bench, "--version", "2")[0] == 0
    assert call(capsys, "add", bench, "--replace")[0] == 0
    assert "suite-changed" not in call(capsys, "show", "bench@1")[2]
    code, out, _ = call(capsys, "remove", "bench")
    assert out.count("forgot bench@") == 2
    shutil.rmtree(bench)
    assert call(capsys, "add", bench)[0] == 2


def test_a_suite_whose_folder_is_gone_is_listed_as_gone(
    capsys: pytest.CaptureFixture[str], bench: Path
) -> None:
    call(capsys, "add", bench)
    shutil.rmtree(bench)
    assert "(gone)" in call(capsys, "list")[1]
    code, _, err = call(capsys, "show", "bench")
    assert code == 2
    assert "suite remove bench@1" in err


def test_lint_says_what_is_wrong_and_fails_on_errors(capsys: pytest.CaptureFixture[str], bench: Path) -> None:
    code, out, _ = call(capsys, "lint", bench)
    assert code == 0
    assert out.splitlines()[-1].startswith("bench: 2 ground truths checked; 0 error, 0 warning")
    path = bench / "sre" / "Scenario-2" / "ground_truth.yaml"
    path.write_text(TRUTH.replace(", root_cause: true", ""))
    code, out, _ = call(capsys, "lint", bench, "--no-evidence", "--level", "error")
    assert code == 1
    assert out.splitlines()[0].startswith("error: sre/Scenario-2/ground_truth.yaml")
    assert out.splitlines()[0].endswith("[no-root-cause]")
    assert len(out.splitlines()) == 2
    found = as_json(capsys, "lint", path, code=1)
    assert found["worst"] == "error"
    assert found["counts"]["error"] == 1
    assert "no-root-cause" in {item["code"] for item in found["findings"]}
    assert call(capsys, "lint", bench, "--level", "loud")[0] == 2
    assert call(capsys, "lint", "nothing-here")[0] == 2


def test_foreign_text_does_not_reach_the_terminal_raw(
    capsys: pytest.CaptureFixture[str], bench: Path
) -> None:
    path = bench / "sre" / "Scenario-2" / "ground_truth.yaml"
    path.write_text(TRUTH.replace("^web$", '"name=\\e[2J[bold]x"').replace("Change", '"\\e]0;x\\a[red]"'))
    _, out, _ = call(capsys, "lint", bench, "--no-evidence")
    _, shown, _ = call(capsys, "show", bench)
    assert "[bold]" in out
    assert "[red]" in shown
    assert "\x1b" not in out + shown
    assert "\x07" not in out + shown


def test_pull_without_the_client_or_with_an_unknown_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = call(capsys, "pull", "itbench")
    assert code == 2
    assert "known are itbench-aa, itbench-lite" in err
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    code, _, err = call(capsys, "pull", "itbench-aa")
    assert code == 2
    assert "pip install 'firedrill[hub]'" in err


def test_generate_makes_scenarios_of_worlds_and_tells_what_was_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from firedrill.suites.living import generating

    asked: list[generating.Wanted] = []

    def generate(wanted: generating.Wanted, out: Path, **more: object) -> generating.Generated:
        asked.append(wanted)
        (out / "scenarios").mkdir(parents=True)
        shutil.copy(EXAMPLE, out / "scenarios")
        return generating.Generated(
            out, 1, {"oom-killed": 3}, {"oom-killed": 1}, {"oom-killed": {"too calm": 2}}
        )

    monkeypatch.setattr(generating, "generate", generate)
    options = ("--seed", 4, "--count", 1, "--difficulty", "easy", "--application", "book-info", "--life", 2)
    code, out, _ = call(capsys, "generate", "--out", tmp_path / "a", *options)
    assert code == 0
    assert "too calm (2)" in out
    assert "1 of 3 cases kept (33%)" in out
    choice = asked[0].choice
    assert (choice.seed, choice.difficulty, choice.applications, choice.life) == (
        4,
        "easy",
        ("book-info",),
        2,
    )
    assert asked[0].full, "causes are proved unless one says otherwise"
    shown = as_json(capsys, "show", tmp_path / "a")
    assert shown["scenarios"][0]["metadata"]["class"] == "routing"
    assert call(capsys, "lint", tmp_path / "a")[0] == 0
    for wrong in (("--backend", "paper"), ("--backend", "snapshot"), ("--domain", "finops")):
        code, _, err = call(capsys, "generate", "--out", tmp_path / "b", *wrong)
        assert code == 2
        assert wrong[0] in err
    assert "suite export" in call(capsys, "generate", "--backend", "snapshot")[2]


def test_usage_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys)[0] == 2
    assert call(capsys, "shw")[0] == 2
    assert call(capsys, "--help")[0] == 0
    for verb in ("list", "show", "lint", "add", "remove", "pull", "generate"):
        code, out, _ = call(capsys, verb, "--help")
        assert code == 0
        assert "--json" in out
