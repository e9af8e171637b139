"""The suites of compliance that come with Firedrill: scenarios of `data/`, as members of a suite."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from firedrill.core.compliance import CLASSES, CLUSTER_CLASSES, ScenarioClass
from firedrill.core.digest import digest_of
from firedrill.core.errors import InputError
from firedrill.core.scenario import Scenario
from firedrill.core.truth import parse_truth
from firedrill.suites.assembling import make_suite
from firedrill.suites.compliance.loading import data_folder, known_ids, load, visible
from firedrill.suites.compliance.model import ComplianceSpec
from firedrill.suites.manifest import validate_record
from firedrill.suites.model import Suite, SuiteScenario

VERSION = "0.1"
WIRED: frozenset[ScenarioClass] = frozenset(CLASSES)
"""The classes whose episodes can be carried out and graded."""
TITLES: Mapping[str, str] = {
    "ciso-core": "Compliance: policies, evidence and updates, graded on hidden variants",
    "ciso-paper": "Fifty of them in the mix of the ITBench paper: 10, 10, 20 and 10 by class",
    "lite-ciso": "Six short assessments, one or two of each class",
}
SELECTED: Mapping[str, tuple[str, ...]] = {
    "lite-ciso": ("kg-01", "kg-06", "ko-10", "ku-02", "rh-11", "rh-19"),
}
"""The scenarios of suites that do not hold all."""
PAPER_MIX: Mapping[ScenarioClass, int] = {
    "kyverno": 10,
    "kubectl-opa": 10,
    "rhel9-ansible-opa": 20,
    "kyverno-update": 10,
}
"""How many scenarios of each class the ITBench paper has."""
MEMBER = "compliance"
"""Where the scenario itself stands in a scenario's truth."""
_AUTHORITY: Mapping[ScenarioClass, str] = {
    "kyverno": "policy-author",
    "kyverno-update": "policy-author",
    "kubectl-opa": "observer",
    "rhel9-ansible-opa": "observer",
}
_PREFIXES: Mapping[str, ScenarioClass] = {
    "kg": "kyverno",
    "ko": "kubectl-opa",
    "rh": "rhel9-ansible-opa",
    "ku": "kyverno-update",
}
_MINUTES = 60.0


def suite_names() -> tuple[str, ...]:
    """Their names."""
    return tuple(TITLES)


def head(name: str) -> dict[str, Any]:
    """What such a suite says of itself: name, version, title, digest, how many scenarios.

    Raises:
        InputError: there is none of that name.
    """
    suite = open_compliance(name)
    about = {"name": name, "version": VERSION, "title": TITLES[name], "digest": suite.digest}
    return {**about, "scenarios": len(suite.scenarios)}


def open_compliance(name: str) -> Suite:
    """A suite of compliance.

    Raises:
        InputError: there is none of that name.
    """
    if name not in TITLES:
        raise InputError(f"no suite {name!r} of compliance", mend=f"there are {', '.join(TITLES)}")
    specs = [load(item) for item in members(name) if _PREFIXES.get(item[:2]) in WIRED]
    return make_suite(
        name=name,
        version=VERSION,
        root=data_folder(),
        scenarios=[suite_scenario(spec) for spec in specs],
        provenance={"title": TITLES[name]},
    )


def members(name: str) -> tuple[str, ...]:
    """The ids of a suite's scenarios, sorted.

    `ciso-paper` has of each class the ids with the smallest SHA-256 of `ciso-paper/<id>`: nobody chose them,
    and the rule is not that of the blind ones.
    """
    if name != "ciso-paper":
        return SELECTED.get(name, known_ids())
    ranked = sorted(known_ids(), key=lambda item: sha256(f"{name}/{item}".encode()).hexdigest())
    found: list[str] = []
    for prefix, scenario_class in _PREFIXES.items():
        own = [item for item in ranked if item.startswith(f"{prefix}-")]
        found += own[: PAPER_MIX[scenario_class]]
    return tuple(sorted(found))


def suite_scenario(spec: ComplianceSpec) -> SuiteScenario:
    """A scenario as a member of a suite."""
    own = spec.model_dump(mode="json", by_alias=True)
    backend = "world" if spec.scenario_class in CLUSTER_CLASSES else "host"
    scenario = Scenario.model_validate(
        {
            "metadata": {
                "name": spec.id,
                "title": spec.title,
                "domain": "ciso",
                "class": spec.scenario_class,
                "complexity": spec.complexity,
                "tags": [f"{spec.control.framework} {spec.control.id}".strip()],
            },
            "environment": {"backend": backend, "modalities": ["objects", "events"]},
            "truth": {MEMBER: own},
            "authority": _AUTHORITY[spec.scenario_class],
            "limits": {"minutes": _MINUTES},
        }
    )
    text = json.dumps(_truth(spec), indent=2) + "\n"
    source = f"{spec.id}: truth"
    truth, _ = parse_truth(json.loads(text), source)
    return SuiteScenario(
        id=spec.id,
        scenario=scenario,
        folder=data_folder(),
        truth_text=text,
        truth_source=source,
        digest=digest_of(own),
        truth_digest=truth.digest,
        row={"class": spec.scenario_class},
    )


def _truth(spec: ComplianceSpec) -> dict[str, Any]:
    """What is broken in the world that the agent sees, as groups of objects."""
    groups = []
    for name in visible(spec).violating:
        if name.startswith("/") or name.count("/") < 2:
            namespace, kind, own = "", "File", name
        else:
            namespace, kind, own = name.split("/", 2)
        group: dict[str, Any] = {"id": name, "kind": kind, "name": own, "root_cause": True}
        if namespace and namespace != "cluster":
            group["namespace"] = namespace
        groups.append({**group, "filter": [f"^{own}$"]})
    return {"id": spec.id, "groups": groups}


def spec_of(scenario: Scenario) -> ComplianceSpec:
    """The compliance scenario inside of a scenario.

    Raises:
        InputError: there is none, or it cannot be used.
    """
    name, own = scenario.metadata.name, scenario.truth.get(MEMBER)
    if not isinstance(own, dict):
        raise InputError("holds no compliance scenario", source=name, field=f"truth.{MEMBER}")
    spec = validate_record(ComplianceSpec, own, name)
    if spec.scenario_class not in WIRED:
        classes = ", ".join(sorted(WIRED))
        raise InputError(
            f"scenarios of the class {spec.scenario_class} cannot be run yet",
            source=name,
            field="class",
            mend=f"take one of {classes}",
        )
    return spec


__all__ = [
    "MEMBER",
    "PAPER_MIX",
    "TITLES",
    "WIRED",
    "head",
    "members",
    "open_compliance",
    "spec_of",
    "suite_names",
    "suite_scenario",
]
