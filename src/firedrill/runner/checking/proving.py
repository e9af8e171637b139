"""Whether a scenario is what its file says: simulated, told and tried again, in a process of its own.

Started as `python -m firedrill.runner.checking.proving`: a scenario on standard input, what was found on
standard output, both as JSON.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from firedrill.core.errors import FiredrillError
from firedrill.core.scenario import Scenario

if TYPE_CHECKING:
    from firedrill.faults.healing import Certificate
    from firedrill.suites.living import Incident
    from firedrill.suites.living.truth import Told

_SHORT = 300
Found = dict[str, Any]


def prove(scenario: Scenario) -> Found:
    """What is found out about a scenario without an agent, as JSON: for each point what is wrong, or nothing.

    Raises:
        InputError: it cannot be simulated.
    """
    from firedrill.faults.healing import certificate
    from firedrill.suites.living import simulate
    from firedrill.suites.living.truth import tell
    from firedrill.suites.living.writing import case_of

    started = time.process_time()
    case = case_of(scenario)
    incident = simulate(case)
    told = tell(incident, scenario.metadata.name)
    proof = certificate(incident, listed=scenario.truth.get("cures"), modalities=case.modalities)
    wrong, warnings = _compared(scenario, incident, told, proof)
    return {
        "healthy": _healthy(incident),
        "alert": "" if incident.times.alert is not None else "no alert fires in time",
        "lasts": _lasts(incident),
        "truth": "; ".join(wrong)[:_SHORT],
        "warnings": warnings,
        "certificate": "" if proof.granted or _unseen(proof) else proof.refused,
        "visible": proof.refused if _unseen(proof) else "",
        "seen": [f"{item.entity}: {item.text}" for item in proof.seen],
        "noticed_after": (incident.times.noticed - incident.times.fault) / 1000,
        "tried": len(proof.tried),
        "cpu_seconds": round(time.process_time() - started, 2),
    }


def _healthy(incident: Incident) -> str:
    from firedrill.suites.living.incident import tells
    from firedrill.world.app import service

    if not service.healthy(incident.before, incident.baseline, incident.times.fault):
        return "users are not well served before the fault"
    calm = [item for item in incident.minutes if item.at <= incident.times.fault]
    early = [dict(alert.labels)["alertname"] for alert in calm[-1].alerts if tells(alert)] if calm else []
    return f"{early[0]} fires before the fault" if early else ""


def _lasts(incident: Incident) -> str:
    from firedrill import faults
    from firedrill.world.app import service

    lasting = [item for item in incident.alerts if item.ended is None]
    if not lasting and not service.outside(incident.world, incident.baseline, incident.times.end):
        return "it passes by itself"
    over = [item.fault for item in incident.injections if not faults.active(incident.world, item)]
    return f"{over[0]} ended by itself" if over else ""


def _unseen(proof: Certificate) -> bool:
    return proof.refused.startswith("nothing is to be seen")


# -- the truth, told again


def _compared(
    scenario: Scenario, incident: Incident, told: Told, proof: Certificate
) -> tuple[list[str], list[str]]:
    """What differs from the truth in the scenario's file, and what is only worth a warning."""
    wrong, warnings = [], []
    listed, found = _sets(scenario.truth.get("cures") or ()), _sets(proof.causes)
    if proof.granted and listed != found:
        wrong.append(f"its minimal cures are {_shown(found)}, not {_shown(listed)}")
    causes = {cause for item in incident.injections for cause in item.causes}
    if not causes & {entity for cure in listed for entity in cure}:
        wrong.append(f"what broke is {', '.join(sorted(causes))}")
    known = _alerts(scenario.truth.get("spec", {}))
    now = _alerts(told.v1["spec"])
    wrong += [f"{name} does not fire" for name in sorted(known - now)]
    warnings += [f"{name} fires too" for name in sorted(now - known)]
    wrong += _times(scenario, incident)
    there, here = _steps(scenario.truth.get("spec", {})), _steps(told.v1["spec"])
    wrong += [f"it does not spread from {a} to {b}" for a, b in sorted(there - here)]
    warnings += [f"it spreads from {a} to {b}" for a, b in sorted(here - there)]
    return wrong, warnings


def _times(scenario: Scenario, incident: Incident) -> Iterator[str]:
    start = incident.times.start
    early = [item for item in incident.alerts if item.fired <= incident.times.noticed]
    fired = {_key(item.name, item.labels): (item.fired - start) / 1000 for item in early}
    for trigger in scenario.triggers:
        name, at = str(trigger.get("alert", "")), trigger.get("at")
        here = fired.get(_key(name, trigger.get("labels") or {}))
        if here is None:
            yield f"{name} has not fired when somebody is called"
        elif at is not None and here != float(at):
            yield f"{name} fires at {here:g} s, not at {float(at):g} s"


def _key(name: str, labels: Mapping[str, Any]) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted((key, str(item)) for key, item in labels.items() if key != "alertname"))


def _alerts(spec: Mapping[str, Any]) -> set[str]:
    return {str(item["id"]) for item in spec.get("alerts", ())}


def _steps(spec: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(str(item["source"]), str(item["target"])) for item in spec.get("propagations", ())}


def _sets(cures: Sequence[Sequence[str]]) -> set[frozenset[str]]:
    return {frozenset(cure) for cure in cures}


def _shown(cures: set[frozenset[str]]) -> str:
    return " or ".join(sorted(" and ".join(sorted(cure)) for cure in cures)) or "none"


def main() -> int:
    """Prove the scenario that standard input holds."""
    scenario = Scenario.model_validate(orjson.loads(sys.stdin.buffer.read()))
    try:
        found = prove(scenario)
    except FiredrillError as error:
        found = {"error": str(error)}
    sys.stdout.buffer.write(orjson.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
