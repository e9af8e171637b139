"""Assessments as OSCAL assessment results (JSON, 1.1.2): a result for each episode.

Names and forms of members are those of NIST's schema of assessment results.
"""

from __future__ import annotations

import json
import re
from typing import Any

from firedrill import __version__
from firedrill.core.compliance import Control
from firedrill.report import text
from firedrill.report.compliance.evidence import Evidence, Seen, evidence_of, identifier
from firedrill.report.model import RunView
from firedrill.world.sim.clock import EPOCH_MS, rfc3339

OSCAL = "1.1.2"
NAMESPACE = "urn:firedrill:oscal"
"""A name for our own properties, never looked up."""
_LONGEST = 1e8
"""Seconds; longer ones are damaged records, and no time at all to some readers."""
_REMARKS = (
    "Simulated systems, assessed by agents. Findings are what an agent's artefacts said of the system that "
    "it saw; `assessment-passed` tells whether they were right, there and on variants."
)
_STATES = {"pass": "satisfied", "fail": "not-satisfied"}


def as_oscal(view: RunView) -> str:
    """The document, the same to the byte for the same records.

    Times are those of the assessed world's own clock.

    Raises:
        InputError: the run has no assessment.
    """
    found = evidence_of(view)
    document = {
        "assessment-results": {
            "uuid": identifier(view, "document"),
            "metadata": {
                "title": f"Assessment results: {text.one_line(view.title)}",
                "last-modified": rfc3339(EPOCH_MS + max(lasted_ms(item) for item in found)),
                "version": __version__,
                "oscal-version": OSCAL,
                "remarks": _REMARKS,
            },
            "import-ap": {
                "href": f"#{identifier(view, 'plan')}",
                "remarks": "The plan of the run stands for a plan of assessment; there is no other.",
            },
            "results": [_result(view, item) for item in found],
            "back-matter": {"resources": [_plan(view), *(_records(view, item) for item in found)]},
        }
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def control_id(control: Control) -> str:
    """A token for a control: its framework and number, as `cis-kubernetes-5.2.5`."""
    own = f"{control.framework}-{control.id or control.slug}".lower()
    name = re.sub(r"[^a-z0-9._-]+", "-", own).strip("-.")
    return name if re.match(r"[a-z_]", name) else f"control-{name}".rstrip("-")


def lasted_ms(item: Evidence) -> int:
    """Milliseconds of the world's clock that an assessment took."""
    return round(min(item.facts.seconds, _LONGEST) * 1000)


def _result(view: RunView, item: Evidence) -> dict[str, Any]:
    control = item.facts.control
    things = [seen for seen in item.seen if seen.thing]
    found: dict[str, Any] = {
        "uuid": identifier(view, item.name, "result"),
        "title": f"{item.scenario}: {item.title}",
        "description": f"Assessed by {item.agent}, repetition {item.repeat}.",
        "start": rfc3339(EPOCH_MS),
        "end": rfc3339(EPOCH_MS + lasted_ms(item)),
        "props": _props(
            {
                "scenario": item.scenario,
                "agent": item.agent,
                "repeat": str(item.repeat),
                "scenario-class": item.facts.scenario_class,
                "assessment-passed": "" if item.grade is None else "yes" if item.grade.score >= 1 else "no",
            }
        ),
    }
    if things:
        items = [_inventory(view, item, seen) for seen in things]
        found["local-definitions"] = {"inventory-items": items}
    found["reviewed-controls"] = {
        "control-selections": [
            {
                "props": _props(
                    {
                        "framework": control.framework,
                        "framework-version": control.version,
                        "control-number": control.id,
                    }
                ),
                "include-controls": [{"control-id": control_id(control)}],
            }
        ]
    }
    if not found["reviewed-controls"]["control-selections"][0]["props"]:
        del found["reviewed-controls"]["control-selections"][0]["props"]
    observations = [_observation(view, item, seen) for seen in item.seen] or [_nothing(view, item)]
    found["observations"] = observations
    state = _STATES.get(item.verdict)
    if state is not None:
        found["findings"] = [_finding(view, item, state, [one["uuid"] for one in observations])]
    return found


def _inventory(view: RunView, item: Evidence, seen: Seen) -> dict[str, Any]:
    return {"uuid": identifier(view, item.name, "thing", seen.thing), "description": seen.thing}


def _observation(view: RunView, item: Evidence, seen: Seen) -> dict[str, Any]:
    of = seen.thing or "the system as a whole"
    by = f"{seen.policy}, rule {seen.rule}" if seen.rule else seen.policy
    said = f"{by} says {seen.result} of {of}"
    found: dict[str, Any] = {
        "uuid": identifier(view, item.name, "observation", seen.thing),
        "description": f"{said}: {seen.message}" if seen.message else f"{said}.",
        "props": _props({"result": seen.result, "policy": seen.policy, "rule": seen.rule}),
        "methods": ["TEST"],
    }
    if seen.thing:
        subject = identifier(view, item.name, "thing", seen.thing)
        found["subjects"] = [{"subject-uuid": subject, "type": "inventory-item", "title": seen.thing}]
    return {**found, **_backed(view, item)}


def _nothing(view: RunView, item: Evidence) -> dict[str, Any]:
    reason = f": {item.reason}" if item.reason else "."
    return {
        "uuid": identifier(view, item.name, "observation", ""),
        "description": f"There is no verdict{reason}",
        "methods": ["TEST"],
        **_backed(view, item),
    }


def _backed(view: RunView, item: Evidence) -> dict[str, Any]:
    """The records that an observation rests on, each with its digest, and when it was made."""
    records = identifier(view, item.name, "records")
    found: dict[str, Any] = {}
    if item.digests:
        found["relevant-evidence"] = [
            {
                "href": f"#{records}",
                "description": f"{path} of the run's folder",
                "props": _props({"digest": digest}),
            }
            for path, digest in item.digests.items()
        ]
    return {**found, "collected": rfc3339(EPOCH_MS + lasted_ms(item))}


def _finding(view: RunView, item: Evidence, state: str, observations: list[str]) -> dict[str, Any]:
    control = item.facts.control
    label = " ".join(part for part in (control.framework, control.version, control.id) if part)
    name = control_id(control)
    return {
        "uuid": identifier(view, item.name, "finding"),
        "title": f"{label or name}: {item.title}",
        "description": f"What {item.agent} handed in says that the requirement is {state.replace('-', ' ')}.",
        "target": {
            "type": "objective-id",
            "target-id": name,
            "status": {"state": state, "reason": "pass" if state == "satisfied" else "fail"},
        },
        "related-observations": [{"observation-uuid": one} for one in observations],
    }


def _plan(view: RunView) -> dict[str, Any]:
    return {
        "uuid": identifier(view, "plan"),
        "title": "The run's manifest with its plan",
        "props": _props({"suite": view.manifest.suite.name, "suite-digest": view.manifest.suite.digest}),
        "rlinks": [{"href": "run.json", "media-type": "application/json"}],
    }


def _records(view: RunView, item: Evidence) -> dict[str, Any]:
    found: dict[str, Any] = {
        "uuid": identifier(view, item.name, "records"),
        "title": f"Records of {item.name}",
    }
    links = [
        {
            "href": path,
            "media-type": "application/json",
            "hashes": [{"algorithm": "SHA-256", "value": digest.removeprefix("sha256:")}],
        }
        for path, digest in item.digests.items()
    ]
    return {**found, "rlinks": links} if links else found


def _props(values: dict[str, str]) -> list[dict[str, str]]:
    """Properties of ours; what is empty is left out. The form allows no blanks around a value."""
    kept = {name: " ".join(value.split()) for name, value in values.items()}
    return [{"name": name, "ns": NAMESPACE, "value": value} for name, value in kept.items() if value]


__all__ = ["OSCAL", "as_oscal", "control_id", "lasted_ms"]
