"""The investigator as a whole: ranking, fitting, calibration, degradation, hostile data, agent and verb."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedrill.agents import create
from firedrill.agents.base import AgentError, Episode, Meter, Task
from firedrill.agents.sleuth.answer import answer
from firedrill.agents.sleuth.calibration import expected_error, fit_line, reliability
from firedrill.agents.sleuth.case import Case, Change, at, listing, mapping
from firedrill.agents.sleuth.engine import calibrated, investigate, load_settings
from firedrill.agents.sleuth.fitting import Example, fit
from firedrill.agents.sleuth.graph import addresses
from firedrill.agents.sleuth.quantity import quantity
from firedrill.agents.sleuth.ranking import FEATURES
from firedrill.agents.sleuth.reading import _changes, differences
from firedrill.cli.app import main
from firedrill.core.episode import Limits
from firedrill.core.outcome import Outcome
from firedrill.core.submission import parse_submission
from firedrill.core.truth import parse_truth_text
from firedrill.grading import grade
from firedrill.snapshot import LogRow, find_incidents, open_incident, truth_file, write_incident
from firedrill.tools import RecordedEvidence


@pytest.fixture(scope="module")
def incident(recorded_suite: Path) -> Path:
    return find_incidents(recorded_suite)[0].path


@pytest.fixture(autouse=True)
def imported(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The incident is imported once."""
    monkeypatch.setenv("FIREDRILL_CACHE", str(tmp_path_factory.getbasetemp() / "sleuth-cache"))


def recorded(folder: Path) -> RecordedEvidence:
    return RecordedEvidence(open_incident(folder))


class Receipt:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def append(self, kind: str, /, **payload: Any) -> None:
        self.lines.append((kind, payload))


def episode(open_evidence: Callable[[], Any] | None) -> Episode:
    limits = Limits()
    meter = Meter(limits)
    meter.start()
    return Episode(Task(), None, meter, Receipt(), limits, 1, open_evidence=open_evidence)  # type: ignore[arg-type]


def test_a_recorded_incident_is_solved_the_same_way_each_time(incident: Path) -> None:
    documents = []
    for _ in range(2):
        with recorded(incident) as evidence:
            documents.append(json.dumps(answer(investigate(evidence))))
    assert documents[0] == documents[1]
    place = truth_file(incident)
    assert place is not None
    truth, _ = parse_truth_text(place.read_text("utf-8"), str(place))
    assert grade(parse_submission(documents[0]), truth).score == 1.0


@pytest.mark.parametrize(
    "hidden", [("objects",), ("alerts", "metrics"), ("events", "logs", "traces")], ids="+".join
)
def test_it_works_without_some_modalities(incident: Path, hidden: tuple[str, ...]) -> None:
    with RecordedEvidence(open_incident(incident), frozenset(hidden)) as evidence:
        diagnosis = investigate(evidence)
    assert 0.0 <= diagnosis.confidence <= 1.0
    assert parse_submission(json.dumps(answer(diagnosis))).error is None


def test_it_abstains_when_there_is_nothing(tmp_path: Path) -> None:
    folder = write_incident(
        tmp_path / "quiet", logs=[LogRow(1_780_000_000_000_000_000, "all is well", "web")]
    )
    with recorded(folder) as evidence:
        diagnosis = investigate(evidence)
    assert diagnosis.causes == ()
    assert diagnosis.confidence == 0.0


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "spec",
                    "status",
                    "metadata",
                    "containers",
                    "ports",
                    "port",
                    "selector",
                    "template",
                    "labels",
                    "env",
                    "name",
                    "value",
                    "conditions",
                    "type",
                    "rules",
                    "volumes",
                    "matchLabels",
                    "hard",
                    "used",
                    "podSelector",
                    "ingress",
                    "containerStatuses",
                    "state",
                    "waiting",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "Pod",
                "Deployment",
                "Service",
                "Node",
                "NetworkPolicy",
                "ResourceQuota",
                "PersistentVolumeClaim",
                "Ingress",
                "HorizontalPodAutoscaler",
                "NetworkChaos",
                "Schedule",
                "AuthorizationPolicy",
                "ConfigMap",
            ]
        ),
        ODD,
        max_size=5,
    )
)
def test_no_shape_of_an_object_breaks_a_family(bodies: dict[str, Any]) -> None:
    from firedrill.agents.sleuth.case import Thing
    from firedrill.agents.sleuth.engine import conclude
    from firedrill.agents.sleuth.symptoms import find_symptoms

    case = Case()
    for kind, body in bodies.items():
        if isinstance(body, dict):
            case.objects[f"shop/{kind}/x"] = Thing(f"shop/{kind}/x", body)
    case.symptoms = tuple(find_symptoms(case))
    answer(conclude(case))


def test_fitting_finds_what_tells_right_from_wrong_and_keeps_signs() -> None:
    good, bad = {"covers": 1.0, "common": 0.0}, {"covers": 0.0, "common": 1.0}
    examples = [Example(f"i{n}", f"m{n % 3}", [good, bad], [True, False]) for n in range(12)]
    weights = fit(examples)
    assert weights["covers"] > 1.0
    assert weights["common"] < -1.0
    inverted = fit([Example(e.name, e.group, e.rows, [False, True]) for e in examples])
    assert inverted["covers"] == 0.0
    assert inverted["common"] == 0.0


def test_incidents_without_a_right_hypothesis_teach_nothing() -> None:
    nothing = fit([Example("a", "m", [{"covers": 1.0}], [False])])
    assert nothing == fit([])
    assert all(nothing[name] * sign > 0 for name, sign in FEATURES.items())


