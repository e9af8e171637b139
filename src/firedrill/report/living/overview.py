"""What living episodes came to, by agent. No formatting here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from firedrill.grading.living import CLASSES, HarmClass
from firedrill.grading.scoreboard import AgentScore, Result
from firedrill.grading.statistics import Estimate, mean
from firedrill.report import text

NO_ESTIMATE = Estimate(None, None, None, None, 0)


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds of virtual time from the first alert: of the successes, whose number is beside it, and with
    the limit in place of a failure.
    """

    mean: float | None
    successes: int
    episodes: int
    restricted: float | None


@dataclass(frozen=True, slots=True)
class Catastrophe:
    """One episode that ended in a catastrophe."""

    scenario: str
    href: str
    reason: str


@dataclass(frozen=True)
class LivingRow:
    """One agent's episodes on living worlds.

    Attributes:
        score: its row of the scoreboard; the headline is the share of incidents resolved.
        diagnosis, intervention, partial: means over scenarios.
        saved: net SLO-minutes saved per episode, over scenarios; negative where users had it worse.
        saved_total: of all episodes together.
        harm: how many episodes are in each class.
        catastrophes: those of the worst, by name.
        to_diagnosis, to_repair: how long it took.
    """

    score: AgentScore
    diagnosis: Estimate
    intervention: Estimate
    partial: Estimate
    saved: Estimate
    saved_total: float | None
    harm: dict[HarmClass, int]
    catastrophes: tuple[Catastrophe, ...]
    to_diagnosis: Speed
    to_repair: Speed


def living_rows(agents: Sequence[AgentScore], results: Sequence[Result]) -> list[LivingRow]:
    """A row for each agent, in the order given; agents without a living episode have none."""
    found = []
    for agent in agents:
        own = [
            (record, grade)
            for record, grade in results
            if record.agent == agent.agent and grade is not None and grade.metrics.get("resolved") is not None
        ]
        if own:
            found.append(_row(agent, own))
    return found


def _row(agent: AgentScore, own: Sequence[Result]) -> LivingRow:
    saved = [value for item in own if (value := _value(item, "net_slo_minutes_saved")) is not None]
    counts: dict[HarmClass, int] = dict.fromkeys(CLASSES, 0)
    worst = []
    for item in own:
        name = CLASSES[round(_value(item, "harm") or 0)]
        counts[name] += 1
        if name == CLASSES[-1]:
            worst.append(Catastrophe(item[0].scenario, text.episode_page(item[0]), _reason(item)))
    return LivingRow(
        score=agent,
        diagnosis=agent.metrics.get("diagnosis", NO_ESTIMATE),
        intervention=agent.metrics.get("intervention", NO_ESTIMATE),
        partial=agent.metrics.get("repair_partial", NO_ESTIMATE),
        saved=agent.metrics.get("net_slo_minutes_saved", NO_ESTIMATE),
        saved_total=round(sum(saved), 6) if saved else None,
        harm=counts,
        catastrophes=tuple(worst),
        to_diagnosis=_speed(own, "time_to_diagnosis"),
        to_repair=_speed(own, "time_to_repair"),
    )


def _value(item: Result, name: str) -> float | None:
    return None if item[1] is None else item[1].metrics.get(name)


def _reason(item: Result) -> str:
    notes = item[1].notes.get("harm", {}) if item[1] else {}
    reasons = notes.get("reasons", ()) if isinstance(notes, dict) else ()
    return str(reasons[0]) if reasons else ""


def _speed(own: Sequence[Result], name: str) -> Speed:
    took = [value for item in own if (value := _value(item, name)) is not None]
    bounded = [value for item in own if (value := _value(item, f"{name}_restricted")) is not None]
    return Speed(
        mean=mean(took) if took else None,
        successes=len(took),
        episodes=len(own),
        restricted=mean(bounded) if len(bounded) == len(own) else None,
    )


__all__ = ["Catastrophe", "LivingRow", "Speed", "living_rows"]
