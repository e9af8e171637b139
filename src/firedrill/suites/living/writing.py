"""Scenario files of living worlds: written from an incident, read back into a case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import yaml

from firedrill.core.digest import digest_of
from firedrill.core.errors import InputError
from firedrill.core.scenario import (
    Environment,
    FaultSpec,
    Metadata,
    Reference,
    Scenario,
    ScenarioLimits,
    WaiterSpec,
)
from firedrill.suites.living.case import HEALTHY_MS, MODALITIES, Case, CaseFault, Waiter
from firedrill.world.sim.clock import EPOCH_MS, epoch_ms, rfc3339

if TYPE_CHECKING:
    from firedrill.faults import Step
    from firedrill.suites.living.incident import Incident
    from firedrill.suites.living.truth import Told

_MINUTES = 60.0
_MOST_FAULTS = 8


def environment_of(case: Case) -> Environment:
    """Where a case happens, as a scenario file says it."""
    load: dict[str, Any] = {"factor": case.load}
    if case.users:
        load = {"users": case.users}
    return Environment(
        backend="world",
        application=case.package,
        load=load,
        seed=case.seed,
        modalities=case.modalities,
        nodes=case.nodes,
        start=rfc3339(case.start),
        life=case.life,
        red_herrings=case.red_herrings,
        prepare=_waiters(case.prepare),
    )


def fault_specs(case: Case) -> tuple[FaultSpec, ...]:
    """What breaks in a case, as a scenario file says it."""
    return tuple(
        FaultSpec(id=item.id, args=dict(item.args), at=item.at_ms / 1000, after=_waiters(item.after))
        for item in case.faults
    )


def _waiters(waiters: Iterable[Waiter]) -> tuple[WaiterSpec, ...]:
    return tuple(WaiterSpec(id=item.id, args=dict(item.args)) for item in waiters)


def scenario_of(
    incident: Incident,
    told: Told,
    name: str,
    *,
    version: str = "1",
    tags: Sequence[str] = (),
    cures: Sequence[Sequence[str]] = (),
    certificate: Mapping[str, Any] | None = None,
) -> Scenario:
    """The scenario of an incident. Its title tells no more than its alerts do.

    Args:
        incident: that was simulated.
        told: its truth.
        name: of the scenario.
        version: of the scenario.
        tags: besides those that follow from the incident.
        cures: all minimal sets of entities whose healing ends it; by default the causes of all faults.
        certificate: what was checked.
    """
    from firedrill import faults

    mechanisms = [faults.find(item.fault) for item in incident.injections]
    causes = list(dict.fromkeys(cause for item in incident.injections for cause in item.causes))
    own = [f"{len(mechanisms)}-faults"] if len(mechanisms) > 1 else []
    own += ["diagnosis-only"] if any(item is None for item in told.repairs) else []
    start, fault = incident.times.start, incident.times.fault
    truth = {
        **told.v1,
        "v2": told.v2["spec"],
        "cures": [list(item) for item in cures] or [causes],
        "affected": [
            {"entity": item.entity, "after": (item.at - fault) / 1000, "what": item.what}
            for item in told.affected
        ],
    }
    return Scenario(
        metadata=Metadata(
            name=name,
            title=_title(incident),
            domain="sre",
            fault_class=mechanisms[0].family,
            complexity=told.difficulty,
            technologies=told.technologies,
            tags=tuple(dict.fromkeys([*own, *tags])),
            version=version,
        ),
        environment=environment_of(incident.case),
        triggers=tuple(
            {"alert": item.name, "labels": dict(item.labels), "at": (item.fired - start) / 1000}
            for item in incident.alerts
            if item.fired <= incident.times.noticed
        ),
        faults=fault_specs(incident.case),
        truth=truth,
        certificate={"complexity": told.complexity, "path": told.path, **(certificate or {})},
        reference=Reference(steps=tuple(_step(item) for item in told.steps)),
        authority="observer" if any(item is None for item in told.repairs) else "operator",
        limits=ScenarioLimits(turns=100, minutes=_MINUTES),
    )


def _title(incident: Incident) -> str:
    early = [item for item in incident.alerts if item.fired <= incident.times.noticed]
    names = list(dict.fromkeys(item.name for item in early))
    where = incident.package.application.namespace
    return f"{', '.join(names)} in {where}" if names else f"Something is wrong in {where}"


def _step(step: Step) -> dict[str, Any]:
    out = {
        "text": step.text,
        "verb": step.verb,
        "resource": step.resource,
        "namespace": step.namespace,
        "name": step.name,
        "body": step.body,
        "patch_type": step.patch_type,
        "subresource": step.subresource,
        "command": step.command(),
    }
    return {key: item for key, item in out.items() if item not in (None, "")}


def dump(scenario: Scenario) -> dict[str, Any]:
    """As plain data, without what is at its default."""
    data = scenario.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {"apiVersion": scenario.apiVersion, "kind": scenario.kind, **data}


def text_of(scenario: Scenario) -> str:
    """The scenario file, in YAML."""
    return yaml.dump(dump(scenario), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        """Write everything where it stands."""
        return True


def scenario_digest(scenario: Scenario) -> str:
    """A digest of all that a scenario says."""
    return digest_of(dump(scenario))


def own_truth(scenario: Scenario) -> dict[str, Any]:
    """The truth of a scenario in the form that is graded (v1, wrapped)."""
    return {key: scenario.truth[key] for key in ("apiVersion", "kind", "metadata", "spec")}


def truth_texts(scenario: Scenario) -> tuple[str, str]:
    """The truths of a scenario as `ground_truth.yaml` (v1, wrapped) and `ground_truth_v2.yaml`."""
    own = own_truth(scenario)
    later = {**own, "apiVersion": "itbench.io/v2", "spec": scenario.truth["v2"]}
    texts = [
        yaml.dump(item, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
        for item in (own, later)
    ]
    return texts[0], texts[1]


def case_of(scenario: Scenario, source: str = "") -> Case:
    """The case that a scenario is about.

    Raises:
        InputError: it is about no world, or something in it cannot be simulated.
    """
    environment = scenario.environment
    if environment.backend != "world":
        problem = f"the backend is {environment.backend!r}, which has no world"
        raise InputError(problem, source=source, field="environment.backend", mend="take `world`")
    if not environment.application:
        raise InputError("no application is named", source=source, field="environment.application")
    if not 1 <= len(scenario.faults) <= _MOST_FAULTS:
        raise InputError(f"one to {_MOST_FAULTS} faults are needed", source=source, field="faults")
    factor, users = _load(environment.load or {}, source)
    return Case(
        package=environment.application,
        faults=tuple(
            CaseFault(item.id, dict(item.args), round(item.at * 1000) or HEALTHY_MS, _back(item.after))
            for item in scenario.faults
        ),
        seed=environment.seed,
        load=factor,
        users=users,
        life=environment.life,
        red_herrings=environment.red_herrings,
        nodes=environment.nodes,
        start=_moment(environment.start, source),
        prepare=_back(environment.prepare),
        modalities=environment.modalities or MODALITIES,
    )


def _back(waiters: Iterable[WaiterSpec]) -> tuple[Waiter, ...]:
    return tuple(Waiter(item.id, dict(item.args)) for item in waiters)


def _moment(text: str | None, source: str) -> int:
    if text is None:
        return EPOCH_MS
    try:
        return epoch_ms(text)
    except ValueError:
        raise InputError(
            f"{text!r} is no moment", source=source, field="environment.start", mend="2026-01-05T09:00:00Z"
        ) from None


def _load(load: Mapping[str, Any], source: str) -> tuple[float, int]:
    for name in load:
        if name not in {"factor", "users"}:
            mend = "take factor or users"
            raise InputError("is not known", source=source, field=f"environment.load.{name}", mend=mend)
    factor, users = load.get("factor", 1.0), load.get("users", 0)
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor <= 20:
        raise InputError("must be above 0 and at most 20", source=source, field="environment.load.factor")
    if isinstance(users, bool) or not isinstance(users, int) or not 0 <= users <= 10_000:
        raise InputError("must be 0 to 10000", source=source, field="environment.load.users")
    return float(factor), users


__all__ = [
    "case_of",
    "dump",
    "environment_of",
    "fault_specs",
    "own_truth",
    "scenario_digest",
    "scenario_of",
    "text_of",
    "truth_texts",
]
