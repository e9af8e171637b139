"""Deployments, and the replica sets beneath them."""

from __future__ import annotations

from typing import Any

import pytest

from firedrill.world.kube import objects
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.controllers.deployment_sets import REVISION
from firedrill.world.kube.objects import labels_of, name_of, with_path

D, RS = "deployments.apps", "replicasets.apps"


def template(name: str, image: str = "ok", **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": image, "resources": {"requests": {"cpu": "100m"}}}
    return {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container], **spec}}


def condition(obj: Any, type_: str) -> Any:
    return objects.condition(obj, type_)


def sizes(lab: Any) -> dict[str, int]:
    return {
        rs["spec"]["template"]["spec"]["containers"][0]["image"]: rs["spec"]["replicas"]
        for rs in lab.objects(RS)
    }


def messages(lab: Any, kind: str, name: str, reason: str) -> list[str]:
    return [message for why, message in lab.told(kind, name) if why == reason]


def test_a_new_deployment_comes_up_as_on_a_real_cluster(lab: Any) -> None:
    lab.make("Deployment", "web", replicas=3)
    lab.seconds(0.9)
    status = lab.status(D, "web")
    assert (status["replicas"], status["unavailableReplicas"], status["updatedReplicas"]) == (3, 3, 3)
    assert [item["type"] for item in status["conditions"]] == ["Available", "Progressing"]
    assert condition(lab.get(D, "web"), "Progressing")["reason"] == "ReplicaSetUpdated"
    lab.seconds(5)
    (rs,) = lab.objects(RS)
    name = name_of(rs)
    status = lab.status(D, "web")
    assert {key: status[key] for key in status if key != "conditions"} == {
        "observedGeneration": 1,
        "replicas": 3,
        "updatedReplicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
    }
    progressing = condition(lab.get(D, "web"), "Progressing")
    assert progressing["reason"] == "NewReplicaSetAvailable"
    assert progressing["message"] == f'ReplicaSet "{name}" has successfully progressed.'
    assert lab.told("Deployment", "web") == [("ScalingReplicaSet", f"Scaled up replica set {name} to 3")]
    told = messages(lab, "ReplicaSet", name, "SuccessfulCreate")
    assert sorted(told) == sorted(f"Created pod: {name_of(pod)}" for pod in lab.objects("pods"))
    assert labels_of(rs)["pod-template-hash"] == name.removeprefix("web-")
    assert set(name.removeprefix("web-")) <= set("bcdfghjklmnpqrstvwxz2456789")


def test_a_rolling_update_keeps_its_bounds_and_its_numbers(lab: Any) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    lab.make("Deployment", "web", replicas=2, strategy=rolling)
    lab.seconds(5)
    (first,) = lab.objects(RS)
    lab.change(D, "web", template=template("web", "ok:2"))
    lab.seconds(20)
    assert sizes(lab) == {"ok": 0, "ok:2": 2}
    new = next(name_of(rs) for rs in lab.objects(RS) if name_of(rs) != name_of(first))
    assert messages(lab, "Deployment", "web", "ScalingReplicaSet") == [
        f"Scaled up replica set {name_of(first)} to 2",
        f"Scaled up replica set {new} to 1",
        f"Scaled down replica set {name_of(first)} to 1 from 2",
        f"Scaled up replica set {new} to 2 from 1",
        f"Scaled down replica set {name_of(first)} to 0 from 1",
    ]
    assert lab.get(D, "web")["metadata"]["annotations"][REVISION] == "2"
    lab.change(D, "web", template=template("web", "ok"))
    lab.seconds(20)
    back = lab.get(RS, name_of(first))
    assert len(lab.objects(RS)) == 2
    assert back["metadata"]["annotations"][REVISION] == "3"
    assert back["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"] == "1"


def test_recreate_waits_until_the_old_pods_are_gone(lab: Any) -> None:
    lab.make("Deployment", "web", replicas=2, strategy={"type": "Recreate"})
    lab.seconds(5)
    old = {name_of(pod) for pod in lab.objects("pods")}
    lab.change(D, "web", template=template("web", "ok:2"))

    def mixed(world: Any) -> bool:
        here = {name_of(pod) for pod in lab.objects("pods")}
        return bool(here & old and here - old)

    assert not lab.world.run_until(mixed, 20_000)
    assert sizes(lab) == {"ok": 0, "ok:2": 2}
    assert lab.status(D, "web")["availableReplicas"] == 2


def test_a_rollout_that_does_not_progress_is_said_to_time_out(lab: Any) -> None:
    lab.make("Deployment", "web", image="never", replicas=1, progressDeadlineSeconds=600)
    lab.seconds(590)
    assert condition(lab.get(D, "web"), "Progressing")["status"] == "True"
    lab.seconds(30)
    found = condition(lab.get(D, "web"), "Progressing")
    (rs,) = lab.objects(RS)
    assert (found["status"], found["reason"]) == ("False", "ProgressDeadlineExceeded")
    assert found["message"] == f'ReplicaSet "{name_of(rs)}" has timed out progressing.'
    assert condition(lab.get(D, "web"), "Available")["reason"] == "MinimumReplicasUnavailable"


