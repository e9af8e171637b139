"""Taking in what an assessor hands in: files of its folder, a tar, an answer, or what it deployed."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from firedrill.core.artefacts import LARGEST, MOST, NAMES, read_artefacts, write_artefacts
from firedrill.core.compliance import ComplianceFacts
from firedrill.core.outcome import Outcome
from firedrill.runner.compliance.assessing import Assessed
from firedrill.runner.compliance.packing import asking
from firedrill.suites.compliance.loading import visible
from firedrill.suites.compliance.opening import spec_of

if TYPE_CHECKING:
    from firedrill.agents.base import Assessment
    from firedrill.runner.attempt import Ending
    from firedrill.runner.living.stage import LivingEpisode
    from firedrill.sandbox.base import SandboxSpec, Workspace
    from firedrill.suites.model import SuiteScenario

TAR = "agent_output.data"
_TAR_LIMIT = 4_000_000
_ENDED = (Outcome.SUBMITTED, Outcome.NO_SUBMISSION)


async def handed_in(
    living: LivingEpisode, workspace: Workspace, assessment: Assessment, ending: Ending, seed: int
) -> Ending:
    """How an episode ended, with the facts about what was handed in.

    Whoever ended by itself has handed in what lies in its folder, or what it deployed, whatever it said.

    Args:
        living: the world of the episode.
        workspace: of the agent.
        assessment: what it was to assess.
        ending: as far as it is known.
        seed: of the hidden variants.

    Raises:
        InfrastructureError: the world's process broke.
    """
    files = {**await collected(workspace, assessment.folder), **read_artefacts(ending.submission)}
    found = Assessed.model_validate(await living.finished([asking(write_artefacts(files), seed)]))
    facts = found.facts
    if facts.scenario_class == "kubectl-opa" and ending.outcome in _ENDED and files:
        from firedrill.runner.compliance.scripts import assess_scripts

        scenario = living.stage.source.scenario
        facts = await assess_scripts(spec_of(scenario), files, seed, facts, scenario.authority)
    return _ended(ending, facts, found.artefacts)


async def handed_in_on_host(
    source: SuiteScenario, workspace: Workspace, assessment: Assessment, ending: Ending, seed: int
) -> Ending:
    """The same where a host was assessed.

    Raises:
        InfrastructureError: the sandbox failed, or a stub of ours could not answer.
    """
    from firedrill.runner.compliance.hosts import assess_host

    files = {**await collected(workspace, assessment.folder), **read_artefacts(ending.submission)}
    spec = spec_of(source.scenario)
    # whoever was stopped gets nothing: no need to run what he left
    judged = files if ending.outcome in _ENDED else {}
    return _ended(ending, await asyncio.to_thread(assess_host, spec, judged, seed), files)


def visit(source: SuiteScenario, box: SandboxSpec) -> Workspace:
    """The workspace of whoever assesses a host."""
    from firedrill.runner.compliance.visiting import HostWorkspace
    from firedrill.suites.compliance.hosts import host_of

    return HostWorkspace(host_of(visible(spec_of(source.scenario))), box.limits)


def _ended(ending: Ending, facts: ComplianceFacts, files: Mapping[str, str]) -> Ending:
    if ending.outcome not in _ENDED:
        return replace(ending, facts=facts)
    if not facts.submitted:
        reason = ending.reason or "nothing was handed in, and no policy was deployed"
        return replace(ending, facts=facts, outcome=Outcome.NO_SUBMISSION, reason=reason)
    reason = "" if ending.outcome is Outcome.NO_SUBMISSION else ending.reason
    return replace(
        ending, facts=facts, outcome=Outcome.SUBMITTED, reason=reason, submission=write_artefacts(files)
    )


async def collected(workspace: Workspace, folder: str) -> dict[str, str]:
    """The artefacts in a folder of a workspace; those of a tar there where there are none beside it."""
    found: dict[str, str] = {}
    for name in NAMES:
        data = await workspace.read_file(f"{folder}/{name}", LARGEST)
        if data is not None:
            found[name] = data.decode("utf-8", "replace")
    if found:
        return found
    data = await workspace.read_file(f"{folder}/{TAR}", _TAR_LIMIT)
    return {} if data is None else unpacked(data)


def unpacked(data: bytes) -> dict[str, str]:
    """The artefacts of a tar: plain files at its top with names that count; nothing where it is none."""
    found: dict[str, str] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as archive:
            for _ in range(MOST):
                member = archive.next()
                if member is None:
                    break
                name = member.name.removeprefix("./")
                if member.isfile() and name in NAMES and member.size <= LARGEST:
                    handle = archive.extractfile(member)
                    if handle is not None:
                        found[name] = handle.read(LARGEST).decode("utf-8", "replace")
    except (tarfile.TarError, OSError, EOFError, ValueError):
        return {}
    return found


__all__ = ["collected", "handed_in", "unpacked"]
