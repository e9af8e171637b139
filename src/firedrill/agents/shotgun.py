"""The agent that names everything: what spam scores."""

from __future__ import annotations

import json
from typing import Any

from firedrill.agents.base import AgentResult, Episode
from firedrill.core.outcome import Outcome

RECORDS = frozenset({"controllerrevision", "endpoints", "endpointslice", "event", "lease"})
"""Kinds that controllers write down about other objects: never a cause themselves."""


class ShotgunAgent:
    """Names every object of the incident that could be a cause, in the inventory's order."""

    name = "shotgun"
    privileged = False
    needs_workspace = False
    acts = True

    def config(self) -> dict[str, Any]:
        """What it leaves out."""
        return {"agent": "shotgun", "version": 1, "leaves_out": sorted(RECORDS)}

    async def solve(self, episode: Episode) -> AgentResult:
        """Name everything; without an inventory there is nothing to name and no answer."""
        names = [name for name in episode.inventory if _kind(name) not in RECORDS]
        if not names:
            return AgentResult(Outcome.NO_SUBMISSION, reason="the incident has no objects to name")
        answer = {"contributing_factors": [{"name": name, "reasoning": "it is there"} for name in names]}
        return AgentResult(
            Outcome.SUBMITTED, json.dumps(answer, ensure_ascii=False), notes={"named": len(names)}
        )


def _kind(name: str) -> str:
    parts = name.split("/", 2)
    return parts[1].lower() if len(parts) == 3 else ""
