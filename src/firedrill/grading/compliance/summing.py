"""The grade of an episode of compliance: pass or not, with everything that it was made of beside it."""

from __future__ import annotations

from typing import Any

from firedrill.core.compliance import ComplianceFacts
from firedrill.core.grade import Grade
from firedrill.core.outcome import Outcome
from firedrill.core.truth import Truth
from firedrill.grading.compliance.posture import posture
from firedrill.grading.compliance.stages import stages

SCORER = "compliance-1.0"


def grade_compliance(facts: ComplianceFacts, truth: Truth, outcome: Outcome = Outcome.SUBMITTED) -> Grade:
    """Grade one episode. Never raises for anything that an agent did or wrote.

    `score` is 1 where every verdict in every variant is right (`pass`), else 0.

    Args:
        facts: what running the artefacts showed.
        truth: whose digest the grade carries.
        outcome: how the episode ended.
    """
    way, found = stages(facts, outcome), posture(facts)
    passed = float(way.whole)
    counts = outcome is Outcome.SUBMITTED
    metrics: dict[str, float | None] = {
        "pass": passed,
        **{name: float(ok) for name, ok in way.passed.items()},
        "balanced": found.balanced if counts else 0.0,
        "variants_right": found.right / found.total if found.total and counts else 0.0,
        "false_alarms": float(len(found.false_alarms)),
        "misses": float(len(found.misses)),
        "undecided": float(len(found.undecided)),
        "named_precision": found.precision,
        "named_recall": found.recall,
        "flaky": float(found.flaky),
        "itbench_pass": None if facts.original is None else float(facts.original and counts),
        "time_to_process": facts.seconds if way.whole else None,
        "harm_items": float(len(facts.harm)),
        "conduct_flaws": float(len(facts.conduct)),
    }
    return Grade(
        scorer=SCORER,
        truth_digest=truth.digest,
        truth_version=truth.version,
        score=passed,
        reason=way.reason,
        metrics={name: None if value is None else round(value, 6) for name, value in metrics.items()},
        notes=_notes(facts),
    )


def _notes(facts: ComplianceFacts) -> dict[str, Any]:
    found = posture(facts)
    return {
        "class": facts.scenario_class,
        "control": facts.control.model_dump(mode="json"),
        "submitted": list(facts.submitted),
        "language": facts.language,
        "false_alarms": list(found.false_alarms),
        "misses": list(found.misses),
        "undecided": list(found.undecided),
        "harm": [item.model_dump(mode="json") for item in facts.harm],
        "conduct": list(facts.conduct),
    }


__all__ = ["SCORER", "grade_compliance"]
