"""The investigator as an agent of the benchmark."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firedrill.agents.base import AgentError, AgentResult, Episode
from firedrill.agents.sleuth.answer import answer, exhibits, others, steps
from firedrill.agents.sleuth.engine import Diagnosis, investigate, settings_digest
from firedrill.core.outcome import Outcome

if TYPE_CHECKING:
    from firedrill.agents.oncall.duty import Shift

_NO_MOMENT: Mapping[str, int] = {}


class SleuthAgent:
    """Reads the evidence in our own process, with no model and no sandbox, and always in the same way.

    On a living world it asks for the evidence through the gateway, and mends by careful steps.
    """

    name = "sleuth"
    privileged = False
    needs_workspace = False
    acts = True

    def config(self) -> dict[str, Any]:
        """Its version and the digest of its weights."""
        return {"agent": "sleuth", "version": 2, "weights": settings_digest()}

    async def solve(self, episode: Episode) -> AgentResult:
        """Investigate, record how, and answer; without any suspect there is no answer."""
        if episode.living is not None:
            return await _on_call(episode)
        if episode.open_evidence is None:
            raise AgentError("the evidence of this episode cannot be read in our process")
        episode.meter.check()
        episode.meter.take_turn()
        diagnosis = await asyncio.to_thread(_run, episode)
        _tell(episode, diagnosis)
        if not diagnosis.causes:
            return AgentResult(Outcome.NO_SUBMISSION, reason="nothing in the evidence is suspicious")
        document = json.dumps(answer(diagnosis), ensure_ascii=False, indent=1)
        return AgentResult(Outcome.SUBMITTED, document, notes=_notes(diagnosis))


def _run(episode: Episode) -> Diagnosis:
    assert episode.open_evidence is not None
    with episode.open_evidence() as evidence:
        return investigate(evidence)


async def _on_call(episode: Episode) -> AgentResult:
    """A shift on a living world."""
    from firedrill.agents.oncall import work_shift
    from firedrill.agents.oncall.report import concluded, submission

    assert episode.living is not None
    episode.meter.check()
    episode.meter.take_turn()

    living = episode.living

    async def say(title: str, text: str) -> None:
        at_ms = await living.now()
        episode.receipt.append("message", at_ms=at_ms, role="assistant", content=f"{title}\n{text}")

    shift = await work_shift(living, say)
    diagnosis = concluded(shift)
    if diagnosis is not None:
        _tell(episode, diagnosis, {"at_ms": await living.now()})
    found = submission(shift)
    if found is None or diagnosis is None:
        return AgentResult(Outcome.NO_SUBMISSION, reason="nothing in the evidence is suspicious")
    notes = {**_notes(diagnosis), **_done(shift)}
    document = json.dumps(found, ensure_ascii=False, indent=1)
    if shift.cleared:
        return AgentResult(Outcome.SUBMITTED, document, notes=notes)
    return AgentResult(Outcome.ESCALATED, document, reason=shift.reason, notes=notes)


def _done(shift: Shift) -> dict[str, Any]:
    return {
        "cleared": shift.cleared,
        "steps": [
            {"what": done.step.what, "refused": done.refused, "undone": done.undone} for done in shift.tried
        ],
        "not_answered": shift.asker.refused[:20],
    }


def _tell(episode: Episode, diagnosis: Diagnosis, moment: Mapping[str, int] = _NO_MOMENT) -> None:
    for title, text in steps(diagnosis):
        episode.receipt.append("message", **moment, role="assistant", content=f"{title}\n{text}")
    for name, clue in exhibits(diagnosis):
        when = clue.time.isoformat(sep=" ", timespec="seconds") if clue.time else ""
        episode.receipt.append("evidence", id=name, file=clue.file, time=when, text=clue.text)


def _notes(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "confidence": round(diagnosis.confidence, 3),
        "onset": diagnosis.case.onset.isoformat() if diagnosis.case.onset else None,
        "considered": [{"name": s.entity, "probability": round(s.probability, 4)} for s in others(diagnosis)],
    }
