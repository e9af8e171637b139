"""Cells of the overview's matrix: one for each episode. No formatting here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from firedrill.core.episode import EpisodeKey, EpisodeRecord
from firedrill.core.grade import Grade
from firedrill.core.outcome import Outcome
from firedrill.grading.scoreboard import Result
from firedrill.grading.statistics import mean
from firedrill.report import text

_OF_HARM = ("sx", "s5", "s2", "s0")
"""Colours of incidents that were not resolved, by the class of harm."""


@dataclass(frozen=True)
class Cell:
    """One episode in the matrix."""

    href: str
    score: float | None
    submitted: bool
    counts: bool
    outcome: str
    label: str = ""
    """What stands in it: the score, or what users won or lost."""
    style: str = ""
    """The class of its colour."""
    drawing: Any = ""
    """What users got, as markup of ours; empty on recorded incidents."""


@dataclass(frozen=True)
class Cells:
    """The episodes of one agent on one scenario."""

    items: tuple[Cell, ...]
    mean: float | None


def _label(record: EpisodeRecord, grade: Grade | None) -> str:
    if not record.outcome.counts:
        return "err"
    saved = grade.metrics.get("net_slo_minutes_saved") if grade else None
    return text.number(score_of(record, grade), 2) if saved is None else text.signed(saved)


def _style(record: EpisodeRecord, grade: Grade | None) -> str:
    harm = grade.metrics.get("harm") if grade else None
    if harm is None or (grade is not None and grade.score >= 1):
        return text.bucket(score_of(record, grade))
    return _OF_HARM[round(harm)]


def cells(results: Sequence[Result], drawn: Callable[[EpisodeKey], Any]) -> Cells:
    """The episodes of one agent on one scenario. `drawn` gives what users got in one, as markup of ours."""
    found = tuple(
        Cell(
            href=text.episode_page(record),
            score=score_of(record, grade),
            submitted=record.outcome in (Outcome.SUBMITTED, Outcome.ESCALATED),
            counts=record.outcome.counts,
            outcome=record.outcome.value.replace("_", " "),
            label=_label(record, grade),
            style=_style(record, grade),
            drawing=drawn(record.key),
        )
        for record, grade in results
    )
    counted = [cell.score for cell in found if cell.score is not None]
    return Cells(found, mean(counted) if counted else None)


def score_of(record: EpisodeRecord, grade: Grade | None) -> float | None:
    """The headline of an episode; None where it does not count."""
    if not record.outcome.counts:
        return None
    return grade.score if grade else 0.0
