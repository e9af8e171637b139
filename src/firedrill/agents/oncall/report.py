"""What is handed in at the end of a shift: the diagnosis, and what was changed and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from firedrill.agents.oncall.doing import Done
from firedrill.agents.oncall.duty import Shift
from firedrill.agents.sleuth.answer import answer
from firedrill.agents.sleuth.engine import MAX_CAUSES, Diagnosis
from firedrill.agents.sleuth.ranking import Suspect


def submission(shift: Shift) -> dict[str, Any] | None:
    """The answer in ITBench's shape, with ``changes``; None where nothing at all is suspicious."""
    diagnosis = concluded(shift)
    if diagnosis is None or not (diagnosis.causes or shift.tried):
        return None
    out = answer(diagnosis)
    out["changes"] = list(changes(shift.tried))
    if not shift.cleared:
        out |= {"escalate": True, "escalate_reason": shift.reason}
    return out


def concluded(shift: Shift) -> Diagnosis | None:
    """The diagnosis in the light of what helped.

    Where the alerts cleared, what was mended until then were the causes, as long as it was not taken back.
    Where they did not, these and the causes of the first look stand, but for those that were taken back.
    """
    first = shift.first
    if first is None:
        return None
    stands = [done for done in shift.tried if not (done.refused or done.undone)]
    # with several causes, ending one of them may not show before the others are mended
    kept = [done.step.cause for done in stands if shift.cleared or not done.useless]
    known: dict[str, Suspect] = {}
    for diagnosis in (*shift.diagnoses[::-1], first):
        for suspect in diagnosis.suspects:
            known[diagnosis.case.top(suspect.entity)] = suspect
    mended = [known[cause] for cause in dict.fromkeys(kept) if cause in known]
    if shift.cleared and mended:
        # what could not be mended is no cause any more, since all is well without
        return replace(first, causes=tuple(mended))
    refuted = {done.step.cause for done in shift.tried if done.useless}
    stand = [cause for cause in first.causes if first.case.top(cause.entity) not in refuted]
    causes = {cause.entity: cause for cause in (*mended, *stand)}
    return replace(first, causes=tuple(causes.values())[:MAX_CAUSES]) if causes else first


def changes(tried: Iterable[Done]) -> Iterable[dict[str, str]]:
    """What was changed and why, in its order; what was taken back or refused says so."""
    for done in tried:
        if done.refused and not done.before:
            continue
        what = f"{done.step.what} (taken back, it did not help)" if done.undone else done.step.what
        yield {"what": what, "why": done.step.why}