def test_shipped_weights_have_the_sign_that_their_feature_allows() -> None:
    settings = load_settings()
    assert set(settings["weights"]) == set(FEATURES)
    assert all(settings["weights"][name] * sign >= 0 for name, sign in FEATURES.items())


def test_calibration_pulls_confidence_to_what_was_right() -> None:
    pairs = [(0.95, n % 2 == 0) for n in range(100)]
    line = fit_line(pairs)
    assert abs(calibrated(0.95, line) - 0.5) < 0.15
    assert calibrated(0.0, line) < calibrated(1.0, line)
    bins = reliability(pairs)
    assert [(b.count, b.right) for b in bins] == [(100, 0.5)]
    assert expected_error(bins) == pytest.approx(0.45)
    assert expected_error([]) == 0.0


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("250m", 0.25),
        ("1Gi", 2.0**30),
        ("1e3", 1000.0),
        (2, 2.0),
        ("10k", 1e4),
        ("x", None),
        (None, None),
        (True, None),
    ],
)
def test_quantities(text: object, number: float | None) -> None:
    assert quantity(text) == number


def test_addresses_of_settings() -> None:
    assert addresses("store:6379") == (("store", 6379),)
    assert addresses("http://api.shop.svc:8080/v1") == (("api.shop.svc", 8080),)
    assert ("db", 5432) in addresses("postgres://u:p@db:5432/x")


@given(st.text(max_size=200))
def test_any_text_can_be_a_setting(text: str) -> None:
    assert all(port is None or port < 100_000 for _, port in addresses(text))


def test_changes_tell_what_can_hurt() -> None:
    assert Change(None, "spec.hard.pods", "20", "4").grave
    assert not Change(None, "spec.hard.pods", "4", "20").grave
    assert not Change(None, "spec.replicas", "1", "3").grave
    assert Change(None, "data.flag", "off", "on").grave


def test_differences_name_leaves() -> None:
    before = {"a": {"b": 1, "c": [1, 2]}, "gone": True}
    after = {"a": {"b": 2, "c": [1, 3]}, "new": "x"}
    assert sorted(differences(before, after)) == [
        ("a.b", "1", "2"),
        ("a.c[1]", "2", "3"),
        ("gone", "true", ""),
        ("new", "", "x"),
    ]


def test_a_change_of_a_secret_is_told_without_its_value() -> None:
    states: list[tuple[datetime, Mapping[str, Any]]] = [
        (datetime(2026, 1, 1, tzinfo=UTC), {"kind": "Secret", "data": {"password": "b2xk"}}),
        (datetime(2026, 1, 2, tzinfo=UTC), {"kind": "Secret", "data": {"password": "bmV3"}}),
    ]
    assert [(c.path, c.before, c.after) for c in _changes(states)] == [
        ("data.password", "(masked)", "(another value)")
    ]


def test_odd_bodies_are_empty() -> None:
    assert mapping({"a": 1}, "a") == {}
    assert listing({"a": [1, {"b": 2}]}, "a") == [{"b": 2}]
    assert at({"a": [1]}, "a", 5) is None


def test_the_agent_answers_and_shows_its_reasoning(incident: Path) -> None:
    work = episode(lambda: recorded(incident))
    result = asyncio.run(create("sleuth").solve(work))
    assert result.outcome is Outcome.SUBMITTED
    assert parse_submission(result.submission).causes
    lines = work.receipt.lines  # type: ignore[attr-defined]
    shown = "\n".join(payload["content"] for kind, payload in lines if kind == "message")
    pointed = set(re.findall(r"\[(e[0-9]+)\]", shown))
    assert pointed
    assert pointed == {payload["id"] for kind, payload in lines if kind == "evidence"}
    assert "Onset" in shown and "Suspects" in shown and "Cause" in shown
    assert 0.0 <= result.notes["confidence"] <= 1.0


def test_the_agent_needs_evidence_and_may_abstain(tmp_path: Path) -> None:
    with pytest.raises(AgentError):
        asyncio.run(create("sleuth").solve(episode(None)))
    quiet = write_incident(tmp_path / "quiet", logs=[LogRow(1_780_000_000_000_000_000, "all is well", "web")])

    @contextmanager
    def evidence() -> Iterator[Any]:
        with open_incident(quiet) as found:
            yield found

    assert asyncio.run(create("sleuth").solve(episode(evidence))).outcome is Outcome.NO_SUBMISSION


def test_the_agent_has_no_secret_configuration() -> None:
    config = create("sleuth").config()
    assert len(config.pop("weights")) == 16
    assert config == {"agent": "sleuth", "version": 2}


def test_the_verb_prints_a_diagnosis(incident: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["investigate", str(incident)]) == 0
    text = capsys.readouterr().out
    for head in ("Cause: ", "Since: ", "What is wrong:", "Chain:", "Evidence:", "Fix:", "Also considered:"):
        assert head in text
    assert main(["investigate", str(incident), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["entities"][0]["contributing_factor"] is True
    assert {"propagations", "alerts_explained", "fix", "confidence", "onset", "considered"} <= set(document)


def test_the_verb_says_what_it_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["investigate", str(tmp_path / "nowhere")]) == 2
    assert main(["investigate", str(tmp_path)]) == 2
    for name in ("one", "two"):
        write_incident(tmp_path / name, logs=[LogRow(1_780_000_000_000_000_000, "all is well", "web")])
    assert main(["investigate", str(tmp_path)]) == 2
    assert "name one of them" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.shared
def test_real_incidents_are_diagnosed(shared_data: Callable[[str], Path]) -> None:
    for found in find_incidents(shared_data("real-dev"))[:5]:
        with recorded(found.path) as evidence:
            assert investigate(evidence).causes
