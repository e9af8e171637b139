"""Checking recorded incidents, where nothing can be done: the lint, and what answers are worth."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from firedrill.core.outcome import Outcome
from firedrill.runner.attempt import grade_answer
from firedrill.runner.checking.model import Checked, Point

if TYPE_CHECKING:
    from firedrill.core.errors import Finding
    from firedrill.runner.staging import Prepare, Stage
    from firedrill.suites.model import SuiteScenario

SHOTGUN = 0.2
"""What naming everything may be worth at most."""


async def check_recorded(source: SuiteScenario, prepare: Prepare, findings: Sequence[Finding]) -> Checked:
    """Check a recorded incident.

    Args:
        source: the scenario.
        prepare: stages it.
        findings: of the linter about it.

    Raises:
        InputError: it cannot be read.
    """
    return await asyncio.to_thread(_check, source, prepare, findings)


def _check(source: SuiteScenario, prepare: Prepare, findings: Sequence[Finding]) -> Checked:
    from firedrill.agents.base import Privilege
    from firedrill.agents.oracle import answer
    from firedrill.agents.shotgun import everything
    from firedrill.core.truth import parse_truth_text

    stage = prepare(source, parse_truth_text(source.truth_text, source.truth_source)[0])
    best = _score(stage, answer(Privilege(stage.truth, stage.inventory, stage.topology)).submission)
    none, spam = _score(stage, None), _score(stage, everything(stage.visible))
    errors = [f"{item.code}: {item.message}" for item in findings if item.severity == "error"]
    points = (
        _point("oracle", best == 1.0, f"knowing the truth is worth {best:g}"),
        _point("null", none == 0.0, f"no answer is worth {none:g}"),
        _point("shotgun", spam <= SHOTGUN, f"naming everything is worth {spam:.2f}"),
        _point("lint", not errors, "; ".join(errors[:3])),
    )
    return Checked(source.id, points, about={"oracle": best, "null": none, "shotgun": spam})


def _point(name: str, holds: bool, text: str) -> Point:
    return Point(name) if holds else Point(name, "fails", text)


def _score(stage: Stage, text: str | None) -> float:
    outcome = Outcome.NO_SUBMISSION if text is None else Outcome.SUBMITTED
    return grade_answer(text, stage.truth, stage.topology, stage.inventory, outcome).score


__all__ = ["SHOTGUN", "check_recorded"]
