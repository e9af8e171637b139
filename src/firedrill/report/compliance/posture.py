"""One assessment, variant by variant, as rows that a page can show. No formatting here."""

from __future__ import annotations

from dataclasses import dataclass

from firedrill.core.compliance import TWIN, VISIBLE, ComplianceFacts, Control, Judged, Stage
from firedrill.core.grade import Grade
from firedrill.core.living import HarmItem
from firedrill.report.compliance.overview import STAGES

_CLASSES = {
    "kyverno": "Write a Kyverno policy",
    "kubectl-opa": "Collect with kubectl, judge with Rego",
    "rhel9-ansible-opa": "Collect with Ansible on RHEL 9, judge with Rego",
    "kyverno-update": "Update Kyverno policies",
}
_NAMES = {VISIBLE: "the one that the agent saw", TWIN: "the same without its fault"}
_MOST_OBJECTS = 20


@dataclass(frozen=True, slots=True)
class StageRow:
    """One of the four stages; `words` says what it asks, `reason` why it was (not) reached."""

    letters: str
    words: str
    ok: bool
    reason: str


@dataclass(frozen=True, slots=True)
class VariantRow:
    """One variant: the truth, what was said of it, and which objects were judged wrongly."""

    name: str
    words: str
    compliant: bool
    got: str
    right: bool
    reason: str
    wrong: tuple[str, ...]
    left_out: int


@dataclass(frozen=True)
class Assessment:
    """What became of an episode."""

    task: str
    control: Control
    passed: bool | None
    stages: tuple[StageRow, ...]
    variants: tuple[VariantRow, ...]
    right: int
    flaky: bool
    submitted: tuple[str, ...]
    language: str
    original: bool | None
    harm: tuple[HarmItem, ...]
    conduct: tuple[str, ...]
    metrics: dict[str, float | None]


def assessment_of(facts: ComplianceFacts, grade: Grade | None) -> Assessment:
    """What the artefacts were worth; without a grade (it failed on our side) only what the facts say."""
    metrics = dict(grade.metrics) if grade else {}
    variants = tuple(_variant(item) for item in facts.judged)
    return Assessment(
        task=_CLASSES[facts.scenario_class],
        control=facts.control,
        passed=None if grade is None else grade.score >= 1,
        stages=_stages(facts, metrics),
        variants=variants,
        right=sum(row.right for row in variants),
        flaky=bool(metrics.get("flaky")),
        submitted=facts.submitted,
        language=facts.language,
        original=facts.original,
        harm=facts.harm,
        conduct=facts.conduct,
        metrics=metrics,
    )


def _stages(facts: ComplianceFacts, metrics: dict[str, float | None]) -> tuple[StageRow, ...]:
    own = {"iec": facts.collector, "ipa": facts.engine, "ce": facts.evidence, "sap": Stage()}
    return tuple(
        StageRow(name.upper(), words, bool(metrics.get(name)), own[name].reason)
        for name, words in STAGES.items()
    )


def _variant(item: Judged) -> VariantRow:
    wrong = [
        f"{one.object}: {one.got} instead of {one.expected}" + (f" ({one.detail})" if one.detail else "")
        for one in item.objects
        if not one.right
    ]
    return VariantRow(
        name=item.name,
        words=_NAMES.get(item.name) or item.trap,
        compliant=item.compliant,
        got={"pass": "compliant", "fail": "not compliant"}.get(item.got, item.got),
        right=item.right,
        reason=item.reason,
        wrong=tuple(wrong[:_MOST_OBJECTS]),
        left_out=max(0, len(wrong) - _MOST_OBJECTS),
    )


__all__ = ["Assessment", "StageRow", "VariantRow", "assessment_of"]
