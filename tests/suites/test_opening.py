"""Opening suites in every layout, with and without defects."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from firedrill.core.errors import InputError
from firedrill.suites import Suite, id_map, open_suite, register, select
from firedrill.suites._names import loose, natural, unique_ids


def truth(root: str = "web", *, wrapped: bool = False) -> dict[str, Any]:
    body = {
        "fault": [
            {"category": "Change", "condition": "bad image", "entity": {"kind": "Deployment", "name": root}}
        ],
        "groups": [
            {
                "id": f"{root}-1",
                "kind": "Deployment",
                "namespace": "shop",
                "filter": [root],
                "root_cause": True,
            }
        ],
        "aliases": [],
        "alerts": [],
        "propagations": [],
        "recommended_actions": [],
    }
    return {"apiVersion": "itbench.io/v1", "kind": "GroundTruth", "spec": body} if wrapped else body


def incident(folder: Path, *, root: str | None = "web", body: str = "hello") -> Path:
    folder.mkdir(parents=True)
    (folder / "otel_logs_raw.tsv").write_text(f"Timestamp\tBody\n2026-01-01 00:00:00\t{body} {folder.name}\n")
    (folder / "alerts").mkdir()
    (folder / "alerts" / "alerts_at_2026-01-01T00-00-00.json").write_text("[]")
    if root is not None:
        (folder / "ground_truth.yaml").write_text(yaml.safe_dump(truth(root)))
    return folder


def aa(root: Path, numbers: tuple[int, ...] = (1, 2, 10), **more: Any) -> Path:
    rows = []
    for n in numbers:
        incident(root / "sre" / f"Scenario-{n}", root=f"svc{n}")
        row = {
            "id_aa": f"aa-{n:03}",
            "scenario_id": f"Scenario-{n}",
            "category": "sre",
            "source_split": "public",
        }
        row |= {"scenario_root": "/home/user", "ground_truth_yaml": yaml.safe_dump(truth(f"svc{n}")), **more}
        rows.append(json.dumps(row))
    (root / "sre" / "data.jsonl").write_text("\n".join(rows) + "\n")
    return root


def codes(suite: Suite) -> list[str]:
    return sorted(finding.code for finding in suite.findings)


# -- layouts ------------------------------------------------------------------------------------------


def test_itbench_aa(tmp_path: Path) -> None:
    suite = open_suite(aa(tmp_path / "bench"))
    assert (suite.name, suite.version) == ("bench", "1")
    assert [item.id for item in suite.scenarios] == ["Scenario-1", "Scenario-2", "Scenario-10"]
    assert not suite.findings
    assert id_map(suite) == {"aa-001": "Scenario-1", "aa-002": "Scenario-2", "aa-010": "Scenario-10"}
    first = suite.scenarios[0]
    assert first.split == "public"
    assert dict(first.row) == {
        "id_aa": "aa-001",
        "scenario_id": "Scenario-1",
        "category": "sre",
        "source_split": "public",
        "scenario_root": "/home/user",
    }, "all fields but the truth"
    assert first.truth_source == "sre/Scenario-1/ground_truth.yaml"
    assert first.scenario.environment.path == "sre/Scenario-1"
    assert first.scenario.environment.modalities == ("alerts", "logs")
    assert first.scenario.metadata.fault_class == "Change"
    assert open_suite(tmp_path / "bench" / "sre").name == "bench"


def test_the_truth_may_stand_in_the_row_alone(tmp_path: Path) -> None:
    root = aa(tmp_path / "bench")
    (root / "sre" / "Scenario-2" / "ground_truth.yaml").unlink()
    suite = open_suite(root)
    assert suite.scenarios[1].truth_source == "sre/data.jsonl:2"
    assert suite.scenarios[1].truth_digest != suite.scenarios[0].truth_digest
    assert not suite.findings


def test_a_truth_in_the_row_may_be_an_object(tmp_path: Path) -> None:
    root = tmp_path / "bench"
    incident(root / "sre" / "Scenario-1", root=None)
    (root / "sre" / "data.jsonl").write_text(
        json.dumps({"scenario_id": "1", "ground_truth_yaml": truth("web", wrapped=True)})
    )
    assert open_suite(root).scenarios[0].id == "Scenario-1"


def test_the_file_is_preferred_when_row_and_file_differ(tmp_path: Path) -> None:
    root = aa(tmp_path / "bench")
    path = root / "sre" / "Scenario-2" / "ground_truth.yaml"
    path.write_text(yaml.safe_dump(truth("other")))
    suite = open_suite(root)
    assert codes(suite) == ["truth-differs"]
    assert (suite.findings[0].source, suite.findings[0].line) == ("sre/data.jsonl", 2)
    assert "other" in suite.scenarios[1].truth_text
    path.write_text("# the same truth, written in another way\n" + json.dumps(truth("svc2"), indent=3))
    assert not open_suite(root).findings


def test_the_first_generation_goes_before_the_second(tmp_path: Path) -> None:
    folder = incident(tmp_path / "Scenario-1", root=None)
    newer = {"spec": {"entities": [{"kind": "Pod", "metadata": {"name": "x", "namespace": "shop"}}]}}
    (folder / "groundtruth.yaml").write_text(yaml.safe_dump(newer))
    assert open_suite(folder).scenarios[0].truth_source == "groundtruth.yaml"
    (folder / "groundtruth_v1.yaml").write_text(yaml.safe_dump(truth()))
    assert open_suite(folder).scenarios[0].truth_source == "groundtruth_v1.yaml"


def test_itbench_lite(tmp_path: Path) -> None:
    base = tmp_path / "lite" / "snapshots" / "sre" / "v0.2-B96DF826"
    for n in (12, 3):
        incident(base / f"Scenario-{n}")
    for path in (tmp_path / "lite", tmp_path / "lite" / "snapshots", base):
        suite = open_suite(path)
        assert [item.id for item in suite.scenarios] == ["Scenario-3", "Scenario-12"]
    assert open_suite(tmp_path / "lite").name == "lite"
    assert open_suite(tmp_path / "lite").version == "v0.2-B96DF826"


def test_a_plain_folder_and_a_common_list_of_truths(tmp_path: Path) -> None:
    root = tmp_path / "mine"
    incident(root / "incident_7", root=None)
    incident(root / "incident_8", root=None)
    listed = [{"id": 8, **truth("b")}, {"id": "7", **truth("a")}, "noise"]
    (root / "ground_truths.json").write_text(json.dumps(listed))
    suite = open_suite(root)
    assert [item.truth_source for item in suite.scenarios] == ["ground_truths.json#1", "ground_truths.json#0"]
    assert '"a-1"' in suite.scenarios[0].truth_text


def test_a_single_incident_keeps_the_row_that_stands_beside_it(tmp_path: Path) -> None:
    aa(tmp_path / "bench")
    suite = open_suite(tmp_path / "bench" / "sre" / "Scenario-10")
    assert [item.id for item in suite.scenarios] == ["Scenario-10"]
    assert suite.scenarios[0].row["id_aa"] == "aa-010"
    assert suite.scenarios[0].scenario.environment.path == "."
    assert not suite.findings


def test_the_manifest_names_the_suite(tmp_path: Path) -> None:
    root = aa(tmp_path / "bench")
    (root / "suite.yaml").write_text(
        "name: drills\nversion: '2026.1'\ntitle: Our drills\nlicence: CC0-1.0\nprovenance: {seed: 7}\nseed: 8\nby: us\n"
    )
    suite = open_suite(root)
    assert (suite.name, suite.version) == ("drills", "2026.1")
    assert dict(suite.provenance) == {"by": "us", "seed": 7, "title": "Our drills", "licence": "CC0-1.0"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [", "is not YAML"),
        ("- a", "must be a mapping"),
        ("name: ../x", "name"),
        ("nmae: x", "did you mean 'name'"),
        ("provenance: x", "provenance"),
        ("version: 3", "version"),
    ],
)
def test_a_manifest_that_cannot_be_used_says_why(tmp_path: Path, text: str, words: str) -> None:
    root = aa(tmp_path / "bench")
    (root / "suite.yaml").write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        open_suite(root)
    assert str(caught.value.source).endswith("suite.yaml")


# -- digests ------------------------------------------------------------------------------------------


def test_the_digest_covers_name_version_evidence_and_truth(tmp_path: Path) -> None:
    root = aa(tmp_path / "bench")
    first = open_suite(root)
    shutil.copytree(root, tmp_path / "copy" / "bench")
    assert open_suite(tmp_path / "copy" / "bench").digest == first.digest, "the place has no part in it"
    shutil.move(root, tmp_path / "renamed")
    renamed = open_suite(tmp_path / "renamed")
    assert renamed.digest != first.digest
    assert [item.digest for item in renamed.scenarios] == [item.digest for item in first.scenarios]
    copy = tmp_path / "copy" / "bench" / "sre"
    path = copy / "Scenario-2" / "otel_logs_raw.tsv"
    path.write_text(path.read_text() + "2026-01-01 00:00:01\tone more\n")
    changed = open_suite(copy.parent)
    assert changed.digest != first.digest
    assert changed.scenarios[1].digest != first.scenarios[1].digest
    assert changed.scenarios[1].truth_digest == first.scenarios[1].truth_digest
    (copy / "Scenario-1" / "ground_truth.yaml").write_text(yaml.safe_dump(truth("other")))
    again = open_suite(copy.parent)
    assert again.scenarios[0].digest == first.scenarios[0].digest
    assert again.scenarios[0].truth_digest != first.scenarios[0].truth_digest


# -- defects ------------------------------------------------------------------------------------------


def test_a_broken_scenario_does_not_hide_the_others(tmp_path: Path) -> None:
    root = aa(tmp_path / "bench", (1, 2, 3, 4))
    incident(root / "sre" / "Scenario-5", root=None)
    rows = (root / "sre" / "data.jsonl").read_text().splitlines()
    (root / "sre" / "data.jsonl").write_text("\n".join([rows[0], rows[1]]))
    (root / "sre" / "Scenario-3" / "ground_truth.yaml").write_text("groups: [")
    (root / "sre" / "Scenario-4" / "ground_truth.yaml").write_bytes(b"\0" * 50)
    suite = open_suite(root)
    assert [item.id for item in suite.scenarios] == ["Scenario-1", "Scenario-2"]
    errors = [(finding.code, finding.source) for finding in suite.findings if finding.severity == "error"]
    assert errors == [
        ("truth-unreadable", "sre/Scenario-3/ground_truth.yaml"),
        ("truth-unreadable", "sre/Scenario-4/ground_truth.yaml"),
        ("truth-missing", "sre/Scenario-5"),
    ]


def test_a_row_helps_out_when_the_file_is_broken_and_the_other_way_round(tmp_path: Path) -> None:
    root = aa(tmp_path / "bench", (1,))
    (root / "sre" / "Scenario-1" / "ground_truth.yaml").write_text("groups: [")
    suite = open_suite(root)
    assert suite.scenarios[0].truth_source == "sre/data.jsonl:1"
    assert codes(suite) == ["truth-unreadable"]
    root = aa(tmp_path / "other", (1,), ground_truth_yaml="groups: [")
    suite = open_suite(root)
    assert suite.scenarios[0].truth_source == "sre/Scenario-1/ground_truth.yaml"
    assert codes(suite) == ["row-truth-unreadable"]


def test_when_nothing_can_be_used_the_first_reason_is_the_error(tmp_path: Path) -> None:
    incident(tmp_path / "a" / "Scenario-1", root=None)
    with pytest.raises(InputError, match="no ground truth"):
        open_suite(tmp_path / "a")
    (tmp_path / "b").mkdir()
    with pytest.raises(InputError, match="holds no incident"):
        open_suite(tmp_path / "b")
    with pytest.raises(InputError, match="no such file or folder"):
        open_suite(tmp_path / "c")
    with pytest.raises(InputError, match=r"give a path, or `firedrill suite add PATH`"):
        open_suite("nothing-of-this-name")


def test_rows_and_folders_that_do_not_fit_are_told(tmp_path: Path) -> None:
    root = aa(tmp_path / "bench", (1, 2, 3))
    shutil.rmtree(root / "sre" / "Scenario-2")
    incident(root / "sre" / "Scenario-9")
    with (root / "sre" / "data.jsonl").open("a") as rows:
        rows.write(json.dumps({"scenario_id": "scenario_1"}) + "\n")
    suite = open_suite(root)
    assert codes(suite) == ["duplicate-row", "incident-without-row", "row-without-incident"]
    assert suite.scenarios[0].row["id_aa"] == "aa-001", "the first row wins"


def test_wrong_bytes_in_a_truth_are_told(tmp_path: Path) -> None:
    root = incident(tmp_path / "Scenario-1")
    text = yaml.safe_dump(truth()).replace("bad image", "bad im\xe4ge").encode("latin-1")
    (root / "ground_truth.yaml").write_bytes(b"# a comment\n" + text)
    suite = open_suite(root)
    assert len(suite.scenarios) == 1
    (root / "ground_truth.yaml").write_bytes(b"x" * (5 * 1024 * 1024))
    with pytest.raises(InputError, match="larger than 4 MB"):
        open_suite(root)


# -- names --------------------------------------------------------------------------------------------


def test_scenarios_are_selected_by_any_of_their_names(tmp_path: Path) -> None:
    suite = open_suite(aa(tmp_path / "bench"))
    chosen = select(suite, ["10", "aa-001", "scenario_10"])
    assert [item.id for item in chosen] == ["Scenario-1", "Scenario-10"], "in suite order, once each"
    with pytest.raises(InputError, match="did you mean 'Scenario-1"):
        select(suite, ["Scenario-11"])


def test_natural_order_and_loose_names() -> None:
    names = ["Scenario-10", "Scenario-2", "Scenario-1", "x", "Scenario-2b", "\u0663", "9" * 5000]
    assert sorted(names, key=natural)[1:4] == ["Scenario-1", "Scenario-2", "Scenario-2b"]
    assert {loose(name) for name in ("7", "07", "Scenario-7", "scenario_7", "incident-7", "Scenario-i7")} == {
        "7"
    }
    assert loose("checkout") == "checkout"
    assert loose("0") == "0"
    assert loose("\u00b2") == "\u00b2"


def test_ids_are_safe_and_unique() -> None:
    ids = unique_ids(["a", "A", "a", "../..", "_x", "", "a-2", "Szenario 3"])
    assert ids == ["a", "A-2", "a-3", "x", "x_x", "x-2", "a-2-2", "Szenario-3"]
    assert len({name.lower() for name in ids}) == len(ids)


# -- scenario files -----------------------------------------------------------------------------------


def scenario_file(folder: Path, **changes: Any) -> Path:
    incident(folder / "evidence", root=None)
    data: dict[str, Any] = {
        "apiVersion": "firedrill/v1",
        "kind": "Scenario",
        "metadata": {"name": "bad-image", "class": "Change", "version": "3"},
        "environment": {"backend": "snapshot", "path": "evidence"},
        "truth": truth(),
        "limits": {"turns": 30},
    }
    data |= changes
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in data.items() if value is not None}))
    return path


def test_a_scenario_file_is_a_suite_of_one(tmp_path: Path) -> None:
    suite = open_suite(scenario_file(tmp_path / "a"))
    (item,) = suite.scenarios
    assert (suite.name, suite.version, item.id) == ("bad-image", "3", "bad-image")
    assert item.scenario.limits.turns == 30
    assert item.folder == tmp_path / "a" / "evidence"
    assert item.truth_source == "scenario.yaml: truth"
    other = open_suite(scenario_file(tmp_path / "b", limits={"turns": 31}))
    assert other.digest != suite.digest, "what the scenario asks for is part of it"


def test_a_scenario_file_may_leave_its_truth_to_the_folder(tmp_path: Path) -> None:
    path = scenario_file(tmp_path / "a", truth=None)
    with pytest.raises(InputError, match="no ground truth"):
        open_suite(path)
    (tmp_path / "a" / "evidence" / "ground_truth.yaml").write_text(yaml.safe_dump(truth()))
    assert open_suite(path).scenarios[0].truth_source == "evidence/ground_truth.yaml"


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"environment": {"path": "../b"}}, "environment.path", "leads out"),
        ({"environment": {"path": "/etc"}}, "environment.path", "leads out"),
        ({"environment": {"path": "gone"}}, "environment.path", "no folder"),
        ({"environment": {"path": "evidence/alerts/.."}, "limits": {"turns": 0}}, "limits.turns", "greater"),
        ({"environment": {"backend": "kubernetes"}}, "environment.backend", "not available"),
        ({"environment": {"backend": "world"}}, "environment.application", "no application"),
        ({"apiVersion": "firedrill/v9"}, "apiVersion", "firedrill/v1"),
        ({"kind": "Suite"}, None, "neither a folder"),
        ({"metadata": {"name": "a b"}}, "metadata.name", "pattern"),
        ({"surprise": 1}, "surprise", "Extra inputs"),
        ({"truth": {"groups": "none"}}, None, ""),
    ],
)
def test_a_scenario_file_that_cannot_be_used_says_where(
    tmp_path: Path, changes: dict[str, Any], field: str | None, words: str
) -> None:
    path = scenario_file(tmp_path / "a", **changes)
    if changes.get("truth"):
        assert open_suite(path).scenarios, "a truth without roots is the linter's business"
        return
    with pytest.raises(InputError, match=words) as caught:
        open_suite(path)
    assert caught.value.field == field


def test_a_link_in_a_scenario_file_does_not_lead_out(tmp_path: Path) -> None:
    path = scenario_file(tmp_path / "a", environment={"path": "link"})
    incident(tmp_path / "outside")
    (tmp_path / "a" / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(InputError, match="leads out"):
        open_suite(path)


def test_files_that_are_no_scenario(tmp_path: Path) -> None:
    for content in (
        b"",
        b"\xff\xfe",
        b"a: [",
        b"groups: []",
        b"[" * 5000,
        b"a: 2026-99-99",
        b"x" * 5_000_000,
    ):
        path = tmp_path / "file.yaml"
        path.write_bytes(content)
        with pytest.raises(InputError):
            open_suite(path)


# -- real incidents -----------------------------------------------------------------------------------


@pytest.mark.shared
def test_the_recorded_incidents_open_whole(shared_data: Callable[[str], Path]) -> None:
    root = shared_data("real-dev")
    suite = open_suite(root)
    assert len(suite.scenarios) == 129
    assert [item.id for item in suite.scenarios] == [f"Scenario-{n}" for n in range(1, 130)]
    assert not suite.findings
    assert len(id_map(suite)) == 129
    assert {item.split for item in suite.scenarios} == {"real-dev"}
    assert open_suite(root).digest == suite.digest


def test_registered_suites_open_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = aa(tmp_path / "bench")
    entry = register(root, "drills", version="5")
    suite = open_suite("drills")
    assert (suite.name, suite.version, suite.digest) == ("drills", "5", entry.digest)
    assert open_suite("drills@5").digest == suite.digest
    with pytest.raises(InputError, match="did you mean"):
        open_suite("drill")
    with pytest.raises(InputError, match="drills@6"):
        open_suite("drills@6")
    monkeypatch.chdir(tmp_path)
    incident(tmp_path / "drills" / "Scenario-1")
    assert open_suite("drills").version == "5", "the registered one goes first"
    assert open_suite("./drills").version == "1"
    assert open_suite("bench").name == "bench", "a folder in the current directory"


def test_a_changed_or_moved_suite_is_noticed(tmp_path: Path) -> None:
    root = aa(tmp_path / "bench")
    register(root)
    (root / "sre" / "Scenario-2" / "ground_truth.yaml").write_text(yaml.safe_dump(truth("other")))
    suite = open_suite("bench")
    finding = next(finding for finding in suite.findings if finding.code == "suite-changed")
    assert finding.severity == "warning"
    assert "--replace" in finding.message
    shutil.move(root, tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"nothing is any more.*--name bench.*suite remove bench@1"):
        open_suite("bench")
