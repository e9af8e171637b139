"""Assessments as PolicyReport objects (`wgpolicyk8s.io/v1alpha2`), as tools for Kubernetes read them."""

from __future__ import annotations

from typing import Any

import yaml

from firedrill.report.compliance.evidence import Evidence, Seen, evidence_of, identifier
from firedrill.report.compliance.oscal import control_id, lasted_ms
from firedrill.report.model import RunView
from firedrill.world.kube.kinds import default_kinds
from firedrill.world.sim.clock import EPOCH_MS

API = "wgpolicyk8s.io/v1alpha2"
_SOURCES = {"kyverno": "kyverno", "kyverno-update": "kyverno"}
_COUNTED = ("error", "fail", "pass", "skip", "warn")
_CLUSTER = "cluster"


def as_policy_reports(view: RunView) -> str:
    """YAML documents: a report for each object that was judged, else one for the system as a whole.

    Raises:
        InputError: the run has no assessment.
    """
    reports = [_report(view, item, seen) for item in evidence_of(view) for seen in _rows(item)]
    return yaml.safe_dump_all(reports, sort_keys=False, allow_unicode=True, width=100)


def _rows(item: Evidence) -> tuple[Seen, ...]:
    return item.seen or (Seen("", "error", "policy", "", item.reason or "there is no verdict"),)


def _report(view: RunView, item: Evidence, seen: Seen) -> dict[str, Any]:
    namespace, kind, name = seen.thing.split("/", 2) if seen.is_object else (_CLUSTER, "", "")
    placed = namespace != _CLUSTER
    metadata: dict[str, Any] = {
        "name": identifier(view, item.name, "report", seen.thing),
        "labels": {"app.kubernetes.io/managed-by": "firedrill"},
        "annotations": {
            "firedrill.dev/scenario": item.scenario,
            "firedrill.dev/agent": item.agent,
            "firedrill.dev/repeat": str(item.repeat),
        },
    }
    if placed:
        metadata["namespace"] = namespace
    report: dict[str, Any] = {
        "apiVersion": API,
        "kind": "PolicyReport" if placed else "ClusterPolicyReport",
        "metadata": metadata,
    }
    if kind:
        known = default_kinds().find(kind)
        version = {"apiVersion": known.api_version} if known is not None and known.kind == kind else {}
        place = {"namespace": namespace} if placed else {}
        report["scope"] = {**version, "kind": kind, "name": name, **place}
    report["results"] = [_row(item, seen)]
    report["summary"] = {word: int(word == seen.result) for word in _COUNTED}
    return report


def _row(item: Evidence, seen: Seen) -> dict[str, Any]:
    found: dict[str, Any] = {"policy": seen.policy, "result": seen.result, "scored": True}
    found["source"] = _SOURCES.get(item.facts.scenario_class, "opa")
    for key, value in (("rule", seen.rule), ("message", seen.message)):
        if value:
            found[key] = value
    found["properties"] = {"control": control_id(item.facts.control)}
    if seen.thing and not seen.is_object:
        found["properties"]["thing"] = seen.thing
    seconds = EPOCH_MS // 1000 + lasted_ms(item) // 1000
    found["timestamp"] = {"seconds": seconds, "nanos": 0}
    return found


__all__ = ["as_policy_reports"]
