"""Run folders: an episode is there whole or not at all, and nothing is lost or doubled."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from firedrill.core.episode import EpisodeKey
from firedrill.core.errors import InputError
from firedrill.core.outcome import Outcome
from firedrill.records import RunFolder, RunLock, RunWriter, read_manifest, replace_grades, verify
from firedrill.records.files import json_bytes, read_json, write_atomic

MakeRun = Callable[..., Path]
KEY = EpisodeKey(scenario="Scenario-1", agent="null-00000000", repeat=1)


def test_what_was_written_can_be_read(make_run: MakeRun) -> None:
    folder = RunFolder(make_run())
    records = list(folder.episodes())
    assert len(records) == 8
    assert [record.key for record in records] == list(folder.manifest.plan.episodes())
    assert folder.submission_text(KEY) == '{"entities": []}'
    grade = folder.grade(KEY)
    assert grade is not None
    assert grade.score == 0.0
    assert [line.kind for line in folder.receipt(KEY)] == ["task", "message", "end"]
    assert len(folder.timing(KEY)) == 3
    assert [path.name for path in folder.artifacts(KEY)] == ["notes.txt"]
    scenario = folder.scenario("Scenario-1")
    assert scenario.inventory == ("a/Deployment/b",)
    assert scenario.topology.nodes == ("a/Deployment/b", "a/Pod/c")
    assert scenario.truth_text == "groups: []\n"
    assert folder.manifest.complete
    assert folder.manifest.counts == {"planned": 8, "done": 8, "submitted": 8}
    assert not (folder.path / ".work").exists()


def test_same_episodes_give_the_same_digest_whatever_the_clock(make_run: MakeRun) -> None:
    first = verify(make_run("a", seconds=1.0))
    second = verify(make_run("b", seconds=99.0))
    assert first.ok
    assert first.digest == second.digest


def test_a_run_that_was_cut_is_taken_up_and_ends_the_same(
    make_run: MakeRun, tmp_path: Path, kit: Any
) -> None:
    whole = verify(make_run("whole"))
    path = make_run("cut", leave_out=3, seal=False)
    (path / ".work").mkdir(exist_ok=True)
    (path / ".work" / "9").mkdir()
    assert "not-sealed" in {problem.code for problem in verify(path).problems}
    writer = RunWriter.reopen(path)
    assert len(writer.done()) == 5
    for key in list(writer.manifest.plan.episodes())[5:]:
        kit.write_episode(writer, key)
    writer.seal({})
    again = verify(path)
    assert again.ok
    assert again.digest == whole.digest


def test_a_half_written_episode_is_forgotten(make_run: MakeRun) -> None:
    path = make_run(seal=False)
    (path / KEY.folder / "grade.json").write_bytes(b"{")
    other = KEY.model_copy(update={"repeat": 2})
    (path / other.folder / "receipt.jsonl").unlink()
    writer = RunWriter.reopen(path)
    assert len(writer.done()) == 6
    assert not (path / KEY.folder).exists()
    writer.close()


def test_an_interrupted_run_is_sealed_and_resumed(make_run: MakeRun, kit: Any) -> None:
    whole = verify(make_run("whole")).digest
    path = make_run("part", leave_out=2)
    assert verify(path).ok
    assert not verify(path).complete
    writer = RunWriter.reopen(path)
    # killed right here: sealed entries stay known, the folder says that it is open
    writer.close()
    assert [problem.code for problem in verify(path).problems] == ["not-sealed"]
    writer = RunWriter.reopen(path)
    for key in list(writer.manifest.plan.episodes())[6:]:
        kit.write_episode(writer, key)
    writer.seal({})
    assert verify(path).digest == whole


def test_resuming_refuses_episodes_edited_since(make_run: MakeRun) -> None:
    path = make_run(leave_out=1)
    submission = path / KEY.folder / "submission.json"
    submission.write_bytes(json_bytes({"text": "better"}))
    with pytest.raises(InputError, match="edited or removed"):
        RunWriter.reopen(path)


def test_resuming_refuses_scenarios_edited_since(make_run: MakeRun) -> None:
    path = make_run(leave_out=1)
    (path / "scenarios" / "Scenario-1" / "truth.yaml").write_bytes(b"groups: [1]\n")
    with pytest.raises(InputError, match="scenario's files were edited"):
        RunWriter.reopen(path)


def test_a_failure_of_ours_is_replaced_by_a_later_success(make_run: MakeRun, kit: Any) -> None:
    whole = verify(make_run("whole")).digest
    path = make_run("bad", outcome=Outcome.INFRASTRUCTURE_ERROR)
    manifest = read_manifest(path)
    assert not manifest.complete
    assert manifest.counts["infrastructure_error"] == 8
    assert RunFolder(path).grade(KEY) is None
    assert RunFolder(path).submission_text(KEY) is None
    writer = RunWriter.reopen(path)
    for key in writer.manifest.plan.episodes():
        kit.write_episode(writer, key)
    writer.seal({})
    assert verify(path).digest == whole


@pytest.mark.parametrize("content", ["file", "run", "stranger"])
def test_a_used_folder_is_refused(make_run: MakeRun, tmp_path: Path, content: str, kit: Any) -> None:
    path = tmp_path / "run"
    if content == "file":
        path.write_text("x")
    elif content == "run":
        make_run()
    else:
        path.mkdir()
        (path / "thesis.tex").write_text("x")
    with pytest.raises(InputError):
        RunWriter.create(path, kit.empty_manifest())
    if content == "stranger":
        assert [entry.name for entry in path.iterdir()] == ["thesis.tex"]


def test_a_start_killed_before_run_json_does_not_block_the_folder(tmp_path: Path, kit: Any) -> None:
    path = tmp_path / "run"
    (path / ".work").mkdir(parents=True)
    (path / ".lock").write_text("1\n")
    RunWriter.create(path, kit.empty_manifest()).close()


def test_what_killed_writes_leave_behind_is_cleared_away(make_run: MakeRun, tmp_path: Path, kit: Any) -> None:
    started = tmp_path / "started"
    started.mkdir()
    (started / ".run.json.77.tmp").write_text("{")
    RunWriter.create(started, kit.empty_manifest()).close()
    assert not list(started.glob(".*.tmp"))
    path = make_run()
    episode = next(path.glob("episodes/*/*/*"))
    for folder in (path, next(path.glob("scenarios/*")), episode):
        (folder / ".grade.json.77.tmp").write_text("{")
    assert not verify(path).ok
    RunWriter.reopen(path).seal({})
    assert verify(path).ok


def test_two_programs_cannot_write_one_run(make_run: MakeRun) -> None:
    path = make_run(leave_out=1)
    code = f"""
