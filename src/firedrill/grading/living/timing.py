"""How long it took, in seconds of virtual time from the first alert on."""

from __future__ import annotations

from dataclasses import dataclass

from firedrill.core.living import Facts

_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds from the first alert on; None where there was no success (or no alert).

    Attributes:
        to_diagnosis: to the answer, where it is correct.
        to_repair: to the moment from which alerts are inactive and users well served, where that is a repair.
        to_diagnosis_restricted, to_repair_restricted: the same with the limit in place of a failure, for
            means over all episodes; None where there is no limit.
    """

    to_diagnosis: float | None
    to_repair: float | None
    to_diagnosis_restricted: float | None
    to_repair_restricted: float | None


def timing(facts: Facts, *, diagnosed: bool, repaired: bool) -> Timing:
    """How long it took.

    Args:
        facts: of the episode.
        diagnosed: whether the answer names all causes and nothing else.
        repaired: whether it passed as a repair.
    """
    times = facts.times
    if times.ta is None:
        return Timing(None, None, None, None)
    latest = (times.ts + facts.limit_ms - times.ta) / 1000 if facts.limit_ms else None
    answered = times.td if times.td is not None else times.te
    well = repaired_at(facts) if repaired else None
    diagnosis = (answered - times.ta) / 1000 if diagnosed else None
    mended = (max(well, times.ta) - times.ta) / 1000 if well is not None else None
    return Timing(diagnosis, mended, _or(diagnosis, latest), _or(mended, latest))


def _or(value: float | None, limit: float | None) -> float | None:
    if limit is None:
        return None
    return limit if value is None else min(value, limit)


def repaired_at(facts: Facts) -> int | None:
    """The moment (ms) from which on no alert fires and users are well served, to the end; None for never."""
    if any(span.ended is None for span in facts.alerts):
        return None
    minutes = facts.branches.agent
    if not minutes or not minutes[-1].healthy:
        return None
    well = facts.times.ts
    for minute in minutes:
        if not minute.healthy:
            well = minute.at + 2 * _MINUTE_MS
    return max([well, *(span.ended for span in facts.alerts if span.ended is not None)])
