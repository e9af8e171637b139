"""``firedrill grade`` with one answer and one ground truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from firedrill.cli import main
from firedrill.snapshot import LogRow, ObjectRow, write_incident

TRUTH = """
groups:
- {id: cart-pod, kind: Pod, namespace: shop, filter: ['cart-.*'], root_cause: true}
- {id: cart-svc, kind: Service, namespace: shop, filter: ['cart\\b']}
- {id: web-svc, kind: Service, namespace: shop, name: web}
aliases: [[cart-pod, cart-svc]]
propagations: [{source: cart-svc, target: web-svc, effect: errors}]
"""


@pytest.fixture
def truth(tmp_path: Path) -> str:
    path = tmp_path / "ground_truth.yaml"
    path.write_text(TRUTH)
    return str(path)


def _answer(tmp_path: Path, *names: str) -> str:
    path = tmp_path / "agent_output.json"
    path.write_text(json.dumps({"contributing_factors": [{"name": name} for name in names]}))
    return str(path)


def _suite(tmp_path: Path) -> Path:
    """One incident: a pod and the two Services of the truth."""
    objects = [
        {
            "apiVersion": "v1",
            "kind": kind,
            "metadata": {"name": name, "namespace": "shop", "uid": f"uid-{number}"},
        }
        for number, (kind, name) in enumerate(
            [("Pod", "cart-6d4f9b7c55-abcde"), ("Service", "cart"), ("Service", "web")]
        )
    ]
    moment = 1_780_000_000_000_000_000
    write_incident(
        tmp_path / "suite" / "Scenario-1",
        objects=[ObjectRow(moment, item, f"{item['kind']}s".lower()) for item in objects],
        logs=[LogRow(moment, "no such cart", "web")],
        ground_truth=yaml.safe_load(TRUTH),
    )
    return tmp_path / "suite"


def _json(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_json(truth: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = _answer(tmp_path, "shop/Deployment/cart", "shop/Service/cart", "shop/Service/web")
    assert main(["grade", truth, answer, "--json"]) == 0
    found = _json(capsys)
    assert found["score"] == 0.5
    assert found["set"] == {"tp": 1, "fp": 1, "fn": 0}
    assert found["entity"] == {"tp": 2, "fp": 1, "fn": 0, "score": pytest.approx(2 / 3)}
    assert found["strict_alias"] == 0.5
    assert [item["verdict"] for item in found["explain"]] == ["true_positive", "repeat", "false_positive"]
    assert found["submission_variant"] == "E" and found["metrics"]["ntam1_fl"] is None


def test_table(truth: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grade", truth, _answer(tmp_path, "shop/Pod/cart", "evil\x1b[31m[bold]/x")]) == 0
    out = capsys.readouterr().out
    assert "score 0.500" in out and "true positive" in out and "root_cause_f1" in out
    assert "\x1b" not in out and "[bold]" in out


def test_an_unusable_answer_scores_0(truth: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.json"
    path.write_text("the cart")
    assert main(["grade", truth, str(path), "--json"]) == 0
    found = _json(capsys)
    assert found["score"] == 0.0 and "not JSON" in found["reason"] and found["set"]["fn"] == 1
    assert main(["grade", truth, str(path)]) == 0
    assert "missed  cart-pod" in capsys.readouterr().out


def test_strict_refuses_repairs(truth: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"contributing_factors": [{"name": "shop/Pod/cart"},]}')
    assert main(["grade", truth, str(path), "--json"]) == 0
    assert _json(capsys)["score"] == 1.0
    assert main(["grade", truth, str(path), "--json", "--strict"]) == 0
    assert _json(capsys)["score"] == 0.0
    assert main(["grade", truth, str(path)]) == 0
    assert "mended  trailing_comma" in capsys.readouterr().out


def test_parameters_of_the_matcher(truth: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = _answer(tmp_path, "Pod/cart")
    assert main(["grade", truth, answer, "--json", "--strict-namespace", "--prefer-root"]) == 0
    found = _json(capsys)
    assert found["score"] == 0.0
    assert found["notes"]["options"] == {"prefer_root_on_equivalence": True, "strict_namespace": True}


def test_one_truth_of_a_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    group = {"kind": "Pod", "namespace": "shop", "root_cause": True}
    path = tmp_path / "truths.json"
    path.write_text(
        json.dumps([{"id": str(n), "groups": [{**group, "id": f"g{n}", "name": f"p{n}"}]} for n in (1, 2)])
    )
    answer = _answer(tmp_path, "shop/Pod/p2")
    assert main(["grade", str(path), answer, "--id", "2", "--json"]) == 0
    assert _json(capsys)["score"] == 1.0
    assert main(["grade", str(path), answer, "--id", "3"]) == 2
    assert "--id: holds no truth of the id '3'; it has 1, 2" in capsys.readouterr().err
    assert main(["grade", str(path), answer]) == 2
    assert "list of 2" in capsys.readouterr().err


def test_defects_of_the_truth_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(TRUTH + "alerts: [{id: a, group_id: ghost}]\n")
    assert main(["grade", str(path), _answer(tmp_path, "shop/Pod/cart"), "--json"]) == 0
    captured = capsys.readouterr()
    assert "alerts[0].group_id: 'ghost' is no group" in captured.err
    assert [item["code"] for item in json.loads(captured.out)["truth_findings"]] == ["undefined-group"]


def test_a_label_that_cannot_be_answered_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.yaml"
    path.write_text("groups: [{id: a, kind: Pod, name: a}]")
    assert main(["grade", str(path), _answer(tmp_path, "n/Pod/a")]) == 0
    assert "the label cannot be answered: no root" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("truth_text", "expected"),
    [
        (None, "cannot be read"),
        ("a: [", "neither JSON nor YAML"),
        ("faults: []", "groups: is a scenario's specification"),
        ("x: 1", "groups: expected groups (v1) or entities (v2), found x"),
        (b"\xff\xfe\x00", "is not UTF-8"),
    ],
)
def test_a_bad_truth_ends_with_2_and_names_file_and_field(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], truth_text: str | bytes | None, expected: str
) -> None:
    path = tmp_path / "bad.yaml"
    if truth_text is not None:
        path.write_bytes(truth_text if isinstance(truth_text, bytes) else truth_text.encode())
    assert main(["grade", str(path), _answer(tmp_path, "x")]) == 2
    err = capsys.readouterr().err
    assert "bad.yaml" in err and expected in err and "Traceback" not in err


def test_bad_arguments_end_with_2(truth: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = _answer(tmp_path, "x")
    for args in (
        [truth, str(tmp_path / "none.json")],
        [str(tmp_path), answer],
        [truth, answer, "--out", str(tmp_path / "run")],
        [truth, answer, "--name", "me"],
        [truth, answer, "--incident", truth],
        [str(tmp_path), str(tmp_path), "--strict"],
        [truth],
    ):
        assert main(["grade", *args]) == 2, args
        assert capsys.readouterr().err.startswith("error: ")


def test_a_file_that_is_too_large_is_refused(
    truth: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "big.json"
    with path.open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    assert main(["grade", truth, str(path)]) == 2
    assert "larger than" in capsys.readouterr().err


def test_a_folder_of_answers_becomes_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from firedrill.core.truth import parse_truth_text
    from firedrill.grading import matcher_for, synthesise
    from firedrill.suites import open_suite

    suite = _suite(tmp_path)
    (scenario,) = open_suite(suite).scenarios
    matcher = matcher_for(parse_truth_text(scenario.truth_text, "t")[0])
    names = [synthesise(matcher, root) for root in matcher.roots]
    folder = tmp_path / "answers" / scenario.id
    for repeat, listed in (("1", names), ("2", [])):
        (folder / repeat).mkdir(parents=True)
        text = json.dumps({"contributing_factors": [{"name": name} for name in listed]})
        (folder / repeat / "agent_output.json").write_text(text)
    out = tmp_path / "run"
    args = [str(suite), str(tmp_path / "answers"), "--out", str(out), "--name", "theirs", "--quiet", "--json"]
    assert main(["grade", *args]) == 0
    found = _json(capsys)
    (agent,) = found["agents"]
    assert (agent["episodes"], agent["score"]["mean"]) == (2, 0.5)
    assert (out / "run.json").is_file()


def test_a_folder_that_is_no_incident_is_not_taken_for_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth, answer = tmp_path / "truth.yaml", tmp_path / "answer.json"
    truth.write_text("groups: [{id: a, kind: Pod, filter: [a], root_cause: true}]")
    answer.write_text('{"entities": []}')
    (tmp_path / "empty").mkdir()
    assert main(["grade", str(truth), str(answer), "--incident", str(tmp_path / "empty")]) == 2
    assert "empty: --incident: holds no recorded incident" in capsys.readouterr().err


def test_an_incident_adds_nearness_and_checks_the_label(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from firedrill.suites import open_suite

    (scenario,) = open_suite(_suite(tmp_path)).scenarios
    truth = tmp_path / "t.yaml"
    truth.write_text(scenario.truth_text)
    answer = _answer(tmp_path, "shop/Pod/nobody")
    assert main(["grade", str(truth), answer, "--incident", str(scenario.folder), "--json"]) == 0
    found = _json(capsys)
    assert found["label"]["inventory"] is True
    assert found["metrics"]["ntam1_fl"] == 0.0
