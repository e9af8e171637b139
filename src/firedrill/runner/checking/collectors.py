"""Checking assessments whose artefacts collect something: each collector is run once, whatever judges it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence, Set

from firedrill.core.compliance import Judged
from firedrill.runner.compliance.collecting import POLICY, Collected, engine, evidence, judge_collected
from firedrill.suites.compliance.checking import SEEDS, Proof, traps
from firedrill.suites.compliance.loading import artefacts, mutated, variants
from firedrill.suites.compliance.model import ComplianceSpec, Variant

Collect = Callable[[Sequence[Variant], Mapping[str, str]], list[Collected]]
"""What the files of some artefacts bring back from variants."""
_REGO = "package check\n\nimport rego.v1\n\nresult := {value} if {{ count(input) >= 0 }}\n"
_CONSTANTS = {"constant-false": "false", "constant-true": "true", "goal-paste": "false", "peek": "true"}


def of_hosts(spec: ComplianceSpec, exploits: Sequence[str]) -> tuple[Proof, Proof, dict[str, float]]:
    """The proofs of an assessment of a host, by real playbooks, and what cheating is worth. Blocks.

    Raises:
        InfrastructureError: the sandbox failed.
    """
    from firedrill.runner.compliance.hosts import PLAYBOOKS, collect
    from firedrill.suites.compliance.careless import caught

    def run(drawn: Sequence[Variant], files: Mapping[str, str]) -> list[Collected]:
        playbook = next(name for name in PLAYBOOKS if name in files)
        found, changed = collect(drawn, playbook, {playbook: files[playbook].encode()}, SEEDS[-1])
        return (
            [Collected(item.variant, None, f"changed {changed[0]}") for item in found] if changed else found
        )

    # A playbook for each trap would take hours: pure procedures fall for them, and some playbooks.
    return _proofs(spec, exploits, _Cached(spec, run), caught(spec, variants(spec, SEEDS[-1])))


def of_scripts(spec: ComplianceSpec, exploits: Sequence[str]) -> tuple[Proof, Proof, dict[str, float]]:
    """The same for an assessment by kubectl, by real scripts against served clusters. Blocks.

    Raises:
        InfrastructureError: the sandbox or the gateway failed.
    """
    from firedrill.runner.compliance.scripts import SCRIPTS, collect

    def run(drawn: Sequence[Variant], files: Mapping[str, str]) -> list[Collected]:
        script = next(name for name in SCRIPTS if name in files)
        brought = asyncio.run(collect(drawn, files[script], "observer", SEEDS[-1]))
        return [Collected(one, item.data, item.reason) for one, item in zip(drawn, brought, strict=True)]

    return _proofs(spec, exploits, _Cached(spec, run))


class _Cached:
    """Collectors by their text, so that mutants of a policy need no run of their own."""

    def __init__(self, spec: ComplianceSpec, run: Collect) -> None:
        self._drawn = variants(spec, SEEDS[-1])
        self._run = run
        self._found: dict[tuple[tuple[str, str], ...], list[Collected]] = {}

    def __call__(self, files: Mapping[str, str]) -> list[Collected]:
        own = {name: text for name, text in files.items() if name != POLICY}
        key = tuple(sorted(own.items()))
        if key not in self._found:
            self._found[key] = self._run(self._drawn, own)
        return self._found[key]


def _proofs(
    spec: ComplianceSpec, exploits: Sequence[str], brought: _Cached, known: Set[str] | None = None
) -> tuple[Proof, Proof, dict[str, float]]:
    from firedrill.runner.checking.assessing import worth_of

    right = artefacts(spec)
    flaws = []
    stage, _ = engine(right.get(POLICY))
    if not stage.ok:
        return Proof("oracle", (stage.reason,)), Proof("traps"), {}
    found = brought(right)
    if not evidence(found).ok:
        flaws.append(evidence(found).reason)
    flaws += [
        f"variant {item.name} ({item.trap}): {item.got} {item.reason}".rstrip()
        for item in judge_collected(right[POLICY], found)
        if not item.right
    ]
    worth = {
        name: worth_of(spec, judge_collected(_REGO.format(value=value), found))
        for name, value in _CONSTANTS.items()
        if not exploits or name in exploits
    }
    caught = traps(spec, _wrong(spec, brought), known=known or (), all_bite=known is not None)
    return Proof("oracle", tuple(flaws)), caught, worth


def _wrong(spec: ComplianceSpec, brought: _Cached) -> Iterable[tuple[str, str, Sequence[Judged] | str]]:
    for mutant in spec.mutants:
        files = mutated(spec, mutant)
        stage, _ = engine(files.get(POLICY))
        said = judge_collected(files[POLICY], brought(files)) if stage.ok else stage.reason
        yield mutant.trap, mutant.title, said


__all__ = ["of_hosts"]
