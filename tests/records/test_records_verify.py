"""verify finds every edit of every recorded file outside ``timing``."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firedrill.core.outcome import Outcome
from firedrill.records import RunWriter, verify

MakeRun = Callable[..., Path]


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory, kit: Any) -> Path:
    path = tmp_path_factory.mktemp("sealed") / "run"
    writer = RunWriter.create(path, kit.empty_manifest())
    for scenario in kit.scenarios:
        writer.write_scenario(scenario, kit.scenario_files)
    for key in writer.manifest.plan.episodes():
        kit.write_episode(writer, key)
    writer.seal({"seconds": 3.25})
    return path


def recorded(run: Path) -> list[Path]:
    found = [path for path in run.rglob("*") if path.is_file() and path.name not in ("timing.json", ".lock")]
    return sorted(found)


def timing_span(data: bytes) -> tuple[int, int]:
    """Where the ``timing`` member's value stands; an empty span when there is none."""
    match = re.search(rb'"timing": \{[^}]*\}', data)
    return match.span() if match else (0, 0)


def copy_of(run: Path, target: Path) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(run, target)
    return target


SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@SETTINGS
@given(data=st.data())
def test_every_edit_of_a_byte_is_found(sealed: Path, tmp_path: Path, data: st.DataObject) -> None:
    run = tmp_path / "copy"
    if not run.exists():
        shutil.copytree(sealed, run)
    path = data.draw(st.sampled_from(recorded(run)))
    content = path.read_bytes()
    start, end = timing_span(content) if path.name in ("run.json", "episode.json") else (0, 0)
    at = data.draw(st.integers(0, len(content) - 1).filter(lambda place: not start <= place < end))
    edit = data.draw(st.sampled_from(["change", "remove", "insert", "cut"]))
    byte = data.draw(st.binary(min_size=1, max_size=1))
    if edit == "change":
        changed = content[:at] + byte + content[at + 1 :]
    elif edit == "remove":
        changed = content[:at] + content[at + 1 :]
    elif edit == "insert":
        changed = content[:at] + byte + content[at:]
    else:
        changed = content[:at]
    try:
        path.write_bytes(changed)
        assert verify(run).ok == (changed == content)
    finally:
        path.write_bytes(content)


@SETTINGS
@given(data=st.data())
def test_every_removed_swapped_or_added_file_is_found(
    sealed: Path, tmp_path: Path, data: st.DataObject
) -> None:
    run = copy_of(sealed, tmp_path / "copy")
    files = recorded(run)
    path = data.draw(st.sampled_from(files))
    edit = data.draw(st.sampled_from(["remove", "swap", "add", "link"]))
    same = False
    if edit == "remove" and path.name == "run.json":
        return
    if edit == "remove":
        path.unlink()
    elif edit == "swap":
        other = data.draw(st.sampled_from(files))
        here, there = path.read_bytes(), other.read_bytes()
        same = here == there
        path.write_bytes(there)
        other.write_bytes(here)
    elif edit == "add":
        name = data.draw(st.sampled_from(["x", "submission2.json", ".hidden"]))
        path.with_name(name).write_bytes(b"")
    else:
        kept = tmp_path / "kept"
        path.rename(kept)
        path.symlink_to(kept)
    assert verify(run).ok == same


@pytest.mark.parametrize(
    "part", ["episodes", "scenarios", "episodes/Scenario-1", "episodes/Scenario-2/null-00000000/1"]
)
def test_removed_folders_are_found(sealed: Path, tmp_path: Path, part: str) -> None:
    run = copy_of(sealed, tmp_path / "copy")
    shutil.rmtree(run / part)
    assert not verify(run).ok


def test_swapped_episodes_are_found(sealed: Path, tmp_path: Path) -> None:
    run = copy_of(sealed, tmp_path / "copy")
    first, second = (run / "episodes" / "Scenario-1" / "null-00000000" / n for n in ("1", "2"))
    first.rename(tmp_path / "aside")
    second.rename(first)
    (tmp_path / "aside").rename(second)
    assert not verify(run).ok


def test_an_added_episode_is_found(sealed: Path, tmp_path: Path) -> None:
    run = copy_of(sealed, tmp_path / "copy")
    agent = run / "episodes" / "Scenario-1" / "null-00000000"
    shutil.copytree(agent / "1", agent / "3")
    assert "episodes/Scenario-1/null-00000000/3" in {problem.source for problem in verify(run).problems}


def test_an_empty_folder_is_found(sealed: Path, tmp_path: Path) -> None:
    run = copy_of(sealed, tmp_path / "copy")
    (run / "episodes" / "Scenario-1" / "ghost").mkdir()
    assert not verify(run).ok


def test_times_may_change(sealed: Path, tmp_path: Path) -> None:
    run = copy_of(sealed, tmp_path / "copy")
    path = run / "run.json"
    path.write_bytes(path.read_bytes().replace(b'"seconds": 3.25', b'"seconds": 9.75'))
    episode = next(run.rglob("episode.json"))
    episode.write_bytes(episode.read_bytes().replace(b'"total": 1.5', b'"total": 2.5'))
    found = verify(run)
    assert found.ok
    assert found.digest == verify(sealed).digest


def test_the_report_may_stand_beside(sealed: Path, tmp_path: Path) -> None:
    run = copy_of(sealed, tmp_path / "copy")
    (run / "report").mkdir()
    (run / "report" / "index.html").write_text("<p>")
    assert verify(run).ok


def test_the_broken_line_is_named(sealed: Path, tmp_path: Path) -> None:
    run = copy_of(sealed, tmp_path / "copy")
    path = next(run.rglob("receipt.jsonl"))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[2])
    (problem,) = verify(run).problems
    assert problem.line == 2
    assert problem.code == "broken-chain"


def test_a_digest_kept_elsewhere_finds_a_careful_forger(
    sealed: Path, tmp_path: Path, make_run: MakeRun
) -> None:
    kept = verify(sealed).digest
    forged = make_run("forged", outcome=Outcome.NO_SUBMISSION)
    assert verify(forged).ok
    assert verify(sealed, expect=kept).ok
    (problem,) = verify(forged, expect=kept).problems
    assert problem.code == "other-digest"
    assert kept in problem.message


def test_links_out_of_the_run_are_not_followed(sealed: Path, tmp_path: Path) -> None:
    run = copy_of(sealed, tmp_path / "copy")
    os.symlink("/", run / "outside")
    (problem,) = verify(run).problems
    assert problem.source == "outside"


def test_the_result_has_a_json_form(sealed: Path) -> None:
    document = verify(sealed).to_json()
    assert document["ok"] is True
    assert document["episodes"] == 8
    assert document["problems"] == []
