"""PolicyReports: what policies said about one object, as an object of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from firedrill.world.kube.objects import Obj, name_of, namespace_of, uid_of
from firedrill.world.policy.kyverno.model import Row

if TYPE_CHECKING:
    from firedrill.world.kube.kinds import Kind

MANAGED = {"app.kubernetes.io/managed-by": "kyverno"}
Found = Sequence[tuple[Row, str]]
"""Rows, each with the process that found it."""


def renewed(kind: Kind, obj: Obj, rows: Found, old: Obj | None, now_ms: int) -> Obj | None:
    """The report of an object, or None where the old one says the same."""
    ordered = sorted(rows, key=lambda item: (item[0].policy, item[0].rule))
    results = [_result(row, process, now_ms) for row, process in ordered]
    if old is None:
        return _report(kind, obj, results)
    before = old.get("results") or ()
    results = _aged(results, before)
    if results == before:
        return None
    return {**old, "results": results, "summary": _report(kind, obj, results)["summary"]}


def news(report: Obj, old: Obj | None) -> set[tuple[str, str]]:
    """Policy and rule of the failures that the old report did not have."""
    known = {_mark(item) for item in (old or {}).get("results") or () if item["result"] == "fail"}
    failed = [item for item in report["results"] if item["result"] == "fail"]
    return {(item["policy"], item.get("rule", "")) for item in failed if _mark(item) not in known}


def _mark(item: Mapping[str, Any]) -> tuple[str, str, str]:
    return item["policy"], item.get("rule", ""), item.get("message", "")


def _result(row: Row, process: str, now: int) -> Obj:
    result = "warn" if row.result == "fail" and not row.scored else row.result
    out: Obj = {"policy": row.policy, "result": result, "source": row.source, "scored": row.scored}
    for key, value in (
        ("rule", row.rule),
        ("message", row.message[:4096]),
        ("category", row.category),
        ("severity", row.severity),
    ):
        if value:
            out[key] = value
    out["properties"] = {**row.properties, "process": process}
    out["timestamp"] = {"seconds": now // 1000, "nanos": 0}
    return out


def _aged(results: Sequence[Obj], old: Sequence[Mapping[str, Any]]) -> list[Obj]:
    """Results that have been the same before keep their time."""
    known = {(item["policy"], item.get("rule")): item for item in old}
    out = []
    for result in results:
        before = known.get((result["policy"], result.get("rule")))
        if before is not None:
            kept = {**result, "timestamp": before["timestamp"]}
            result = kept if kept == before else result  # noqa: PLW2901 - the older of two equal ones
        out.append(result)
    return out


def _report(kind: Kind, obj: Obj, results: Sequence[Obj]) -> Obj:
    scope: Obj = {"apiVersion": kind.api_version, "kind": kind.kind, "name": name_of(obj), "uid": uid_of(obj)}
    owner = dict(scope)
    metadata: Obj = {"name": uid_of(obj), "labels": dict(MANAGED), "ownerReferences": [owner]}
    if kind.namespaced:
        metadata["namespace"] = scope["namespace"] = namespace_of(obj)
    counts = dict.fromkeys(("error", "fail", "pass", "skip", "warn"), 0)
    for item in results:
        counts[item["result"]] += 1
    return {
        "apiVersion": "wgpolicyk8s.io/v1alpha2",
        "kind": "PolicyReport" if kind.namespaced else "ClusterPolicyReport",
        "metadata": metadata,
        "scope": scope,
        "results": list(results),
        "summary": counts,
    }
