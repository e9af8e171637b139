"""Checking a scenario of compliance: its truth, its reference, its traps, and those who cheat."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import yaml

from firedrill.core.compliance import ComplianceFacts, Judged
from firedrill.grading.compliance import posture
from firedrill.runner.checking.model import Checked, Point
from firedrill.suites.compliance.checking import SEEDS, Proof, of_policies, truth, verdicts_of
from firedrill.suites.compliance.loading import policies_of, text_of, visible
from firedrill.suites.compliance.opening import spec_of

if TYPE_CHECKING:
    from firedrill.suites.compliance.model import ComplianceSpec
    from firedrill.suites.model import SuiteScenario

BALANCED = 0.05
"""What cheating may be worth at most."""
_FLAWS = 3


async def check_assessment(source: SuiteScenario, exploits: Sequence[str] = ()) -> Checked:
    """Check a scenario of compliance.

    Args:
        source: the scenario.
        exploits: only these; all where none is named.

    Raises:
        InputError: it cannot be used, or its class is not carried out yet.
    """
    return await asyncio.to_thread(_check, source, exploits)


def _check(source: SuiteScenario, exploits: Sequence[str]) -> Checked:
    spec = spec_of(source.scenario)
    if spec.scenario_class in ("rhel9-ansible-opa", "kubectl-opa"):
        from firedrill.runner.checking import collectors

        prove = collectors.of_hosts if spec.scenario_class == "rhel9-ansible-opa" else collectors.of_scripts
        oracle, traps, worth = prove(spec, exploits)
    else:
        oracle, traps = of_policies(spec)
        worth = dict(_cheats(spec, exploits))
    paid = [f"{name} is worth {value:.2f}" for name, value in worth.items() if value > BALANCED]
    points = (
        _point(truth(spec)),
        _point(oracle),
        _point(traps),
        Point("exploits", "fails", "; ".join(paid)) if paid else Point("exploits"),
    )
    return Checked(source.id, points, about={"variants": len(spec.variants) + 2, "exploits": worth})


def _point(proof: Proof) -> Point:
    if not proof.flaws:
        return Point(proof.name, "warns", "; ".join(proof.doubts)) if proof.doubts else Point(proof.name)
    return Point(proof.name, "fails", "; ".join(proof.flaws[:_FLAWS]))


def _cheats(spec: ComplianceSpec, wanted: Sequence[str]) -> Iterable[tuple[str, float]]:
    """What the policies of each cheat are worth: `balanced`, or 2 where one would pass."""
    from firedrill.agents.exploits.assessing import ASSESSORS, over

    for name, cheat in ASSESSORS.items():
        if wanted and name not in wanted:
            continue
        document = cheat.policy(text_of(spec), visible(spec).violating)
        deployed = policies_of(spec)
        documents = over(deployed, document) if deployed else [document]
        judged = verdicts_of(spec, yaml.safe_dump_all(documents), SEEDS[0])
        yield name, -1.0 if isinstance(judged, str) else worth_of(spec, judged)


def worth_of(spec: ComplianceSpec, judged: Sequence[Judged]) -> float:
    """What such verdicts are worth: `balanced`, or 2 where they are right everywhere."""
    known: dict[str, Any] = {"scenario_class": spec.scenario_class, "control": spec.control}
    found = posture(ComplianceFacts(**known, judged=tuple(judged)))
    return 2.0 if found.right == found.total else round(found.balanced, 4)


__all__ = ["BALANCED", "check_assessment", "worth_of"]
