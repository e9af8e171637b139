"""The four stages of an assessment: each counts only where all before it were passed."""

from __future__ import annotations

from dataclasses import dataclass

from firedrill.core.compliance import ComplianceFacts
from firedrill.core.outcome import Outcome
from firedrill.grading.compliance.posture import Posture, posture

STAGES = ("iec", "ipa", "ce", "sap")
"""The right evidence collector, the right policy engine, collected evidence, the right posture."""


@dataclass(frozen=True, slots=True)
class Stages:
    """How far an assessment came.

    Attributes:
        passed: by the names of :data:`STAGES`.
        reason: why it came no further, in one sentence.
    """

    passed: dict[str, bool]
    reason: str

    @property
    def whole(self) -> bool:
        """Whether it is right in all."""
        return self.passed["sap"]


def stages(facts: ComplianceFacts, outcome: Outcome = Outcome.SUBMITTED) -> Stages:
    """Which stages were passed.

    Args:
        facts: of the episode.
        outcome: how it ended; who was stopped at a cap has handed in nothing.
    """
    found = posture(facts)
    last = _posture(facts, found)
    passed: dict[str, bool] = {}
    reason = ""
    if outcome is not Outcome.SUBMITTED:
        reason = f"the episode ended with {outcome.value.replace('_', ' ')}"
    elif not facts.submitted:
        reason = "nothing was handed in"
    parts = [(item.ok, item.reason) for item in (facts.collector, facts.engine, facts.evidence)]
    parts.append(last)
    for name, (ok, why) in zip(STAGES, parts, strict=True):
        passed[name] = ok and not reason
        if not ok and not reason:
            reason = f"{name.upper()}: {why or 'not passed'}"
    return Stages(passed, reason or "every verdict is right")


def _posture(facts: ComplianceFacts, found: Posture) -> tuple[bool, str]:
    left = [item for item in facts.harm if item.left]
    if left:
        return False, f"it changed what it was to assess: {left[0].what} {left[0].entity}".strip()
    if found.flaky:
        return False, "the same world was judged in two ways"
    if not found.total:
        return False, "nothing was judged"
    if found.right < found.total:
        wrong = found.total - found.right
        return False, f"{wrong} of {found.total} variants judged wrongly"
    return True, ""


__all__ = ["STAGES", "Stages", "stages"]
