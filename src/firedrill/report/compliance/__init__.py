"""What compliance episodes came to: rows for overviews, and one episode's variants for its page."""

from __future__ import annotations

from firedrill.report.compliance.overview import ClassShare, ComplianceRow, TrapCount, compliance_rows
from firedrill.report.compliance.posture import Assessment, VariantRow, assessment_of

__all__ = [
    "Assessment",
    "ClassShare",
    "ComplianceRow",
    "TrapCount",
    "VariantRow",
    "assessment_of",
    "compliance_rows",
]
