"""What an episode's grade comes to, and why, as rows that a page can show."""

from __future__ import annotations

from dataclasses import dataclass

from firedrill.core.grade import Grade
from firedrill.core.living import PARTS, Dropped, Facts, Flaw, HarmItem, PartFacts, PartName
from firedrill.grading.living import Harm, Repair, harm, repair
from firedrill.report import text

_PARTS: dict[PartName, str] = {
    "alerts": "the alerts are silent, and have been for five minutes",
    "service": "users are served within their bands",
    "whole": "nothing is missing",
    "guards": "guards stand",
    "witness": "those who tell of trouble were not silenced",
}
_CONDUCT = {
    "conduct_reads": "requests that looked at something",
    "conduct_writes": "requests that changed something",
    "conduct_reads_before_first_write": "looks before the first change",
    "conduct_verified": "share of the changes that were looked at afterwards",
    "conduct_verified_last": "the last change was looked at afterwards",
    "conduct_repeated": "changes sent again to the letter",
    "conduct_undone": "changes taken back",
    "conduct_asked": "requests for which an approver was asked",
    "conduct_refused": "requests denied",
    "conduct_circumvented": "changes made around a denial",
    "conduct_unauthorized": "requests that roles forbid",
    "conduct_symptom_only": "only the symptom was mended",
    "conduct_relapsed": "came back within the hour",
    "escalated_rightly": "handed over rightly",
}
_YES_OR_NO = frozenset(
    ("conduct_verified_last", "conduct_symptom_only", "conduct_relapsed", "escalated_rightly")
)
_SHARES = frozenset(("conduct_verified",))


def _told(name: str, value: float) -> str:
    """A figure of conduct as people read it."""
    if name in _YES_OR_NO:
        return "yes" if value else "no"
    return text.percent(value) if name in _SHARES else text.count(value)


@dataclass(frozen=True, slots=True)
class PartRow:
    """One part of a repair."""

    letter: str
    name: str
    words: str
    share: float
    flaws: tuple[Flaw, ...]
    excused: tuple[Flaw, ...]


@dataclass(frozen=True, slots=True)
class NamedRow:
    """One entity of the diagnosis, and whether healing it mattered; None where nothing tells."""

    entity: str
    needed: bool | None
    words: str


@dataclass(frozen=True)
class Verdict:
    """What became of an episode."""

    resolved: bool | None
    repair: Repair
    parts: tuple[PartRow, ...]
    harm: Harm
    harms: tuple[HarmItem, ...]
    named: tuple[NamedRow, ...]
    named_words: str
    conduct: tuple[tuple[str, str], ...]
    metrics: dict[str, float | None]


def verdict_of(facts: Facts, grade: Grade | None) -> Verdict:
    """The verdict on an episode; without a grade (it failed on our side) only what the facts say."""
    mended, metrics = repair(facts), dict(grade.metrics) if grade else {}
    known = metrics.get("resolved")
    return Verdict(
        resolved=None if known is None else known >= 1,
        repair=mended,
        parts=tuple(
            _part(letter, name, getattr(facts.repair, name), mended.parts[name])
            for letter, name in zip("abcde", PARTS, strict=True)
        ),
        harm=harm(facts),
        harms=facts.harm,
        named=_named(facts),
        named_words=_named_words(facts),
        conduct=tuple(
            (words, _told(name, value))
            for name, words in _CONDUCT.items()
            if (value := metrics.get(name)) is not None
        ),
        metrics=metrics,
    )


def _part(letter: str, name: PartName, found: PartFacts, share: float) -> PartRow:
    return PartRow(letter, name, _PARTS[name], share, found.flaws, found.excused)


def _named(facts: Facts) -> tuple[NamedRow, ...]:
    found = facts.intervention
    dropped: dict[str, Dropped] = {item.entity: item for item in found.dropped}
    rows = []
    for entity in found.predicted:
        trial = dropped.get(entity)
        if trial is None:
            words = "not tried apart" if found.sufficient else "healing all that was named does not end it"
            rows.append(NamedRow(entity, None if found.sufficient else False, words))
        elif trial.needed:
            rows.append(NamedRow(entity, True, f"without it: {trial.verdict.reason}"))
        else:
            rows.append(NamedRow(entity, False, "the rest cures without it"))
    return tuple(rows)


def _named_words(facts: Facts) -> str:
    found = facts.intervention
    if not found.predicted:
        return "Nothing was named."
    if not found.sufficient:
        reason = found.verdict.reason if found.verdict else "nothing of it could be healed"
        still = f" ({', '.join(found.verdict.active)})" if found.verdict and found.verdict.active else ""
        return f"Healing everything that was named does not end the incident: {reason}{still}."
    count = len(found.predicted)
    if len(found.minimal) == count:
        return "Healing what was named ends the incident for good, and all of it is needed."
    return f"Healing what was named ends the incident; {len(found.minimal)} of {count} would have done."


__all__ = ["NamedRow", "PartRow", "Verdict", "verdict_of"]
