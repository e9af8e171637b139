"""Grading what an agent did to a living world: pure functions of the facts that its episode left behind.

`grade_living` gives the grade; `repair`, `harm`, `conduct` and `timing` are its parts.
"""

from firedrill.grading.living.conducting import Conduct, Escalation, conduct
from firedrill.grading.living.harming import CLASSES, Harm, HarmClass, harm, order
from firedrill.grading.living.repairing import Repair, repair
from firedrill.grading.living.summing import NAMED, SCORER, grade_living, resolved
from firedrill.grading.living.timing import Timing, repaired_at, timing

__all__ = [
    "CLASSES",
    "NAMED",
    "SCORER",
    "Conduct",
    "Escalation",
    "Harm",
    "HarmClass",
    "Repair",
    "Timing",
    "conduct",
    "grade_living",
    "harm",
    "order",
    "repair",
    "repaired_at",
    "resolved",
    "timing",
]
