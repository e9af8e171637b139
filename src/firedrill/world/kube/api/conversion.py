"""The versions that a kind has besides the one it is stored in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from firedrill.world.kube.objects import Obj, dig

if TYPE_CHECKING:
    from firedrill.world.kube.kinds import Kind

_HPA = "horizontalpodautoscalers.autoscaling"
_HPA_METRICS = "autoscaling.alpha.kubernetes.io/metrics"


def to_storage(asked: Kind, stored: Kind, obj: Obj) -> Obj:
    """An object of the version in the path, as it is stored."""
    if asked is stored or (asked.group, asked.version) == (stored.group, stored.version):
        return obj
    out = {**obj, "apiVersion": stored.api_version}
    if stored.resource == _HPA:
        return _hpa_to_v2(out)
    if stored.resource == "events":
        return _event_to_core(out)
    return out


def from_storage(asked: Kind, stored: Kind, obj: Obj) -> Obj:
    """A stored object in the version of the path."""
    if asked is stored or (asked.group, asked.version) == (stored.group, stored.version):
        return obj
    if obj.get("kind") == "Status":
        return obj
    if "items" in obj and obj.get("kind") == stored.list_kind:
        items = [from_storage(asked, stored, item) for item in obj["items"]]
        return {**obj, "kind": asked.list_kind, "apiVersion": asked.api_version, "items": items}
    if obj.get("kind") != stored.kind:
        return obj
    out = {**obj, "apiVersion": asked.api_version}
    if stored.resource == _HPA:
        return _hpa_to_v1(out)
    if stored.resource == "events":
        return _event_to_v1(out)
    return out


def _hpa_to_v2(obj: Obj) -> Obj:
    spec = dict(obj.get("spec") or {})
    target = spec.pop("targetCPUUtilizationPercentage", None)
    if target is not None:
        metric = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": target}}
        spec["metrics"] = [{"type": "Resource", "resource": metric}]
    status = dict(obj.get("status") or {})
    current = status.pop("currentCPUUtilizationPercentage", None)
    if current is not None:
        metric = {"name": "cpu", "current": {"averageUtilization": current}}
        status["currentMetrics"] = [{"type": "Resource", "resource": metric}]
    return {**obj, "spec": spec, **({"status": status} if "status" in obj else {})}


def _hpa_to_v1(obj: Obj) -> Obj:
    spec = {key: item for key, item in (obj.get("spec") or {}).items() if key not in {"metrics", "behavior"}}
    for metric in dig(obj, "spec", "metrics", default=()):
        target = dig(metric, "resource", "target", "averageUtilization")
        if dig(metric, "resource", "name") == "cpu" and target is not None:
            spec["targetCPUUtilizationPercentage"] = target
    kept = ("observedGeneration", "lastScaleTime", "currentReplicas", "desiredReplicas")
    status = {key: item for key, item in (obj.get("status") or {}).items() if key in kept}
    for metric in dig(obj, "status", "currentMetrics", default=()):
        current = dig(metric, "resource", "current", "averageUtilization")
        if dig(metric, "resource", "name") == "cpu" and current is not None:
            status["currentCPUUtilizationPercentage"] = current
    return {**obj, "spec": spec, **({"status": status} if "status" in obj else {})}


_EVENT_FIELDS = (
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
    ("reportingController", "reportingComponent"),
)


def _event_to_core(obj: Obj) -> Obj:
    return _renamed(obj, dict(_EVENT_FIELDS))


def _event_to_v1(obj: Obj) -> Obj:
    return _renamed(obj, {core: newer for newer, core in _EVENT_FIELDS})


def _renamed(obj: Obj, names: dict[str, str]) -> dict[str, Any]:
    return {names.get(key, key): item for key, item in obj.items()}
