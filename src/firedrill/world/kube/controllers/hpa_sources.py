"""Metrics of applications for autoscalers: of pods, of other objects, from outside the cluster.

A cluster has none of them until something serves the custom or the external metrics API; `provide` is
where that is said. Source: `replica_calculator.go` of kube-controller-manager 1.31.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import quantity
from firedrill.world.kube.controllers import _pods
from firedrill.world.kube.controllers.hpa_metrics import (
    TOLERANCE,
    MetricError,
    Proposal,
    Sums,
    round_up,
)
from firedrill.world.kube.objects import Obj, dig, name_of

if TYPE_CHECKING:
    from firedrill.world.world import World

Source = Callable[["World", str, Mapping[str, Any], Sequence[Obj]], Mapping[str, int] | None]
"""Called as `source(world, namespace, metric, pods)`, where `metric` is the entry of `spec.metrics`.

Answers thousandths by name (of the pods for `Pods`, of anything for the others, which are summed up), or
None where the cluster has no such metric."""

_SOURCES: dict[str, Source] = {}
_REASONS = {
    "Pods": "FailedGetPodsMetric",
    "Object": "FailedGetObjectMetric",
    "External": "FailedGetExternalMetric",
}


def provide(type_: str, source: Source) -> None:
    """Let autoscalers have the metrics of a type: `Pods`, `Object` or `External`."""
    _SOURCES[type_] = source


def withdraw(type_: str) -> None:
    """Take the metrics of that type away again."""
    _SOURCES.pop(type_, None)


def propose(
    world: World, namespace: str, pods: Sequence[Obj], spec: Mapping[str, Any], current: int
) -> Proposal:
    """How many pods such a metric asks for.

    Args:
        world: where it is.
        namespace: of the autoscaler.
        pods: those that the target's selector takes in.
        spec: one entry of `spec.metrics`.
        current: how many pods the target wants now.

    Raises:
        MetricError: it cannot be had.
    """
    type_ = str(spec.get("type"))
    reason = _REASONS.get(type_)
    if reason is None:
        raise MetricError(f'unknown metric source type "{type_}"', "InvalidMetricSourceType")
    given = spec.get(type_.lower()) or {}
    source = _SOURCES.get(type_)
    found = source(world, namespace, spec, pods) if source is not None else None
    if found is None:
        raise MetricError(_absent(type_, namespace, given), reason)
    metric, target = given.get("metric") or {}, given.get("target") or {}
    entry: Obj = {"metric": metric}
    try:
        if type_ == "Pods":
            goal = quantity.milli(target.get("averageValue", 0))
            wanted = dict.fromkeys((name_of(pod) for pod in pods), goal)
            replicas, _, average = Sums(world, pods, found, "").replicas(wanted, 100, current)
            entry["current"] = {"averageValue": quantity.from_milli(average)}
        else:
            replicas, entry["current"] = _of_total(sum(found.values()), target, pods, current)
    except MetricError as problem:
        raise MetricError(f"unable to get metric {metric.get('name')}: {problem}", reason) from None
    if type_ == "Object":
        entry["describedObject"] = given.get("describedObject") or {}
    return Proposal(replicas, _called(type_, given), {"type": type_, type_.lower(): entry})


def _called(type_: str, given: Mapping[str, Any]) -> str:
    name = dig(given, "metric", "name", default="")
    if type_ == "Object":
        return f"{dig(given, 'describedObject', 'kind', default='')} metric {name}"
    if type_ == "Pods":
        return f"pods metric {name}"
    selector = dig(given, "metric", "selector")
    if not selector:
        return f"external metric {name}(nil)"
    matched = sorted((selector.get("matchLabels") or {}).items())
    labels = "".join(f"{key}: {text}," for key, text in matched)
    rest = "MatchExpressions:[]LabelSelectorRequirement{}"
    return f"external metric {name}(&LabelSelector{{MatchLabels:map[string]string{{{labels}}},{rest},}})"


def _of_total(total: int, target: Mapping[str, Any], pods: Sequence[Obj], current: int) -> tuple[int, Obj]:
    """(pods asked for, what is shown) of one value for all pods together."""
    if target.get("averageValue") is not None:
        goal = quantity.milli(target["averageValue"])
        count = max(current, 1)
        if goal <= 0:
            raise MetricError("the target is not positive")
        near = abs(1 - total / (goal * count)) <= TOLERANCE
        return (
            current if near and current else round_up(total / goal),
            {"averageValue": quantity.from_milli(-(-total // count))},
        )
    goal = quantity.milli(target.get("value", 0))
    if goal <= 0:
        raise MetricError("the target is not positive")
    ratio, shown = total / goal, {"value": quantity.from_milli(total)}
    if current == 0:
        return round_up(ratio), shown
    if abs(1 - ratio) <= TOLERANCE:
        return current, shown
    ready = sum(dig(pod, "status", "phase") == "Running" and _pods.is_ready(pod) for pod in pods)
    return round_up(ratio * ready), shown


def _absent(type_: str, namespace: str, given: Mapping[str, Any]) -> str:
    name = dig(given, "metric", "name", default="")
    if type_ == "External":
        return (
            f"unable to get external metric {namespace}/{name}/nil: unable to fetch metrics from external "
            "metrics API: no external metrics API (external.metrics.k8s.io) registered"
        )
    missing = "no custom metrics API (custom.metrics.k8s.io) registered"
    if type_ == "Object":
        target = given.get("describedObject") or {}
        about = f"{target.get('kind')} on {namespace} {target.get('name')}"
        return (
            f"unable to get metric {name}: {about}/unable to fetch metrics from custom metrics API: {missing}"
        )
    return f"unable to get metric {name}: unable to fetch metrics from custom metrics API: {missing}"
