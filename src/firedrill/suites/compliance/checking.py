"""What a scenario of compliance has to prove before it is packaged, as far as engines alone can show it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from firedrill.core.compliance import CLUSTER_CLASSES, Judged
from firedrill.core.documents import read_documents
from firedrill.core.errors import InputError
from firedrill.suites.compliance.controls import judge_of, verdicts
from firedrill.suites.compliance.hosts import host_of
from firedrill.suites.compliance.judging import Loaded, admitted, judge_all, misformed, sensitive
from firedrill.suites.compliance.loading import artefacts, mutated, policies_of, text_of, variants
from firedrill.suites.compliance.model import ComplianceSpec

SEEDS = (0, 1)
"""Of the draws that are looked at."""
LEAST_COMPLIANT, LEAST_BROKEN = 2, 3
"""Hidden variants of each sort."""


@dataclass(frozen=True, slots=True)
class Proof:
    """One thing that has to hold.

    Attributes:
        name: `truth`, `oracle` or `traps`.
        flaws: why it does not; empty where it does.
        doubts: what is not shown, though nothing speaks against it.
    """

    name: str
    flaws: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def truth(spec: ComplianceSpec) -> Proof:
    """The decision procedure says of each variant what the file says, and there are enough of them."""
    flaws = []
    judge, hosts = judge_of(spec.id), spec.scenario_class not in CLUSTER_CLASSES
    for seed in SEEDS:
        for variant in variants(spec, seed):
            found = verdicts(judge(host_of(variant) if hosts else variant.state))
            where = f"{variant.name} ({variant.trap or 'visible'}), seed {seed}"
            if found != dict(variant.expect):
                flaws.append(f"{where}: the procedure says {found}, the file {dict(variant.expect)}")
            if variant.compliant is bool(variant.violating):
                flaws.append(f"{where}: compliant and violating at once")
    good = sum(item.compliant for item in spec.variants)
    if good < LEAST_COMPLIANT or len(spec.variants) - good < LEAST_BROKEN:
        flaws.append(f"{good} compliant and {len(spec.variants) - good} other variants are too few")
    if "${" in text_of(spec):
        flaws.append("the text has a name in it that was not drawn")
    return Proof("truth", tuple(flaws))


def of_policies(spec: ComplianceSpec) -> tuple[Proof, Proof]:
    """With Kyverno: the reference is right everywhere, and each trap catches a wrong policy."""
    flaws: list[str] = []
    for seed in SEEDS:
        judged = verdicts_of(spec, artefacts(spec)["policy.yaml"], seed)
        if isinstance(judged, str):
            return Proof("oracle", (judged,)), Proof("traps", ("the reference is not admitted",))
        flaws += [
            f"variant {item.name} ({item.trap}), seed {seed}: {item.got}" for item in judged if not item.right
        ]
        if not sensitive(judged).ok:
            flaws.append(sensitive(judged).reason)
    return Proof("oracle", tuple(flaws)), traps(spec, _wrong(spec))


def _wrong(spec: ComplianceSpec) -> Iterable[tuple[str, str, Sequence[Judged] | str]]:
    for mutant in spec.mutants:
        yield mutant.trap, mutant.title, verdicts_of(spec, mutated(spec, mutant)["policy.yaml"], SEEDS[-1])


def traps(
    spec: ComplianceSpec,
    wrong: Iterable[tuple[str, str, Sequence[Judged] | str]],
    *,
    known: Iterable[str] = (),
    all_bite: bool = True,
) -> Proof:
    """Each trap catches one of these wrong artefacts, and each of them is caught by its own.

    Args:
        spec: the scenario.
        wrong: of each its trap, its title, and what it says about the variants, or why it says nothing.
        known: traps that are known to catch somebody else.
        all_bite: whether a trap that catches nobody is a flaw; else it is a doubt.
    """
    flaws = []
    caught = set(known)
    for trap, title, judged in wrong:
        if isinstance(judged, str):
            flaws.append(f"the mutant {title!r} is no artefact: {judged}")
            continue
        bitten = {item.trap for item in judged if item.hidden and not item.right}
        caught |= bitten
        if trap not in bitten:
            flaws.append(f"the mutant {title!r} is not caught by {trap}")
    idle = sorted({item.trap for item in spec.variants} - caught)
    unproven = [f"nothing is caught by {', '.join(idle)}"] if idle else []
    if all_bite:
        return Proof("traps", (*flaws, *unproven))
    return Proof("traps", tuple(flaws), tuple(unproven))


def verdicts_of(spec: ComplianceSpec, text: str, seed: int) -> tuple[Judged, ...] | str:
    """What policies in YAML say about the variants of a seed, or why they say nothing."""
    try:
        documents = [item for item in read_documents(text, "policy.yaml") if isinstance(item, dict)]
    except InputError as error:
        return error.problem
    loaded = _loaded(spec, documents)
    return loaded if isinstance(loaded, str) else judge_all(spec, loaded, seed)[0]


def _loaded(spec: ComplianceSpec, documents: Sequence[dict[str, Any]]) -> Loaded | str:
    """The policies; for updates together with those that they leave as they are."""
    by_name = {_name(item): item for item in policies_of(spec)}
    by_name |= {_name(item): item for item in documents}
    loaded, problem = admitted(by_name.values())
    problem = problem or misformed(spec, by_name.values())
    return problem if loaded is None or problem else loaded


def _name(document: dict[str, Any]) -> tuple[str, str, str]:
    about = document.get("metadata") or {}
    return str(document.get("kind")), str(about.get("namespace") or ""), str(about.get("name"))


__all__ = ["SEEDS", "Proof", "of_policies", "traps", "truth", "verdicts_of"]
