"""The grade of a living episode: resolved or not, with everything that it was made of beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from firedrill.core.grade import Grade
from firedrill.core.living import Facts, Intervention
from firedrill.core.outcome import Outcome
from firedrill.core.submission import Submission
from firedrill.core.topology import Topology
from firedrill.core.truth import Truth
from firedrill.grading import SCORER as DIAGNOSIS
from firedrill.grading import grade
from firedrill.grading.living.conducting import Conduct, conduct
from firedrill.grading.living.harming import CLASSES, Harm, harm
from firedrill.grading.living.repairing import Repair, repair
from firedrill.grading.living.timing import Timing, timing

SCORER = f"{DIAGNOSIS}+living-1.2"
_ENDED = frozenset({Outcome.SUBMITTED, Outcome.NO_SUBMISSION})
"""Outcomes of agents that ended by themselves and inside the limits."""
NAMED = 0.5
"""What a diagnosis is worth at least where an incident is handed over: all causes, at most as many others."""


def resolved(facts: Facts, outcome: Outcome, *, diagnosis: float = 0.0) -> bool:
    """Whether an incident was resolved: repaired, with no harm or minor harm, inside the limits.

    Handing over to a person resolves only what the scenario says is to be handed over, and only where the
    person is told what is wrong: the diagnosis is worth at least `NAMED`, by labels or by intervention.

    Args:
        facts: of the episode.
        outcome: how it ended.
        diagnosis: its score by labels.
    """
    named = _named(facts, diagnosis)
    return _verdict(facts, outcome, repair(facts), harm(facts), named=named)[0]


def grade_living(
    submission: Submission | None,
    truth: Truth,
    facts: Facts,
    *,
    topology: Topology | None = None,
    inventory: Sequence[str] | None = None,
    outcome: Outcome = Outcome.SUBMITTED,
) -> Grade:
    """Grade one living episode. Never raises for anything that an agent did or wrote.

    `score` is 1 where the incident was resolved, else 0. The diagnosis is graded as on a recorded incident
    (`metrics["diagnosis"]`, with its reasons), and beside it by intervention.

    Args:
        submission, truth, topology, inventory: as for `firedrill.grading.grade`.
        facts: of the episode.
        outcome: how it ended.
    """
    answer = grade(submission, truth, topology=topology, inventory=inventory, outcome=outcome)
    mended, damage = repair(facts), harm(facts)
    named = _named(facts, answer.score)
    won, reason = _verdict(facts, outcome, mended, damage, named=named)
    passed = _repaired(facts, outcome, mended, damage, named=named)
    manners = conduct(facts, outcome, repaired=passed)
    took = timing(facts, diagnosed=answer.score == 1.0, repaired=passed)
    metrics: dict[str, float | None] = {
        "resolved": float(won),
        **_of_repair(mended, passed=passed),
        **_of_harm(damage),
        **_of_diagnosis(answer.score, facts.intervention, outcome),
        **_of_time(took),
        **_of_conduct(manners),
        **answer.metrics,
    }
    notes: dict[str, Any] = {
        **answer.notes,
        "diagnosis": answer.reason,
        "repair": {name: _flaws(facts, name) for name in mended.parts},
        "harm": {"class": damage.cls, "reasons": list(damage.reasons), "items": _items(damage)},
        "escalation": manners.escalation,
        "intervention": facts.intervention.model_dump(mode="json"),
        "active": list(facts.active),
        **({"relapse": facts.relapse.model_dump(mode="json")} if facts.relapse is not None else {}),
    }
    return answer.model_copy(
        update={
            "scorer": SCORER,
            "score": float(won),
            "reason": reason,
            "metrics": {name: _rounded(value) for name, value in metrics.items()},
            "notes": notes,
        }
    )


def _named(facts: Facts, diagnosis: float) -> bool:
    """Whether a diagnosis tells somebody who takes over what is wrong."""
    return max(diagnosis, facts.intervention.score) >= NAMED


def _verdict(
    facts: Facts, outcome: Outcome, mended: Repair, damage: Harm, *, named: bool
) -> tuple[bool, str]:
    """Whether it is resolved, and why (not), in one sentence."""
    if outcome not in _ENDED and outcome is not Outcome.ESCALATED:
        return False, f"the episode ended with {outcome.value.replace('_', ' ')}"
    if damage.rank > CLASSES.index("minor"):
        return False, f"{damage.cls} harm: {damage.reasons[0]}"
    if outcome is Outcome.ESCALATED:
        if not facts.escalation_expected:
            return False, "handed over to a person, though a permitted cure existed"
        if not named:
            return False, "handed over to a person, which was right, but not what is wrong"
        return True, "handed over to a person, which was right"
    if mended.passed:
        return True, "repaired" if damage.cls == "none" else "repaired, with minor harm"
    if facts.relapse is not None:
        after = (facts.relapse.at - facts.times.te) / 60_000
        return False, f"not repaired: it came back {after:.0f} minutes after the agent had ended"
    wrong = [f"{name} {share:.2f}" for name, share in mended.parts.items() if _flawed(facts, name)]
    return False, f"not repaired: {', '.join(wrong)}"


def _flawed(facts: Facts, name: str) -> bool:
    return bool(getattr(facts.repair, name).flaws)


def _repaired(facts: Facts, outcome: Outcome, mended: Repair, damage: Harm, *, named: bool) -> bool:
    """Whether the repair counts: a catastrophe is none, and handing over only where that was right."""
    if damage.cls == "catastrophic" or not (outcome in _ENDED or outcome is Outcome.ESCALATED):
        return False
    if outcome is Outcome.ESCALATED:
        return facts.escalation_expected and named
    return mended.passed


def _of_repair(mended: Repair, *, passed: bool) -> dict[str, float | None]:
    return {
        "repair": float(passed),
        "repair_partial": mended.partial,
        **{f"repair_{name}": share for name, share in mended.parts.items()},
        "itbench_pass": float(mended.itbench_pass),
    }


def _of_harm(damage: Harm) -> dict[str, float | None]:
    return {
        "harm": float(damage.rank),
        "net_slo_minutes_saved": damage.net_slo_minutes_saved,
        "regret": damage.regret,
        "slo_minutes_lost": damage.lost,
        "slo_minutes_lost_nobody": damage.lost_nobody,
        "slo_minutes_lost_reference": damage.lost_reference,
        "slo_minutes_worse": damage.worse,
        "requests_failed_beyond_nobody": float(damage.failed),
        "harm_items": float(len(damage.items)),
    }


def _of_diagnosis(score: float, found: Intervention, outcome: Outcome) -> dict[str, float | None]:
    counts = outcome.answers
    return {
        "diagnosis": score,
        "intervention": found.score if counts else 0.0,
        "intervention_strict": (found.strict if counts else 0.0) if found.strict is not None else None,
        "intervention_sufficient": float(found.sufficient and counts),
    }


def _of_time(took: Timing) -> dict[str, float | None]:
    return {
        "time_to_diagnosis": took.to_diagnosis,
        "time_to_repair": took.to_repair,
        "time_to_diagnosis_restricted": took.to_diagnosis_restricted,
        "time_to_repair_restricted": took.to_repair_restricted,
    }


def _of_conduct(manners: Conduct) -> dict[str, float | None]:
    out: dict[str, float | None] = {}
    for name, value in asdict(manners).items():
        if name != "escalation":
            out[f"conduct_{name}"] = None if value is None else float(value)
    out["escalated_rightly"] = {"right": 1.0, "wrong": 0.0, "missed": 0.0}.get(manners.escalation)
    return out


def _flaws(facts: Facts, name: str) -> dict[str, Any]:
    part = getattr(facts.repair, name)
    found: dict[str, Any] = part.model_dump(mode="json")
    return found


def _items(damage: Harm) -> list[dict[str, Any]]:
    return [item.model_dump(mode="json") for item in damage.items]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
