"""The agent that knows the truth: proves that a scenario can be solved with what the incident shows.

On a living world it also carries out the reference repair, by requests through the gateway.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from firedrill.agents.base import AgentError, AgentResult, Episode, Privilege
from firedrill.core.entity import CLUSTER, is_cluster_scoped
from firedrill.core.outcome import Outcome
from firedrill.core.truth import Group, Truth


class OracleAgent:
    """Names, for each root cause, an object that is present in the incident and lands on it.

    Where none is, it names what the truth's own filter spells, and its notes list those roots: such a
    label cannot be found by looking.
    """

    name = "oracle"
    privileged = True
    needs_workspace = False
    acts = True

    def config(self) -> dict[str, Any]:
        """It has nothing to configure."""
        return {"agent": "oracle", "version": 1}

    async def solve(self, episode: Episode) -> AgentResult:
        """Answer from the truth."""
        if episode.privilege is None:
            raise AgentError("the oracle was not shown the truth")
        if episode.task.assessment is not None:
            return await _assess(episode, episode.privilege.artefacts)
        found = await asyncio.to_thread(answer, episode.privilege)
        if episode.living is None:
            return found
        if episode.privilege.hand_over:
            return replace(found, outcome=Outcome.ESCALATED, reason="no call of the API mends it")
        from firedrill.agents.reference import Repairer

        repairer = Repairer(episode.living)
        cleared = await repairer.repair(episode.privilege.steps)
        notes = {**found.notes, "cleared": cleared, "refused": repairer.refused}
        return replace(found, notes=notes)


async def _assess(episode: Episode, files: Mapping[str, str]) -> AgentResult:
    """Hand in the right artefacts; policies are deployed."""
    from firedrill.agents.deploying import deploy, policies_of
    from firedrill.core.artefacts import write_artefacts

    refused: list[str] = []
    if episode.living is not None and "policy.yaml" in files:
        refused = await deploy(episode.living, policies_of(files["policy.yaml"]))
    return AgentResult(Outcome.SUBMITTED, write_artefacts(files), notes={"refused": refused})


def answer(privilege: Privilege) -> AgentResult:
    """The oracle's answer in ITBench's own shape: the roots, and the truth's propagations."""
    from firedrill.grading import matcher_for, name_roots, synthesise

    truth, inventory = privilege.truth, privilege.inventory
    found = name_roots(truth, inventory)
    matcher = matcher_for(truth)
    invented = [
        name
        for number in matcher.roots
        if matcher.label(number) in found.missing and (name := synthesise(matcher, number)) is not None
    ]
    named = _names_of_groups(truth, inventory)
    document = {
        "entities": [
            {
                "name": name,
                "contributing_factor": True,
                "reasoning": "the truth says so",
                "evidence": "an object of the incident"
                if name in found.names
                else "no object of the incident",
            }
            for name in (*found.names, *invented)
        ],
        "propagations": [
            {
                "source": named.get(step.source, step.source),
                "target": named.get(step.target, step.target),
                "condition": step.condition,
                "effect": step.effect,
            }
            for step in truth.propagations
        ],
        "alerts_explained": [],
    }
    notes = {"named": list(found.names), "not_found": list(found.missing), "invented": invented}
    if not document["entities"]:
        return AgentResult(
            Outcome.NO_SUBMISSION, reason="the truth has no root that can be named", notes=notes
        )
    return AgentResult(Outcome.SUBMITTED, json.dumps(document, ensure_ascii=False), notes=notes)


def _names_of_groups(truth: Truth, inventory: Sequence[str]) -> dict[str, str]:
    """For every group a name that lands on it: an object of the incident where there is one."""
    from firedrill.grading import matcher_for

    matcher = matcher_for(truth)
    best: dict[str, tuple[int, int, str]] = {}
    for ident in inventory:
        landing = matcher.place(ident).landing
        if landing is not None:
            rank = (-landing.kind_rank, len(ident), ident)
            best[landing.group.id] = min(best.get(landing.group.id, rank), rank)
    named = {group.id: _spelled(group) for group in truth.groups}
    return {**named, **{group: rank[2] for group, rank in best.items()}}


def _spelled(group: Group) -> str:
    namespace = CLUSTER if is_cluster_scoped(group.kind) else group.namespace or CLUSTER
    return f"{namespace}/{group.kind}/{group.name or group.id}"
