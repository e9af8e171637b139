"""Grades of compliance: constant answers earn nothing, each stage needs those before it."""

from __future__ import annotations

from typing import Any

import pytest

from firedrill.core.compliance import ComplianceFacts, Control, Judged, ObjectVerdict, Stage
from firedrill.core.grade import Grade
from firedrill.core.living import HarmItem
from firedrill.core.outcome import Outcome
from firedrill.core.truth import Truth
from firedrill.grading.compliance import grade_compliance, posture

TRUTH = Truth(version="v2", form="v2", groups=(), digest="sha256:0")
GOOD = Stage(ok=True)


def variant(name: str, got: str, *, compliant: bool, trap: str = "") -> Judged:
    return Judged(name=name, trap=trap or name, compliant=compliant, got=got)


def facts(verdict: str | None = None, /, **changes: Any) -> ComplianceFacts:
    """Facts of artefacts that are right, or always say the same."""
    judged = tuple(
        variant(name, verdict or ("pass" if compliant else "fail"), compliant=compliant)
        for name, compliant in (
            ("V0", False),
            ("C0", True),
            ("1", True),
            ("2", True),
            ("3", False),
            ("4", False),
        )
    )
    known: dict[str, Any] = {
        "scenario_class": "kubectl-opa",
        "control": Control(framework="X"),
        "submitted": ("policy.rego",),
        "collector": GOOD,
        "engine": GOOD,
        "evidence": GOOD,
        "judged": judged,
        "seconds": 60.0,
    }
    return ComplianceFacts(**{**known, **changes})


def grade(found: ComplianceFacts, outcome: Outcome = Outcome.SUBMITTED) -> Grade:
    return grade_compliance(found, TRUTH, outcome)


def test_right_everywhere_passes() -> None:
    got = grade(facts(original=True))
    assert got.score == 1.0
    assert got.metrics["balanced"] == 1.0
    assert [got.metrics[name] for name in ("iec", "ipa", "ce", "sap", "pass", "itbench_pass")] == [1.0] * 6
    assert got.metrics["time_to_process"] == 60.0


@pytest.mark.parametrize("constant", ["pass", "fail", "undefined", "error"])
def test_constant_answers_earn_nothing(constant: str) -> None:
    got = grade(facts(constant))
    assert got.score == 0.0
    assert (got.metrics["balanced"] or 0.0) <= 0.0
    assert got.metrics["time_to_process"] is None


def test_the_two_that_can_be_learnt_by_heart_do_not_count_in_balanced() -> None:
    judged = [item if item.hidden else item.model_copy(update={"got": "error"}) for item in facts().judged]
    got = grade(facts(judged=tuple(judged)))
    assert got.metrics["balanced"] == 1.0
    assert got.score == 0.0


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        ("collector", [0.0, 0.0, 0.0, 0.0]),
        ("engine", [1.0, 0.0, 0.0, 0.0]),
        ("evidence", [1.0, 1.0, 0.0, 0.0]),
    ],
)
def test_each_stage_needs_those_before_it(broken: str, expected: list[float]) -> None:
    got = grade(facts(None, **{broken: Stage(reason="it is broken")}))
    assert [got.metrics[name] for name in ("iec", "ipa", "ce", "sap")] == expected
    assert "it is broken" in got.reason


def test_one_wrong_object_spoils_a_variant() -> None:
    objects = (
        ObjectVerdict(object="a/Pod/x", expected="fail", got="fail"),
        ObjectVerdict(object="a/Pod/y", expected="pass", got="fail"),
    )
    judged = Judged(
        name="1", trap="many", compliant=False, got="fail", objects=objects, violating=("a/Pod/x",)
    )
    found = posture(facts(judged=(judged,)))
    assert (found.right, found.false_alarms, found.misses) == (0, ("many",), ())
    assert (found.precision, found.recall) == (0.5, 1.0)


def test_who_mends_instead_of_assessing_fails() -> None:
    item = HarmItem(kind="collateral", entity="a/Deployment/x", what="changed")
    got = grade(facts(harm=(item,)))
    assert (got.metrics["ce"], got.metrics["sap"]) == (1.0, 0.0)
    assert "a/Deployment/x" in got.reason


def test_flaky_artefacts_fail() -> None:
    got = grade(facts(again=variant("V0", "pass", compliant=False)))
    assert (got.metrics["flaky"], got.score) == (1.0, 0.0)


@pytest.mark.parametrize("outcome", [Outcome.TIME_LIMIT, Outcome.NO_SUBMISSION, Outcome.AGENT_ERROR])
def test_who_did_not_hand_in_gets_nothing(outcome: Outcome) -> None:
    got = grade(facts(), outcome)
    assert (got.score, got.metrics["iec"], got.metrics["balanced"]) == (0.0, 0.0, 0.0)


def test_named_violations_are_none_where_nothing_is_named() -> None:
    assert grade(facts()).metrics["named_recall"] is None
