"""The agent itself: reads the requirement, fills templates, hands in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from firedrill.agents.base import AgentError, AgentResult, Assessment, Episode
from firedrill.agents.clerk import kyverno, objects, pods, rego, rights
from firedrill.agents.clerk.hosts.choosing import template
from firedrill.agents.clerk.words import Words, read
from firedrill.core.outcome import Outcome


class ClerkAgent:
    """Assesses compliance by rule, without a model. What it cannot read it hands nothing in for."""

    name = "clerk"
    privileged = False
    needs_workspace = False
    acts = True

    def config(self) -> dict[str, Any]:
        """It has nothing to configure."""
        return {"agent": "clerk", "version": 1}

    async def solve(self, episode: Episode) -> AgentResult:
        """Read, fill, hand in; policies are deployed."""
        from firedrill.agents.deploying import deploy, policies_of
        from firedrill.core.artefacts import write_artefacts

        assessment = episode.task.assessment
        if assessment is None:
            raise AgentError("it only knows assessments of compliance")
        files = artefacts(assessment)
        if not files:
            return AgentResult(Outcome.NO_SUBMISSION, reason="it cannot read what the requirement demands")
        refused: list[str] = []
        if episode.living is not None and "policy.yaml" in files:
            refused = await deploy(episode.living, policies_of(files["policy.yaml"]))
        return AgentResult(Outcome.SUBMITTED, write_artefacts(files), notes={"refused": refused})


def artefacts(assessment: Assessment) -> Mapping[str, str]:
    """What it hands in by file name; nothing where the words say nothing to it."""
    words = read(assessment.requirement)
    if assessment.updates:
        return {}
    if "policy.yaml" in assessment.files:
        demands = pods.demands(words)
        if not demands:
            return {}
        return {"policy.yaml": yaml.safe_dump(kyverno.policy(words, demands), sort_keys=False)}
    if "fetcher.sh" in assessment.files:
        return _by_kubectl(words)
    if "playbook.yml" in assessment.files:
        filled = template(words)
        return {} if filled is None else filled.files()
    return {}


def _by_kubectl(words: Words) -> Mapping[str, str]:
    """By what the words are about: ties between objects, rights, or else the fields of pods."""
    files = objects.artefacts(words) or rights.artefacts(words)
    if files:
        return files
    found = pods.demands(words)
    return rego.of_pods(words, found) if found else {}


__all__ = ["ClerkAgent", "artefacts"]
