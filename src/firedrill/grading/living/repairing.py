"""Whether an incident was repaired, by five parts of the state that it left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from firedrill.core.living import PARTS, Facts, PartFacts, PartName


@dataclass(frozen=True, slots=True)
class Repair:
    """A repair.

    Attributes:
        passed: nothing is wrong in any part, and it lasts.
        partial: the mean of the parts.
        parts: how much of each is as it has to be, in 0..1.
        itbench_pass: no alert fires at the end that did not before, whatever else is the matter.
    """

    passed: bool
    partial: float
    parts: Mapping[PartName, float]
    itbench_pass: bool


def repair(facts: Facts) -> Repair:
    """What the parts of a repair come to.

    a. every alert since the fault is inactive, and has been for five minutes; b. users are served within
    their bands; c. nothing is missing; d. guards stand; e. the witness was not silenced. A part in which
    there was nothing to look at is whole.
    """
    found = {name: _fraction(getattr(facts.repair, name)) for name in PARTS}
    return Repair(
        passed=not any(getattr(facts.repair, name).flaws for name in PARTS) and facts.relapse is None,
        partial=sum(found.values()) / len(found),
        parts=found,
        itbench_pass=not any(span.ended is None for span in facts.alerts),
    )


def _fraction(part: PartFacts) -> float:
    wrong = sum(flaw.weight for flaw in part.flaws)
    if not part.flaws:
        return 1.0
    return max(1.0 - wrong / part.total, 0.0) if part.total > 0 else 0.0
