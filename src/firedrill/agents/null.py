"""The agent that does nothing: what silence scores."""

from __future__ import annotations

from typing import Any

from firedrill.agents.base import AgentResult, Episode
from firedrill.core.outcome import Outcome


class NullAgent:
    """Ends every episode at once, without an answer."""

    name = "null"
    privileged = False
    needs_workspace = False
    acts = True

    def config(self) -> dict[str, Any]:
        """It has nothing to configure."""
        return {"agent": "null", "version": 1}

    async def solve(self, episode: Episode) -> AgentResult:
        """Do nothing."""
        return AgentResult(Outcome.NO_SUBMISSION, reason="it never answers")
