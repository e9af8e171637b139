"""Grading artefacts of compliance: pure functions of what running them on hidden variants showed."""

from firedrill.grading.compliance.posture import Posture, posture
from firedrill.grading.compliance.stages import STAGES, Stages, stages
from firedrill.grading.compliance.summing import SCORER, grade_compliance

__all__ = ["SCORER", "STAGES", "Posture", "Stages", "grade_compliance", "posture", "stages"]
