"""The agent that names everything: what spam scores."""

from __future__ import annotations

import json
from collections.abc import Sequence
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
        names = _names(episode.inventory)
        if not names:
            return AgentResult(Outcome.NO_SUBMISSION, reason="the incident has no objects to name")
        return AgentResult(Outcome.SUBMITTED, everything(episode.inventory), notes={"named": len(names)})


def everything(inventory: Sequence[str]) -> str:
    """The answer that names all objects of an incident that could be a cause."""
    factors = [{"name": name, "reasoning": "it is there"} for name in _names(inventory)]
    return json.dumps({"contributing_factors": factors}, ensure_ascii=False)


def _names(inventory: Sequence[str]) -> list[str]:
    return [name for name in inventory if _kind(name) not in RECORDS]


def _kind(name: str) -> str:
    parts = name.split("/", 2)
    return parts[1].lower() if len(parts) == 3 else ""