import time
from pathlib import Path
from firedrill.records import RunLock
lock = RunLock(Path({str(path)!r}))
print("held", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=rf"another firedrill .*process {child.pid}"):
            RunWriter.reopen(path)
        child.kill()
        child.wait()
    # a killed program lets go at once
    RunWriter.reopen(path).close()


def test_the_lock_is_given_back(tmp_path: Path) -> None:
    with RunLock(tmp_path):
        pass
    RunLock(tmp_path).close()


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no run\.json"):
        RunFolder(tmp_path)
    with pytest.raises(InputError, match=r"no run\.json"):
        verify(tmp_path)


@pytest.mark.parametrize(
    ("edit", "field"),
    [
        (lambda m: m["plan"].update(repeats=0), "plan.repeats"),
        (lambda m: m["plan"].update(scenarios=["../../etc"]), "plan.scenarios.0"),
        (lambda m: m["plan"].update(agents=["other"]), "plan.agents"),
        (lambda m: m.pop("suite"), "suite"),
        (lambda m: m["scenarios"]["Scenario-1"]["files"].update({"../x": "y"}), "scenarios"),
    ],
)
def test_a_damaged_manifest_names_the_field(make_run: MakeRun, edit: Callable, field: str) -> None:
    path = make_run()
    document = read_json(path / "run.json")
    edit(document)
    write_atomic(path / "run.json", json_bytes(document))
    with pytest.raises(InputError) as caught:
        RunFolder(path)
    assert caught.value.field is not None
    assert caught.value.field.startswith(field)
    assert not verify(path).ok


@pytest.mark.parametrize("name", ["episode.json", "grade.json", "submission.json"])
@pytest.mark.parametrize("content", [b"", b"[]", b'{"text": 3}', b"\xff"])
def test_a_damaged_file_is_named(make_run: MakeRun, name: str, content: bytes) -> None:
    folder = RunFolder(make_run())
    path = folder.folder(KEY) / name
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        folder.episode(KEY)
        folder.grade(KEY)
        folder.submission_text(KEY)
    assert caught.value.source == str(path)


def test_damaged_scenario_files_are_named(make_run: MakeRun) -> None:
    folder = RunFolder(make_run())
    root = folder.path / "scenarios" / "Scenario-2"
    (root / "topology.json").write_bytes(b'{"edges": [["a", "b", "hates"]]}')
    (root / "inventory.json").write_bytes(b"[1]")
    (root / "truth.yaml").unlink()
    scenario = folder.scenario("Scenario-2")
    for part, words in (("topology", "hates"), ("inventory", "list of ids"), ("truth_text", "found none")):
        with pytest.raises(InputError, match=words):
            getattr(scenario, part)
    with pytest.raises(InputError, match="no scenario"):
        folder.scenario("Scenario-3")


