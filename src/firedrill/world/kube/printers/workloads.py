"""Rows of what makes pods."""

from __future__ import annotations

from typing import Any

from firedrill.world.kube.objects import Obj, controller_of, dig, is_deleting
from firedrill.world.kube.printers.ages import Since, human_duration, since
from firedrill.world.kube.printers.texts import (
    NONE,
    UNKNOWN,
    UNSET,
    containers,
    labels_text,
    selector_text,
    template,
    true_condition,
    with_more,
    yes,
)
from firedrill.world.sim.clock import epoch_ms


def deployment(obj: Obj) -> Obj:
    """Cells of a Deployment."""
    return {"Ready": _ready(obj), **template(obj)}


def statefulset(obj: Obj) -> Obj:
    """Cells of a StatefulSet."""
    return {"Ready": _ready(obj), **template(obj)}


def _ready(obj: Obj) -> str:
    return f"{dig(obj, 'status', 'readyReplicas', default=0)}/{dig(obj, 'spec', 'replicas', default=0)}"


def replication_controller(obj: Obj) -> Obj:
    """Cells of a ReplicationController, whose selector is a plain map."""
    return {**template(obj), "Selector": labels_text(dig(obj, "spec", "selector"))}


def daemonset(obj: Obj) -> Obj:
    """Cells of a DaemonSet."""
    return {
        "Node Selector": labels_text(dig(obj, "spec", "template", "spec", "nodeSelector")),
        **template(obj),
    }


def job(obj: Obj) -> Obj:
    """Cells of a Job."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    done, wanted = status.get("succeeded") or 0, spec.get("completions")
    at_once = spec.get("parallelism") or 0
    if wanted is None:
        text = f"{done}/1 of {at_once}" if at_once > 1 else f"{done}/1"
    else:
        text = f"{done}/{wanted}"
    return {
        "Status": _job_status(obj),
        "Completions": text,
        "Duration": _job_duration(status),
        **template(obj),
    }


def _job_status(obj: Obj) -> str:
    for type_ in ("Complete", "Failed"):
        if true_condition(obj, type_):
            return type_
    if is_deleting(obj):
        return "Terminating"
    for type_ in ("Suspended", "FailureTarget"):
        if true_condition(obj, type_):
            return type_
    return "Running"


def _job_duration(status: Obj) -> str | Since:
    start, end = status.get("startTime"), status.get("completionTime")
    if not start:
        return ""
    if not end:
        return since(start)
    try:
        return human_duration(epoch_ms(end) - epoch_ms(start))
    except ValueError:
        return UNKNOWN


def cronjob(obj: Obj) -> Obj:
    """Cells of a CronJob."""
    spec = obj.get("spec") or {}
    inner = dig(spec, "jobTemplate", "spec", default={})
    return {
        "Timezone": spec.get("timeZone") or NONE,
        "Suspend": yes(spec.get("suspend")),
        "Active": len(dig(obj, "status", "active", default=())),
        "Last Schedule": since(dig(obj, "status", "lastScheduleTime"), missing=NONE),
        **containers(dig(inner, "template", "spec")),
        "Selector": selector_text(inner.get("selector")),
    }


def pod_template(obj: Obj) -> Obj:
    """Cells of a PodTemplate."""
    return {
        **containers(dig(obj, "template", "spec")),
        "Pod Labels": labels_text(dig(obj, "template", "metadata", "labels")),
    }


def controller_revision(obj: Obj) -> Obj:
    """Cells of a ControllerRevision."""
    owner = controller_of(obj)
    if owner is None:
        return {"Controller": NONE}
    group = str(owner.get("apiVersion", "")).rpartition("/")[0]
    kind = str(owner.get("kind", "")).lower()
    return {"Controller": f"{kind}.{group}/{owner.get('name')}" if group else f"{kind}/{owner.get('name')}"}


def autoscaler(obj: Obj) -> Obj:
    """Cells of a HorizontalPodAutoscaler, of version 1 or 2."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    target = spec.get("scaleTargetRef") or {}
    minimum = spec.get("minReplicas")
    return {
        "Reference": f"{target.get('kind', '')}/{target.get('name', '')}",
        "Targets": _targets(spec, status),
        "MinPods": UNSET if minimum is None else str(minimum),
    }


def _targets(spec: Obj, status: Obj) -> str:
    metrics = spec.get("metrics")
    if metrics is None and spec.get("targetCPUUtilizationPercentage") is not None:
        now = status.get("currentCPUUtilizationPercentage")
        return f"cpu: {UNKNOWN if now is None else f'{now}%'}/{spec['targetCPUUtilizationPercentage']}%"
    if not metrics:
        return NONE
    current = status.get("currentMetrics") or ()
    texts = [
        _metric(item, current[place] if place < len(current) else {}) for place, item in enumerate(metrics)
    ]
    return with_more(texts, 2, NONE, ", ")


_MEMBERS = {
    "Resource": "resource",
    "ContainerResource": "containerResource",
    "Pods": "pods",
    "Object": "object",
    "External": "external",
}


def _metric(wanted: Obj, found: Obj) -> str:
    type_ = str(wanted.get("type"))
    if type_ not in _MEMBERS:
        return "<unknown type>"
    member = wanted.get(_MEMBERS[type_]) or {}
    goal, now = member.get("target") or {}, dig(found, _MEMBERS[type_], "current", default={})

    def pair(key: str, unit: str = "", missing: str = "<auto>") -> str:
        left = UNKNOWN if now.get(key) is None else f"{now[key]}{unit}"
        return f"{left}/{missing if goal.get(key) is None else f'{goal[key]}{unit}'}"

    if type_ in ("Resource", "ContainerResource"):
        by_value = goal.get("averageValue") is not None
        text = pair("averageValue") if by_value else pair("averageUtilization", "%")
        return f"{member.get('name')}: {text}"
    if type_ == "Pods":
        return pair("averageValue")
    return f"{pair('averageValue')} (avg)" if goal.get("averageValue") is not None else pair("value")


def budget(obj: Obj) -> Obj:
    """Cells of a PodDisruptionBudget."""
    spec: Any = obj.get("spec") or {}
    return {
        "Min Available": str(spec.get("minAvailable", "N/A")),
        "Max Unavailable": str(spec.get("maxUnavailable", "N/A")),
    }
