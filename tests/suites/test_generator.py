"""Suites from the generator: layout, forms, determinism, and truths that can be found in the evidence."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from firedrill import grading, snapshot
from firedrill.core.errors import InputError
from firedrill.core.submission import parse_submission
from firedrill.core.truth import parse_truth_text
from firedrill.snapshot.columns import LOG_COLUMNS, POD_METRIC_COLUMNS, SERVICE_METRIC_COLUMNS, TRACE_COLUMNS
from firedrill.suites import lint_suite, open_suite
from firedrill.suites.generator import generate_incident, generate_suite
from firedrill.suites.generator.faults import MECHANISMS
from firedrill.suites.generator.suite import plans

pytestmark = pytest.mark.slow

csv.field_size_limit(1 << 30)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def digest(folder: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every mechanism at least once, with small traffic."""
    out = tmp_path_factory.mktemp("generated") / "suite"
    return generate_suite(out, count=18, seed=5, scale=0.3, name="practice")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where what was imported of the suite's incidents is kept."""
    return tmp_path_factory.mktemp("cache")


def test_a_suite_opens_and_says_where_it_came_from(suite: Path) -> None:
    opened = open_suite(suite)
    assert (opened.name, opened.version, len(opened.scenarios)) == ("practice", "1.5", 18)
    assert opened.provenance["seed"] == 5
    assert opened.findings == ()
    rows = [json.loads(line) for line in (suite / "sre" / "data.jsonl").read_text().splitlines()]
    assert list(rows[0]) == [
        "id_aa",
        "scenario_id",
        "category",
        "source_split",
        "scenario_root",
        "ground_truth_yaml",
    ]
    assert {row["source_split"] for row in rows} == {"dev", "test"}
    for row in rows:
        beside = (suite / "sre" / row["scenario_id"] / "ground_truth.yaml").read_text()
        assert row["ground_truth_yaml"] == beside


def test_the_linter_has_nothing_to_complain_about(suite: Path) -> None:
    findings = lint_suite(open_suite(suite))
    assert [found for found in findings if found.severity != "info"] == []


def test_every_mechanism_comes_once_before_any_comes_twice() -> None:
    for seed in range(5):
        firsts = [plan.mechanisms[0] for plan in plans(len(MECHANISMS), seed)]
        spent = [name for plan in plans(len(MECHANISMS), seed) for name in plan.mechanisms]
        assert len(set(firsts)) >= len(MECHANISMS) - 3
        assert len(set(spent)) == len(MECHANISMS)
        assert all(len(plan.mechanisms) == len(set(plan.mechanisms)) for plan in plans(40, seed))


def test_suites_differ_in_form_and_in_what_was_recorded() -> None:
    drawn = plans(40, 7)
    assert {plan.wrapped for plan in drawn} == {plan.lite for plan in drawn} == {True, False}
    assert {plan.envelope for plan in drawn} == {plan.both_event_forms for plan in drawn} == {True, False}
    assert {len(plan.mechanisms) for plan in drawn} == {1, 2}
    missing = set().union(*(plan.without for plan in drawn))
    assert missing == {"traces", "metrics", "events"}


def test_every_incident_is_read_without_a_finding_and_holds_its_roots(suite: Path, cache: Path) -> None:
    for scenario in open_suite(suite).scenarios:
        truth, findings = parse_truth_text(scenario.truth_text, scenario.id)
        assert findings == [], scenario.id
        assert truth.roots
        with snapshot.open_incident(scenario.folder, cache_dir=cache) as incident:
            assert incident.findings == (), scenario.id
            inventory = incident.inventory()
            roots = grading.name_roots(truth, inventory)
            assert roots.missing == (), scenario.id
            answer = {"entities": [{"name": name, "contributing_factor": True} for name in roots.names]}
            topology = incident.topology()
        grade = grading.grade(
            parse_submission(json.dumps(answer)), truth, topology=topology, inventory=inventory
        )
        assert grade.score == 1.0, scenario.id


def test_each_group_of_a_truth_names_something_in_the_incident(suite: Path, cache: Path) -> None:
    for scenario in open_suite(suite).scenarios:
        truth, _ = parse_truth_text(scenario.truth_text, scenario.id)
        with snapshot.open_incident(scenario.folder, cache_dir=cache) as incident:
            inventory = incident.inventory()
        for group in truth.groups:
            space = group.namespace or "cluster"
            names = [name.split("/", 2) for name in inventory]
            hits = [
                name
                for namespace, kind, name in names
                if (namespace, kind) == (space, group.kind) and re.fullmatch(group.filters[0], name)
            ]
            assert hits, (scenario.id, group)
        known = {group.id for group in truth.groups}
        for step in truth.propagations:
            assert {step.source, step.target} <= known


