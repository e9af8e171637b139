"""One episode of a living scenario that is played for its grade alone: nothing of it is written down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from firedrill.agents.base import Agent, AgentError, AgentResult, Episode, LimitReached, Meter, Privilege
from firedrill.core.episode import Limits
from firedrill.core.outcome import Outcome
from firedrill.runner.attempt import NoWorkspace, bounded_by, grade_answer, named

if TYPE_CHECKING:
    from firedrill.core.grade import Grade
    from firedrill.core.living import Facts
    from firedrill.runner.living import LivingEpisode
    from firedrill.runner.staging import Stage


@dataclass(frozen=True, slots=True)
class Played:
    """An episode that was played.

    Attributes:
        outcome: how it ended.
        reason: of an outcome that is none of an agent's choice.
        facts: what became of the world.
        grade: of it.
        notes: what the agent says of itself.
    """

    outcome: Outcome
    reason: str
    facts: Facts
    grade: Grade
    notes: dict[str, Any]


class _NoReceipt:
    def append(self, kind: str, /, **payload: Any) -> None:
        """Nothing is kept."""


def _unwatched(_: LivingEpisode) -> None:
    """Look at nothing."""


async def play(
    stage: Stage,
    agent: Agent,
    *,
    authority: str = "",
    brief: bool = False,
    watch: Callable[[LivingEpisode], None] = _unwatched,
) -> Played:
    """Let an agent of our own process work on a staged living scenario, and grade what comes of it.

    Args:
        stage: of a living scenario, whose world is open.
        agent: one that acts on worlds and needs no sandbox.
        authority: a policy instead of the scenario's own.
        brief: approvers answer at once, and it is looked at no longer than until its verdict stands.
        watch: is shown the episode right before its process ends, for what that has cost.

    Raises:
        InfrastructureError: the world's process broke.
    """
    from firedrill.runner.living import spec_of

    assert stage.living is not None
    spec = replace(spec_of(stage.source), brief=brief)
    living = await stage.living.episode(replace(spec, authority=authority) if authority else spec)
    try:
        limits = Limits(turns=1_000_000, minutes=None)
        meter = Meter(limits)
        meter.start()
        episode = Episode(
            task=stage.task,
            workspace=NoWorkspace(),
            meter=meter,
            receipt=_NoReceipt(),
            limits=limits,
            seed=0,
            inventory=stage.visible,
            privilege=_privilege(stage) if agent.privileged else None,
            living=living,
        )
        try:
            result = await bounded_by(living, agent.solve(episode), meter)
        except LimitReached as reached:
            result = AgentResult(reached.outcome, reason=str(reached))
        except AgentError as error:
            result = AgentResult(Outcome.AGENT_ERROR, reason=str(error))
        facts = await living.finish(named(result.submission, result.outcome))
        watch(living)
    finally:
        await living.close()
    grade = grade_answer(
        result.submission, stage.truth, stage.topology, stage.inventory, result.outcome, facts
    )
    return Played(result.outcome, result.reason, facts, grade, dict(result.notes))


def _privilege(stage: Stage) -> Privilege:
    living = stage.living
    assert living is not None
    return Privilege(
        stage.truth, stage.inventory, stage.topology, steps=living.steps, hand_over=living.hand_over
    )


__all__ = ["Played", "play"]
