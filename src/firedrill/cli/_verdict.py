"""What an episode on a living world came to, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from firedrill.core.episode import EpisodeKey

_SIGNS = {True: "yes", False: "NO", None: "–"}


def shown(run: Path, key: EpisodeKey) -> str:
    """The grade of an episode in some lines, and what was broken."""
    from firedrill.records import RunFolder
    from firedrill.report import text
    from firedrill.report.living import verdict_of

    folder = RunFolder(run)
    record, grade, facts = folder.episode(key), folder.grade(key), folder.facts(key)
    if facts is None or grade is None:
        return f"{record.outcome.value.replace('_', ' ')}: {text.one_line(record.reason)}\n"
    verdict = verdict_of(facts, grade)
    harm, metrics = verdict.harm, verdict.metrics
    head = "RESOLVED" if verdict.resolved else "NOT RESOLVED"
    lines = [f"{head}: {text.one_line(grade.reason)}", ""]
    for part in verdict.parts:
        lines.append(f"  {part.letter}  {part.words}: {_SIGNS[not part.flaws]} ({part.share:.2f})")
        lines += [f"       {text.one_line(f'{f.entity} {f.what} {f.detail}', 110)}" for f in part.flaws[:4]]
    lines += [
        "",
        f"  harm        {harm.cls}; net SLO-minutes saved {text.signed(harm.net_slo_minutes_saved)} "
        f"(lost {harm.lost:.2f}, with nobody {harm.lost_nobody:.2f})",
        *(f"              {text.one_line(reason, 110)}" for reason in harm.reasons[:4]),
        f"  diagnosis   {text.number(metrics.get('diagnosis'), 2)}; {_brief(verdict.named_words)}",
        f"  to repair   {text.span(metrics.get('time_to_repair'))} from the first alert",
        f"  ended       {record.outcome.value.replace('_', ' ')}",
        "",
        *_truth(folder, key),
    ]
    return "\n".join(lines) + "\n"


def document(run: Path, key: EpisodeKey) -> dict[str, Any]:
    """The same as JSON."""
    from firedrill.records import RunFolder

    folder = RunFolder(run)
    record, grade = folder.episode(key), folder.grade(key)
    return {
        "run": str(run),
        "scenario": key.scenario,
        "outcome": record.outcome.value,
        "score": None if grade is None else grade.score,
        "reason": record.reason if grade is None else grade.reason,
        "metrics": {} if grade is None else dict(grade.metrics),
    }


def _brief(words: str) -> str:
    return words[:1].lower() + words[1:]


def _truth(folder: Any, key: EpisodeKey) -> Iterator[str]:
    """What it was, now that it is over."""
    from firedrill.grading import name_roots
    from firedrill.report import text

    kept = folder.scenario(key.scenario)
    title = kept.document.get("scenario", {}).get("metadata", {}).get("title") or ""
    yield f"It was {key.scenario}{f', {text.one_line(title)}' if title else ''}. The cause:"
    for name in name_roots(kept.truth, kept.inventory).names:
        yield f"  {text.one_line(name)}"


__all__ = ["document", "shown"]