def test_a_paused_deployment_scales_but_does_not_roll(lab: Any) -> None:
    lab.make("Deployment", "web", replicas=2)
    lab.seconds(5)
    lab.change(D, "web", paused=True)
    lab.seconds(1)
    assert condition(lab.get(D, "web"), "Progressing")["reason"] == "DeploymentPaused"
    lab.change(D, "web", template=template("web", "ok:2"), replicas=4)
    lab.seconds(5)
    assert sizes(lab) == {"ok": 4}
    lab.change(D, "web", paused=None)
    lab.seconds(30)
    assert sizes(lab) == {"ok": 0, "ok:2": 4}


def test_a_rollout_under_way_is_scaled_in_proportion(lab: Any) -> None:
    bounds = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
    lab.make("Deployment", "web", replicas=10, strategy=bounds)
    lab.seconds(5)
    lab.change(D, "web", template=template("web", "never"))
    lab.seconds(20)
    assert sizes(lab) == {"ok": 8, "never": 5}
    lab.change(D, "web", replicas=15)
    lab.seconds(20)
    assert sizes(lab) == {"ok": 11, "never": 7}


def test_old_replica_sets_are_cleared_down_to_the_limit(lab: Any) -> None:
    lab.make("Deployment", "web", replicas=1, revisionHistoryLimit=2)
    for number in range(5):
        lab.seconds(10)
        lab.change(D, "web", template=template("web", f"ok:{number}"))
    lab.seconds(20)
    assert sizes(lab) == {"ok:2": 0, "ok:3": 0, "ok:4": 1}


def test_refused_pods_are_told_in_a_burst_that_slows_down(lab: Any) -> None:
    lab.make("Deployment", "web", replicas=0)
    lab.seconds(1)
    quota = {"kind": "ResourceQuota", "apiVersion": "v1", "metadata": {"name": "q", "namespace": "shop"}}
    lab.client.create({**quota, "spec": {"hard": {"pods": "0"}}, "status": {"hard": {"pods": "0"}}})
    created = lab.world.cluster.store.get("resourcequotas", "shop", "q")
    lab.client.update_status(created, {"hard": {"pods": "0"}, "used": {"pods": "0"}})
    lab.change(D, "web", replicas=1)
    lab.seconds(3)
    (rs,) = lab.objects(RS)
    told = messages(lab, "ReplicaSet", name_of(rs), "FailedCreate")
    told = [text.removeprefix("(combined from similar events): ") for text in told]
    assert 8 <= len(told) <= 10
    assert all(text.startswith(f'Error creating: pods "{name_of(rs)}-') for text in told)
    assert len(set(told)) == len(told)
    assert condition(lab.get(D, "web"), "ReplicaFailure")["reason"] == "FailedCreate"
    assert "exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0" in told[0]
    lab.client.delete("resourcequotas", "shop", "q")
    lab.seconds(20)
    assert condition(lab.get(D, "web"), "ReplicaFailure") is None
    assert lab.status(D, "web")["availableReplicas"] == 1


def test_pods_that_no_longer_fit_are_let_go_and_strays_are_taken_in(lab: Any) -> None:
    lab.make("ReplicaSet", "web", replicas=2)
    lab.seconds(5)
    one = lab.objects("pods")[0]
    lab.client.update(with_path(one, ("metadata", "labels", "app"), "other"))
    lab.seconds(5)
    assert "ownerReferences" not in lab.get("pods", name_of(one))["metadata"]
    assert lab.status(RS, "web")["readyReplicas"] == 2
    stray = lab.get("pods", name_of(one))
    lab.client.update(with_path(stray, ("metadata", "labels", "app"), "web"))
    lab.seconds(5)
    assert len(lab.objects("pods")) == 2
    assert all(pod["metadata"]["ownerReferences"] for pod in lab.objects("pods"))


def test_a_scale_down_gives_up_pods_that_are_not_ready_first(lab: Any) -> None:
    lab.make("ReplicaSet", "web", replicas=3)
    lab.seconds(5)
    bad = lab.objects("pods")[1]
    down = [{"type": "Ready", "status": "False", "lastTransitionTime": lab.world.time}]
    lab.set_pod(name_of(bad), conditions=down)
    lab.change(RS, "web", replicas=2)
    lab.seconds(3)
    with pytest.raises(ApiError):
        lab.get("pods", name_of(bad))
    assert messages(lab, "ReplicaSet", "web", "SuccessfulDelete") == [f"Deleted pod: {name_of(bad)}"]


def test_availability_waits_for_the_seconds_asked_for(lab: Any) -> None:
    lab.make("Deployment", "web", replicas=1, minReadySeconds=30)
    lab.seconds(20)
    assert lab.status(D, "web")["readyReplicas"] == 1
    assert "availableReplicas" not in lab.status(D, "web")
    lab.seconds(15)
    assert lab.status(D, "web")["availableReplicas"] == 1


def test_a_replication_controller_does_as_a_replica_set_does(lab: Any) -> None:
    lab.make("ReplicationController", "web", api="v1", replicas=2, selector={"app": "web"})
    lab.seconds(5)
    assert lab.status("replicationcontrollers", "web")["readyReplicas"] == 2
    owner = lab.objects("pods")[0]["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["apiVersion"]) == ("ReplicationController", "v1")
    assert lab.told("ReplicationController", "web")[0][0] == "SuccessfulCreate"
