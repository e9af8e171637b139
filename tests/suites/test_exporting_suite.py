"""Whole suites of living worlds are written as recorded snapshots, and run as such."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from firedrill.cli import main
from firedrill.core.errors import InputError
from firedrill.core.scenario import Scenario
from firedrill.core.truth import parse_truth_text
from firedrill.suites import lint_any, open_suite
from firedrill.suites.exporting import Amount
from firedrill.suites.exporting import suite as room
from firedrill.suites.exporting.suite import export_suite
from firedrill.suites.living import Case, CaseFault, Incident, Worlds, simulate
from firedrill.suites.living.truth import tell
from firedrill.suites.living.writing import scenario_of, text_of

pytestmark = pytest.mark.slow

SMALL = Amount(traces=0.05, metrics_ms=120_000)


@pytest.fixture(scope="module")
def worlds() -> Worlds:
    return Worlds(1)


CASE = Case(
    "book-info",
    (CaseFault("workload-scaled-to-zero", {"namespace": "book-info", "name": "details-v1"}, 1_815_000),),
    seed=4,
    life=1,
    red_herrings=1,
    nodes=3,
    modalities=("alerts", "events", "objects", "metrics", "topology"),
)


@pytest.fixture(scope="module")
def incident(worlds: Worlds) -> Incident:
    return simulate(CASE, worlds)


@pytest.fixture(scope="module")
def scenario(incident: Incident) -> Scenario:
    return scenario_of(incident, tell(incident, "living-1"), "living-1")


@pytest.fixture(scope="module")
def suite(scenario: Scenario, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("suite")
    (root / "scenarios").mkdir()
    (root / "suite.yaml").write_text("name: two\nversion: '3'\n")
    (root / "scenarios" / "living-1.yaml").write_text(text_of(scenario))
    return root


@pytest.fixture(scope="module")
def exported(suite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "new"
    options = ["--traces", SMALL.traces, "--logs", SMALL.logs, "--step", SMALL.metrics_ms // 1000]
    assert main(["suite", "export", str(suite), str(out), "-n", "1", *map(str, options)]) == 0
    assert not (out / ".under-way").exists()
    return out


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_it_is_a_suite(exported: Path, scenario: Scenario) -> None:
    suite = open_suite(exported)
    assert (suite.name, suite.version) == ("two", "3")
    (item,) = suite.scenarios
    assert item.row["id_aa"] == "living-1"
    assert set(item.scenario.environment.modalities) >= {"alerts", "events", "objects", "metrics"}
    assert "traces" not in item.scenario.environment.modalities
    truth, _ = parse_truth_text(item.truth_text, "written")
    own = {key: scenario.truth[key] for key in ("apiVersion", "kind", "metadata", "spec")}
    wanted, _ = parse_truth_text(json.dumps(own), "own")
    assert truth.groups == wanted.groups
    assert truth.propagations == wanted.propagations
    assert truth.digest == wanted.digest
    assert (item.folder / "ground_truth_v2.yaml").is_file()
    report = lint_any(exported)
    assert [finding for finding in report.findings if finding.severity == "error"] == []


_PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_exporting_suite import CASE, SMALL, told
from firedrill.suites.exporting.suite import export_scenario
from firedrill.suites.living import Worlds, simulate
from firedrill.suites.living.truth import tell
from firedrill.suites.living.writing import scenario_of
worlds = Worlds(1)
incident = simulate(CASE, worlds)
scenario = scenario_of(incident, tell(incident, "living-1"), "living-1")
export_scenario(scenario, Path(sys.argv[2]), worlds, SMALL)
sys.stdout.write(told(incident, scenario))
"""


def told(incident: Incident, scenario: Scenario) -> str:
    return incident.world.digest() + text_of(scenario)


def test_another_process_sees_and_writes_the_same(
    incident: Incident, scenario: Scenario, exported: Path, tmp_path: Path
) -> None:
    out = tmp_path / "again"
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(Path(__file__).parent), str(out)],
        env={**os.environ, "PYTHONHASHSEED": "777"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == told(incident, scenario)
    assert contents(out) == contents(exported / "sre" / "Scenario-1")


def test_foreign_folders_are_left_alone(suite: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        export_suite(open_suite(suite), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_what_was_begun_goes_on(exported: Path, suite: Path, tmp_path: Path) -> None:
    out = tmp_path / "half"
    source = open_suite(suite)
    work = room._begin(source, room.chosen(source, (), None), out, SMALL)
    (out / "sre" / "Scenario-1").mkdir(parents=True)
    (out / "sre" / "Scenario-1" / "done").write_text("as it was left")
    assert work.is_dir()
    with pytest.raises(InputError, match="something else"):
        export_suite(source, out, amount=Amount())
    export_suite(source, out, amount=SMALL)
    assert [path.name for path in (out / "sre" / "Scenario-1").iterdir()] == ["done"]
    assert (out / "sre" / "data.jsonl").is_file()


def test_wrong_names_are_told(suite: Path, exported: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no scenario of a living world"):
        export_suite(open_suite(exported), tmp_path / "out")
    with pytest.raises(InputError, match="has no scenario 'x'"):
        export_suite(open_suite(suite), tmp_path / "out", names=["x"])
    assert not (tmp_path / "out").exists()
