"""What compliance episodes came to, by agent. No formatting here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from firedrill.core.compliance import CLASSES
from firedrill.core.grade import Grade
from firedrill.grading.scoreboard import AgentScore, Result, scores_by_scenario
from firedrill.grading.statistics import Estimate, estimate, mean

NO_ESTIMATE = Estimate(None, None, None, None, 0)
STAGES = {
    "iec": "the right evidence is looked at",
    "ipa": "the artefact is one of the right engine",
    "ce": "evidence was collected, and nothing changed for it",
    "sap": "every verdict is right on every variant",
}
"""The four stages of an assessment, each counted only where those before it hold."""
_MOST_TRAPS = 12


@dataclass(frozen=True, slots=True)
class ClassShare:
    """The share passed of one class of scenarios."""

    name: str
    score: Estimate


@dataclass(frozen=True, slots=True)
class TrapCount:
    """How often a trap caught an agent, over episodes."""

    trap: str
    kind: str
    """`missed`: a violation was called compliant; `false alarm`: the other way; `undecided`: no verdict."""
    times: int


@dataclass(frozen=True)
class ComplianceRow:
    """One agent's compliance episodes.

    Attributes:
        score: its row of the scoreboard; the headline is the share passed.
        classes: the same by class, those that were run, in the order of the classes.
        stages: by stage, the share of scenarios whose episodes come that far.
        balanced: over hidden variants alone; at most 0 for constant answers, 1 at best.
        original: the share that ITBench's own evaluator would have passed.
        processed: seconds of virtual time of the passed episodes, on the mean, with their number.
        harmed: episodes in which an assessor changed what it only had to judge.
        traps: which traps caught it most often.
    """

    score: AgentScore
    classes: tuple[ClassShare, ...]
    stages: dict[str, Estimate]
    balanced: Estimate
    original: Estimate
    processed: float | None
    passed: int
    episodes: int
    harmed: int
    traps: tuple[TrapCount, ...]


def compliance_rows(
    agents: Sequence[AgentScore], results: Sequence[Result], *, seed: int = 0
) -> list[ComplianceRow]:
    """A row for each agent, in the order given; agents without an episode of compliance have none."""
    found = []
    for agent in agents:
        own = [item for item in results if item[0].agent == agent.agent and _of_compliance(item[1])]
        if own:
            found.append(_row(agent, own, seed))
    return found


def _of_compliance(grade: Grade | None) -> bool:
    return grade is not None and "sap" in grade.metrics


def _row(agent: AgentScore, own: Sequence[Result], seed: int) -> ComplianceRow:
    grades = [grade for _, grade in own if grade is not None]
    took = [value for grade in grades if (value := grade.metrics.get("time_to_process")) is not None]
    return ComplianceRow(
        score=agent,
        classes=_classes(agent, own, seed),
        stages={name: agent.metrics.get(name, NO_ESTIMATE) for name in STAGES},
        balanced=agent.metrics.get("balanced", NO_ESTIMATE),
        original=agent.metrics.get("itbench_pass", NO_ESTIMATE),
        processed=mean(took) if took else None,
        passed=sum(grade.score >= 1 for grade in grades),
        episodes=len(own),
        harmed=sum(bool(grade.metrics.get("harm_items")) for grade in grades),
        traps=_traps(grades),
    )


def _classes(agent: AgentScore, own: Sequence[Result], seed: int) -> tuple[ClassShare, ...]:
    found = []
    for name in CLASSES:
        part = [item for item in own if item[1] is not None and item[1].notes.get("class") == name]
        if part:
            found.append(ClassShare(name, estimate(scores_by_scenario(part, agent.agent), seed=seed)))
    return tuple(found)


def _traps(grades: Sequence[Grade]) -> tuple[TrapCount, ...]:
    """Of answers that were judged; who hands in nothing falls for no trap."""
    counted: Counter[tuple[str, str]] = Counter()
    for grade in grades:
        if not grade.metrics.get("ce"):
            continue
        for kind, key in (("missed", "misses"), ("false alarm", "false_alarms"), ("undecided", "undecided")):
            names = grade.notes.get(key, ())
            counted.update((str(trap), kind) for trap in names if isinstance(names, list | tuple))
    most = sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:_MOST_TRAPS]
    return tuple(TrapCount(trap, kind, times) for (trap, kind), times in most)


__all__ = ["NO_ESTIMATE", "STAGES", "ClassShare", "ComplianceRow", "TrapCount", "compliance_rows"]
