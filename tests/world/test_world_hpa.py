"""Horizontal pod autoscalers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from firedrill.world.kube import objects
from firedrill.world.kube.controllers import hpa_metrics, hpa_sources
from firedrill.world.kube.objects import name_of

D, H = "deployments.apps", "horizontalpodautoscalers.autoscaling"


class Load:
    """So many thousandths of a core in each pod."""

    def __init__(self) -> None:
        self.each: int | None = 50

    def __call__(self, _: Any, namespace: str, pods: Sequence[Any]) -> hpa_metrics.Usage:
        if self.each is None:
            return {}
        return {name_of(pod): {"main": {"cpu": self.each, "memory": 1000}} for pod in pods}


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    made = Load()
    monkeypatch.setattr(hpa_metrics, "readings", made)
    return made


def autoscale(lab: Any, **spec: Any) -> None:
    lab.make("Deployment", "web", replicas=2)
    lab.seconds(320)  # past the time in which starting pods are not believed
    target = {"type": "Utilization", "averageUtilization": 50}
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": target}}
    lab.client.create(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "minReplicas": 2,
                "maxReplicas": 10,
                "metrics": [metric],
                **spec,
            },
        }
    )
    lab.seconds(1)


def condition(lab: Any, type_: str) -> Any:
    return objects.condition(lab.get(H, "web"), type_)


def size(lab: Any) -> int:
    return int(lab.get(D, "web")["spec"]["replicas"])


def test_it_leaves_alone_what_is_within_the_tolerance(lab: Any, load: Load) -> None:
    load.each = 54
    autoscale(lab)
    assert size(lab) == 2
    assert condition(lab, "AbleToScale")["reason"] == "ReadyForNewScale"
    assert condition(lab, "ScalingActive")["message"] == (
        "the HPA was able to successfully calculate a replica count from "
        "cpu resource utilization (percentage of request)"
    )
    assert condition(lab, "ScalingLimited")["reason"] == "DesiredWithinRange"
    status = lab.status(H, "web")
    assert status["currentMetrics"][0]["resource"]["current"] == {
        "averageUtilization": 54,
        "averageValue": "54m",
    }


def test_it_grows_with_the_load_and_shrinks_only_after_a_while(lab: Any, load: Load) -> None:
    autoscale(lab)
    load.each = 100
    lab.seconds(15)
    assert size(lab) == 4
    text = "New size: 4; reason: cpu resource utilization (percentage of request) above target"
    assert ("SuccessfulRescale", text) in lab.told("HorizontalPodAutoscaler", "web")
    assert condition(lab, "AbleToScale")["reason"] == "SucceededRescale"
    load.each = 10
    lab.seconds(60)
    assert size(lab) == 4
    assert condition(lab, "AbleToScale")["reason"] == "ScaleDownStabilized"
    lab.seconds(300)
    assert size(lab) == 2
    assert ("SuccessfulRescale", "New size: 2; reason: All metrics below target") in lab.told(
        "HorizontalPodAutoscaler", "web"
    )


def test_it_stops_at_the_most_and_says_so(lab: Any, load: Load) -> None:
    autoscale(lab, maxReplicas=3)
    load.each = 500
    lab.seconds(20)
    assert size(lab) == 3
    found = condition(lab, "ScalingLimited")
    assert (found["status"], found["reason"]) == ("True", "TooManyReplicas")


def test_policies_bound_the_pace(lab: Any, load: Load) -> None:
    policy = {"type": "Pods", "value": 1, "periodSeconds": 60}
    autoscale(lab, behavior={"scaleUp": {"policies": [policy], "selectPolicy": "Max"}})
    load.each = 500
    lab.seconds(15)
    assert size(lab) == 3
    assert condition(lab, "ScalingLimited")["reason"] == "ScaleUpLimit"
    lab.seconds(30)
    assert size(lab) == 3
    lab.seconds(30)
    assert size(lab) == 4


def test_a_container_without_a_request_is_named(lab: Any, load: Load) -> None:
    autoscale(lab)
    bare = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "ok"}]}}
    lab.client.patch(
        D, "shop", "web", [{"op": "replace", "path": "/spec/template", "value": bare}], patch_type="json"
    )
    lab.seconds(40)
    told = dict(lab.told("HorizontalPodAutoscaler", "web"))
    text = told["FailedGetResourceMetric"]
    assert text.startswith(
        "failed to get cpu utilization: missing request for cpu in container main of Pod web-"
    )
    assert told["FailedComputeMetricsReplicas"].startswith(
        "invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: failed"
    )
    assert condition(lab, "ScalingActive")["reason"] == "FailedGetResourceMetric"


def test_a_target_that_is_not_there(lab: Any, load: Load) -> None:
    autoscale(lab)
    lab.client.delete(D, "shop", "web", propagation="Background")
    lab.seconds(20)
    found = condition(lab, "AbleToScale")
    assert (found["status"], found["reason"]) == ("False", "FailedGetScale")
    assert found["message"].endswith('current scale: deployments/scale.apps "web" not found')


def test_without_a_metrics_server_nothing_is_known(lab: Any) -> None:
    autoscale(lab)
    assert "unable to get metrics for resource cpu" in condition(lab, "ScalingActive")["message"]


def test_metrics_of_applications_count_once_something_provides_them(lab: Any) -> None:
    pods = {"metric": {"name": "requests"}, "target": {"type": "AverageValue", "averageValue": "10"}}
    queue = {"metric": {"name": "queue"}, "target": {"type": "AverageValue", "averageValue": "30"}}
    autoscale(lab, metrics=[{"type": "Pods", "pods": pods}, {"type": "External", "external": queue}])
    text = condition(lab, "ScalingActive")["message"]
    assert text.endswith("no custom metrics API (custom.metrics.k8s.io) registered")
    try:
        hpa_sources.provide("Pods", lambda _, __, ___, here: {name_of(pod): 15_000 for pod in here})
        hpa_sources.provide("External", lambda *_: {"a": 70_000, "b": 50_000})
        lab.seconds(15)
    finally:
        hpa_sources.withdraw("Pods")
        hpa_sources.withdraw("External")
    assert size(lab) == 4
    assert ("SuccessfulRescale", "New size: 4; reason: external metric queue(nil) above target") in lab.told(
        "HorizontalPodAutoscaler", "web"
    )
    shown = lab.status(H, "web")["currentMetrics"]
    assert shown[0]["pods"]["current"] == {"averageValue": "15"}
    assert shown[1]["external"]["current"] == {"averageValue": "60"}