def test_a_record_in_the_wrong_place_is_said(make_run: MakeRun) -> None:
    folder = RunFolder(make_run())
    other = KEY.model_copy(update={"repeat": 2})
    shutil.copy(folder.folder(other) / "episode.json", folder.folder(KEY) / "episode.json")
    with pytest.raises(InputError, match="holds the record of"):
        folder.episode(KEY)


def test_missing_timing_is_no_error(make_run: MakeRun) -> None:
    folder = RunFolder(make_run())
    path = folder.folder(KEY) / "timing.json"
    path.write_bytes(b'{"lines": 1}')
    assert folder.timing(KEY) == ()
    path.unlink()
    assert folder.timing(KEY) == ()
    assert verify(folder.path).ok


class TestRescoring:
    def test_new_grades_are_covered_and_the_old_scoring_is_remembered(
        self, make_run: MakeRun, kit: Any
    ) -> None:
        path = make_run()
        before = verify(path)
        grades = {key: kit.grade(0.5, "dm-2.0") for key in RunFolder(path).ended()}
        manifest = replace_grades(path, grades, scorer="dm-2.0")
        after = verify(path)
        assert after.ok
        assert after.digest != before.digest
        assert after.records_digest == before.records_digest
        assert manifest.versions["scorer"] == "dm-2.0"
        assert [old.scorer for old in manifest.rescorings] == ["dm-1.0"]
        assert verify(path, expect=before.records_digest).ok
        assert not verify(path, expect=before.digest).ok

    def test_scoring_twice_changes_nothing(self, make_run: MakeRun, kit: Any) -> None:
        path = make_run()
        data = (path / "run.json").read_bytes()
        replace_grades(path, {key: kit.grade() for key in RunFolder(path).ended()}, scorer="dm-1.0")
        assert (path / "run.json").read_bytes() == data

    def test_a_rescoring_that_was_killed_is_finished_by_another(
        self, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, kit: Any
    ) -> None:
        path = make_run()
        grades = {key: kit.grade(1.0, "dm-2.0") for key in RunFolder(path).ended()}
        count = 0

        def killed(target: Path, data: bytes, *, durable: bool = False) -> None:
            nonlocal count
            count += 1
            if count == 4:
                raise KeyboardInterrupt
            write_atomic(target, data, durable=durable)

        monkeypatch.setattr("firedrill.records.rescoring.write_atomic", killed)
        with pytest.raises(KeyboardInterrupt):
            replace_grades(path, grades, scorer="dm-2.0")
        assert "unfinished" in {problem.code for problem in verify(path).problems}
        monkeypatch.undo()
        replace_grades(path, grades, scorer="dm-2.0")
        assert verify(path).ok
        assert not (path / ".rescoring").exists()


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    write_atomic(path, b"old")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"new", durable=True)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.json"]


def test_json_is_written_in_one_form() -> None:
    assert json_bytes({"b": 1, "a": "é\ud800"}) == b'{"a":"\xc3\xa9\\ud800","b":1}\n'
    assert json.loads(json_bytes("\ud800")) == "\ud800"
    with pytest.raises(ValueError, match="JSON compliant"):
        json_bytes(float("inf"))


def test_scenarios_are_complete_or_written_again(make_run: MakeRun, kit: Any) -> None:
    path = make_run(seal=False)
    (path / "scenarios" / kit.scenarios[0] / "inventory.json").unlink()
    writer = RunWriter.reopen(path)
    writer.write_scenario(kit.scenarios[0], kit.scenario_files)
    writer.write_scenario(kit.scenarios[1], kit.scenario_files)
    with pytest.raises(InputError, match="earlier episodes"):
        writer.write_scenario(kit.scenarios[1], {**kit.scenario_files, "inventory.json": b"[]"})
    writer.seal({})
    assert verify(path).ok


def test_graded_episodes_need_their_scenario(kit: Any, tmp_path: Path) -> None:
    writer = RunWriter.create(tmp_path / "run", kit.empty_manifest())
    for key in writer.manifest.plan.episodes():
        kit.write_episode(writer, key)
    writer.seal({})
    assert {problem.source for problem in verify(tmp_path / "run").problems} == {
        "scenarios/Scenario-1",
        "scenarios/Scenario-2",
    }
