"""Horizontal pod autoscalers.

Source: kube-controller-manager 1.31, `pkg/controller/podautoscaler/horizontal.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import events
from firedrill.world.kube.api.client import component_client
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.controllers import _pods, hpa_behaviour, hpa_metrics
from firedrill.world.kube.controllers.base import (
    Controller,
    all_keys,
    enqueue,
    key_of,
    register,
    split_key,
)
from firedrill.world.kube.controllers.hpa_metrics import MetricError, Proposal
from firedrill.world.kube.objects import Obj, dig, name_of, namespace_of, with_condition
from firedrill.world.kube.store import Change

if TYPE_CHECKING:
    from firedrill.world.world import World

NAME = "horizontal-pod-autoscaler"
_RESOURCE = "horizontalpodautoscalers.autoscaling"
_PERIOD = 15_000
_USUAL = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
}
_VALUE_OF = {
    "FailedGetResourceMetric": "{} resource metric value",
    "FailedGetContainerResourceMetric": "{} container metric value",
    "FailedGetPodsMetric": "pods metric value",
    "FailedGetObjectMetric": "object metric value",
    "FailedGetExternalMetric": "{} external metric value",
}


class _Look:
    """One look at an autoscaler: what is to be written in the end."""

    __slots__ = ("conditions", "hpa", "key", "metrics", "world")

    def __init__(self, world: World, key: str, hpa: Obj) -> None:
        self.world, self.key, self.hpa = world, key, hpa
        self.conditions: list[Any] = list(dig(hpa, "status", "conditions", default=()))
        self.metrics: list[Obj] | None = dig(hpa, "status", "currentMetrics")

    def state(self, type_: str, status: str, reason: str, message: str) -> None:
        """Set a condition."""
        new = {"type": type_, "status": status, "reason": reason, "message": message}
        self.conditions = with_condition(self.conditions, new, self.world.time)

    def tell(self, type_: str, reason: str, message: str) -> None:
        """Record an event."""
        events.record(self.world, self.hpa, type_, reason, message, component=NAME)

    def write(self, current: int, desired: int, *, scaled: bool = False) -> None:
        """Write the status."""
        old = self.hpa.get("status") or {}
        status: Obj = {key: old[key] for key in ("lastScaleTime", "observedGeneration") if key in old}
        status |= {"currentReplicas": current, "desiredReplicas": desired, "conditions": self.conditions}
        if self.metrics is not None:
            status["currentMetrics"] = self.metrics
        if scaled:
            status["lastScaleTime"] = self.world.time
        component_client(self.world, NAME).update_status(self.hpa, status)


def _reconcile(world: World, key: str) -> None:
    hpa = world.cluster.store.get(_RESOURCE, *split_key(key))
    history = world.cluster.part(hpa_behaviour.History)
    if hpa is None:
        history.forget(key)
        return
    enqueue(world, NAME, key, _PERIOD)
    look = _Look(world, key, hpa)
    target = _target(look)
    if target is None:
        return
    current = int(dig(target, "spec", "replicas", default=1))
    if not history.recommended.get(key):
        history.recommended[key] = ((world.now, current),)
    wanted = _pods.requirements_of(_pods.selector_of(target))
    if wanted is None:
        look.tell("Warning", "SelectorRequired", "selector is required")
        look.state(
            "ScalingActive", "False", "InvalidSelector", "the HPA target's scale is missing a selector"
        )
        look.write(current, int(dig(hpa, "status", "desiredReplicas", default=0)))
        return
    pods = _pods.candidates(world, namespace_of(hpa), wanted)
    found = _desired(look, history, current, pods)
    if found is not None:
        _rescale(look, history, target, current, *found)


def _target(look: _Look) -> Obj | None:
    reference = dig(look.hpa, "spec", "scaleTargetRef", default={})
    group, _, version = str(reference.get("apiVersion") or "apps/v1").rpartition("/")
    kind = look.world.cluster.kinds.by_gvk(group, version, str(reference.get("kind")))
    name = str(reference.get("name"))
    found = None
    if kind is None:
        problem = f'no matches for kind "{reference.get("kind")}" in group "{group}"'
    else:
        found = look.world.cluster.store.get(kind.resource, namespace_of(look.hpa), name)
        scaled = f"{kind.plural}/scale.{group}" if group == "apps" else kind.resource
        problem = f'{scaled} "{name}" not found'
    if found is None:
        look.tell("Warning", "FailedGetScale", problem)
        text = f"the HPA controller was unable to get the target's current scale: {problem}"
        look.state("AbleToScale", "False", "FailedGetScale", text)
        status = look.hpa.get("status") or {}
        look.write(int(status.get("currentReplicas") or 0), int(status.get("desiredReplicas") or 0))
        return None
    text = "the HPA controller was able to get the target's current scale"
    look.state("AbleToScale", "True", "SucceededGetScale", text)
    return found


def _desired(
    look: _Look, history: hpa_behaviour.History, current: int, pods: list[Obj]
) -> tuple[int, str] | None:
    """(the size that the target shall have, why it changes); None where it cannot be told."""
    spec = look.hpa["spec"]
    least, most = int(spec.get("minReplicas") or 1), int(spec.get("maxReplicas") or 1)
    if current == 0 and spec.get("minReplicas") != 0:
        text = "scaling is disabled since the replica count of the target is zero"
        look.state("ScalingActive", "False", "ScalingDisabled", text)
        return 0, ""
    if current > most:
        return most, "Current number of replicas above Spec.MaxReplicas"
    if current < least:
        return least, "Current number of replicas below Spec.MinReplicas"
    best = _best(look, current, pods)
    if best is None:
        return None
    now = look.world.now
    size, why = hpa_behaviour.stabilised(history, look.key, spec, current, best.replicas, now)
    _say_stabilised(look, why)
    size, reason, text = hpa_behaviour.limited(history, look.key, spec, current, size, now)
    look.state("ScalingLimited", "False" if reason == "DesiredWithinRange" else "True", reason, text)
    return size, f"{best.name} above target" if best.replicas > current else "All metrics below target"


def _say_stabilised(look: _Look, why: str) -> None:
    if why == "ScaleUpStabilized":
        text = "recent recommendations were lower than current one, applying the lowest recent recommendation"
    elif why:
        text = (
            "recent recommendations were higher than current one, applying the highest recent recommendation"
        )
    else:
        why, text = "ReadyForNewScale", "recommended size matches current size"
    look.state("AbleToScale", "True", why, text)


def _best(look: _Look, current: int, pods: list[Obj]) -> Proposal | None:
    specs = dig(look.hpa, "spec", "metrics") or [_USUAL]
    proposals: list[Proposal] = []
    problems: list[tuple[MetricError, Mapping[str, Any]]] = []
    for spec in specs:
        try:
            proposals.append(hpa_metrics.propose(look.world, namespace_of(look.hpa), pods, spec, current))
        except MetricError as problem:
            problems.append((problem, spec))
            look.tell("Warning", problem.reason, str(problem))
    look.metrics = [item.status for item in proposals] or None
    best = max(proposals, key=lambda item: item.replicas, default=None)
    if problems and (best is None or best.replicas < current):
        first, spec = problems[0]
        text = f"the HPA was unable to compute the replica count: {first}"
        look.state("ScalingActive", "False", first.reason, text)
        what = _VALUE_OF.get(first.reason, "metric value").format(_metric_name(spec))
        told = f"invalid metrics ({len(problems)} invalid out of {len(specs)})"
        text = f"{told}, first error is: failed to get {what}: {first}"
        look.tell("Warning", "FailedComputeMetricsReplicas", text)
        look.write(current, int(dig(look.hpa, "status", "desiredReplicas", default=0)))
        return None
    if best is not None:
        text = f"the HPA was able to successfully calculate a replica count from {best.name}"
        look.state("ScalingActive", "True", "ValidMetricFound", text)
    return best


def _metric_name(spec: Mapping[str, Any]) -> str:
    for key in ("resource", "containerResource"):
        if key in spec:
            return str(dig(spec, key, "name", default=""))
    return str(dig(spec, "external", "metric", "name", default=""))


def _rescale(
    look: _Look, history: hpa_behaviour.History, target: Obj, current: int, desired: int, why: str
) -> None:
    if desired == current:
        look.write(current, desired)
        return
    client = component_client(look.world, NAME)
    try:
        client.update({**target, "spec": {**target["spec"], "replicas": desired}}, "scale")
    except ApiError as problem:
        text = f"New size: {desired}; reason: {why}; error: {problem.message}"
        look.tell("Warning", "FailedRescale", text)
        text = f"the HPA controller was unable to update the target scale: {problem.message}"
        look.state("AbleToScale", "False", "FailedUpdateScale", text)
        look.write(current, int(dig(look.hpa, "status", "desiredReplicas", default=0)))
        raise
    text = f"the HPA controller was able to update the target scale to {desired}"
    look.state("AbleToScale", "True", "SucceededRescale", text)
    look.tell("Normal", "SuccessfulRescale", f"New size: {desired}; reason: {why}")
    hpa_behaviour.note_change(history, look.key, current, desired, look.world.now)
    look.write(current, desired, scaled=True)


def _of_hpa(_: World, change: Change) -> Iterable[str]:
    """Only what somebody else wrote: its own status must not wake it."""
    old = change.previous
    if old is not None and change.type == "MODIFIED" and old.get("spec") == change.obj.get("spec"):
        return ()
    return (key_of(namespace_of(change.obj), name_of(change.obj)),)


register(
    Controller(
        name=NAME,
        component="kube-controller-manager",
        watches={_RESOURCE: _of_hpa},
        reconcile=_reconcile,
        resync=all_keys(_RESOURCE),
    )
)
