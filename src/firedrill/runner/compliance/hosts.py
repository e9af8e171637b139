"""Assessments of a host: playbooks run on variants of it that nobody has seen."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from firedrill.core.compliance import ComplianceFacts, Stage
from firedrill.core.errors import InfrastructureError, InputError
from firedrill.runner.compliance.collecting import (
    COLLECTED,
    POLICY,
    Collected,
    engine,
    evidence,
    judge_collected,
    read_collected,
)
from firedrill.sandbox.host import HostLimits, Played, play
from firedrill.suites.compliance.hosts import host_of
from firedrill.suites.compliance.loading import variants
from firedrill.suites.compliance.model import ComplianceSpec, Variant

PLAYBOOKS = ("playbook.yml", "playbook.yaml")
SECONDS = 120.0
WORKERS = 2
_LIMITS = HostLimits(seconds=SECONDS)
_WORDS = 300


def assess_host(spec: ComplianceSpec, files: Mapping[str, str], seed: int) -> ComplianceFacts:
    """Run a playbook on all variants, and its policy on what it collects. Blocks.

    Args:
        spec: the scenario.
        files: what was handed in.
        seed: of the hidden variants.

    Raises:
        InfrastructureError: the sandbox failed, or a stub of ours could not answer a command.
    """
    playbook = next((name for name in PLAYBOOKS if name in files), None)
    known: dict[str, Any] = {
        "scenario_class": spec.scenario_class,
        "control": spec.control,
        "submitted": tuple(sorted(files)),
    }
    if playbook is None:
        reason = "no playbook was handed in" if files else "nothing was handed in"
        return ComplianceFacts(**known, collector=Stage(reason=reason))
    drawn = variants(spec, seed)
    folder = {playbook: files[playbook].encode()}
    known["collector"] = _collector(drawn[0], playbook, folder)
    known["engine"], known["language"] = engine(files.get(POLICY))
    if not known["collector"].ok or not known["engine"].ok:
        return ComplianceFacts(**known)
    found, changed = collect([*drawn, drawn[0]], playbook, folder, seed)
    *judged, again = judge_collected(files[POLICY], found)
    collected = evidence(found[:-1])
    if changed:
        collected = Stage(reason=f"it changed the host: {', '.join(changed[:5])}")
    return ComplianceFacts(
        **known,
        evidence=collected,
        judged=tuple(judged),
        again=again,
        original=_original(judged[0].got, collected),
        conduct=tuple(f"changed {path}" for path in changed[:20]),
    )


def _original(got: str, collected: Stage) -> bool:
    """What ITBench's own check asks for: evidence, and `fail` on the one host there is."""
    return collected.ok and got == "fail"


def _collector(variant: Variant, playbook: str, folder: Mapping[str, bytes]) -> Stage:
    try:
        played = play(host_of(variant), playbook, folder, _LIMITS, arguments=["--syntax-check"])
    except InputError as error:
        raise InfrastructureError(str(error)) from error
    if played.code != 0:
        return Stage(reason=f"the playbook is none: {_last(played)}")
    return Stage(ok=True)


def _last(played: Played) -> str:
    text = played.stderr.strip() or played.stdout.strip() or f"exit code {played.code}"
    return " ".join(text.split())[:_WORDS]


def collect(
    drawn: Sequence[Variant], playbook: str, folder: Mapping[str, bytes], seed: int
) -> tuple[list[Collected], list[str]]:
    """What a playbook brings back from each variant, in their order, and what it changed on any. Blocks.

    Raises:
        InfrastructureError: the sandbox failed, or a stub of ours could not answer a command.
    """
    order = list(range(len(drawn)))
    random.Random(seed).shuffle(order)  # noqa: S311 - no secret
    played: dict[int, Played] = {}
    with ThreadPoolExecutor(WORKERS) as pool:
        running = {
            place: pool.submit(play, host_of(drawn[place]), playbook, folder, _LIMITS) for place in order
        }
        played = {place: running[place].result() for place in order}
    gaps = sorted({" ".join(words) for item in played.values() for words in item.gaps})
    if gaps:
        raise InfrastructureError(f"no stub of the host answers {gaps[0]!r}")
    changed = sorted({path for item in played.values() for path in item.changed})
    return [_brought(drawn[place], played[place]) for place in range(len(drawn))], changed


def _brought(variant: Variant, played: Played) -> Collected:
    if played.stopped or played.code == 124:
        return Collected(variant, reason="it did not end in time")
    if played.code != 0:
        return Collected(variant, reason=f"the playbook failed: {_last(played)}")
    data, reason = read_collected(played.files.get(COLLECTED))
    return Collected(variant, data, reason)


__all__ = ["PLAYBOOKS", "assess_host", "collect"]