def test_headers_are_the_published_ones(suite: Path) -> None:
    wanted = {
        "k8s_objects_raw": LOG_COLUMNS,
        "k8s_events_raw": LOG_COLUMNS,
        "otel_logs_raw": LOG_COLUMNS,
        "otel_traces_raw": TRACE_COLUMNS,
    }
    seen = set()
    for path in suite.rglob("*_raw.tsv"):
        header = tuple(path.open(encoding="utf-8").readline().rstrip("\n").split("\t"))
        columns = wanted.get(path.stem)
        if path.parent.name == "metrics":
            columns = POD_METRIC_COLUMNS if path.name.startswith("pod_") else SERVICE_METRIC_COLUMNS
        assert header == columns, path
        seen.add(path.stem)
    assert set(wanted) <= seen


def test_the_same_seed_gives_the_same_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from firedrill.suites.generator import generate_suite;"
        "generate_suite(Path(sys.argv[1]), count=4, seed=11, scale=0.4)"
    )
    digests = []
    for hash_seed in ("0", "4711"):
        out = tmp_path / hash_seed
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        subprocess.run([sys.executable, "-c", code, str(out)], check=True, env=environment)
        digests.append(digest(out))
    assert digests[0] == digests[1]
    generate_suite(tmp_path / "other", count=4, seed=12, scale=0.4)
    assert digest(tmp_path / "other") != digests[0]


def test_one_incident_does_not_depend_on_how_many_follow(tmp_path: Path) -> None:
    generate_suite(tmp_path / "few", count=1, seed=2, scale=0.4)
    first = digest(tmp_path / "few" / "sre" / "Scenario-1")
    generate_suite(tmp_path / "again", count=1, seed=2, scale=0.4)
    assert digest(tmp_path / "again" / "sre" / "Scenario-1") == first


def test_scale_multiplies_telemetry(tmp_path: Path) -> None:
    rows = []
    for scale in (1.0, 4.0):
        out = generate_incident(tmp_path / str(scale), mechanisms=["scaled-to-zero"], seed=3, scale=scale)
        rows.append(len(table(out / "otel_traces_raw.tsv")))
    assert 3.2 < rows[1] / rows[0] < 4.8


def test_an_incident_has_about_the_wanted_size(tmp_path: Path) -> None:
    out = generate_incident(tmp_path / "big", mechanisms=["bad-image"], seed=3, megabytes=24)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    assert 18e6 < size < 30e6


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    generate_suite(tmp_path / "s", count=2, scale=0.3, progress=lambda done, all_: told.append((done, all_)))
    assert told == [(1, 2), (2, 2)]


def test_a_folder_in_use_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="is not empty"):
        generate_suite(tmp_path / "out", count=1)
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "mine.txt"]
    with pytest.raises(InputError, match="is not empty"):
        generate_suite(tmp_path / "out" / "mine.txt", count=1)
    with pytest.raises(InputError, match="cannot be made"):
        generate_suite(tmp_path / "out" / "mine.txt" / "below", count=1)


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert generate_suite(tmp_path / "out", count=1, scale=0.3) == tmp_path / "out"
    assert (tmp_path / "out" / "suite.yaml").is_file()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"count": 0}, "count: must be at least 1"),
        ({"scale": 0.0}, "scale: must be above 0"),
        ({"scale": float("nan")}, "scale: must be above 0"),
        ({"name": "no spaces"}, "name"),
    ],
)
def test_numbers_out_of_range_are_refused(tmp_path: Path, arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        generate_suite(tmp_path / "out", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_mechanism_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such mechanism: gremlins.*bad-image"):
        generate_incident(tmp_path / "out", mechanisms=["gremlins"])
    assert list(tmp_path.iterdir()) == []


def test_nothing_half_written_stays_when_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from firedrill.suites.generator import suite as module

    def fails(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "write", fails)
    with pytest.raises(KeyboardInterrupt):
        generate_suite(tmp_path / "out", count=1)
    assert list(tmp_path.iterdir()) == []


def test_both_forms_of_truth_occur(suite: Path) -> None:
    forms = [yaml.safe_load(path.read_text()) for path in suite.rglob("ground_truth.yaml")]
    wrapped = [form for form in forms if form.get("kind") == "GroundTruth"]
    assert wrapped
    assert len(wrapped) < len(forms)
    assert all("recommendedActions" in form["spec"] for form in wrapped)
    assert all(form["metadata"] == {"version": "v1"} for form in forms if form not in wrapped)
