"""Stateful sets."""

from __future__ import annotations

from typing import Any

from firedrill.world.kube.objects import labels_of, name_of

S = "statefulsets.apps"


def template(image: str) -> dict[str, Any]:
    return {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "main", "image": image}]}}


def names(lab: Any) -> list[str]:
    return [name_of(pod) for pod in lab.objects("pods")]


CLAIM = {
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


def test_pods_come_one_after_the_other_with_their_claims(lab: Any) -> None:
    lab.make("StatefulSet", "db", replicas=3, serviceName="db", volumeClaimTemplates=[CLAIM])
    lab.seconds(0.8)
    assert names(lab) == ["db-0"]
    lab.seconds(6)
    assert names(lab) == ["db-0", "db-1", "db-2"]
    told = lab.told("StatefulSet", "db")
    assert told[:2] == [
        ("SuccessfulCreate", "create Claim data-db-0 Pod db-0 in StatefulSet db success"),
        ("SuccessfulCreate", "create Pod db-0 in StatefulSet db successful"),
    ]
    pod = lab.get("pods", "db-1")
    assert labels_of(pod)["statefulset.kubernetes.io/pod-name"] == "db-1"
    assert labels_of(pod)["apps.kubernetes.io/pod-index"] == "1"
    assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == ("db-1", "db")
    assert pod["spec"]["volumes"][0]["persistentVolumeClaim"] == {"claimName": "data-db-1"}
    status = lab.status(S, "db")
    assert status["currentRevision"] == status["updateRevision"] == labels_of(pod)["controller-revision-hash"]
    assert [status[key] for key in ("replicas", "readyReplicas", "currentReplicas", "updatedReplicas")] == [
        3
    ] * 4


def test_one_that_is_not_ready_holds_back_the_next(lab: Any) -> None:
    lab.make("StatefulSet", "db", image="never", replicas=3, serviceName="db")
    lab.seconds(60)
    assert names(lab) == ["db-0"]


def test_parallel_pods_all_come_at_once(lab: Any) -> None:
    lab.make("StatefulSet", "db", image="never", replicas=3, serviceName="db", podManagementPolicy="Parallel")
    lab.seconds(1)
    assert names(lab) == ["db-0", "db-1", "db-2"]


def test_an_update_goes_from_the_top_down_to_the_partition(lab: Any) -> None:
    update = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
    lab.make("StatefulSet", "db", replicas=3, serviceName="db", updateStrategy=update)
    lab.seconds(8)
    lab.change(S, "db", template=template("ok:2"))
    lab.seconds(15)
    images = {name_of(pod): pod["spec"]["containers"][0]["image"] for pod in lab.objects("pods")}
    assert images == {"db-0": "ok", "db-1": "ok:2", "db-2": "ok:2"}
    assert lab.status(S, "db")["currentRevision"] != lab.status(S, "db")["updateRevision"]
    deleted = [text for reason, text in lab.told("StatefulSet", "db") if reason == "SuccessfulDelete"]
    assert deleted == [f"delete Pod db-{number} in StatefulSet db successful" for number in (2, 1)]
    lab.change(S, "db", updateStrategy={"rollingUpdate": {"partition": 0}})
    lab.seconds(10)
    assert lab.status(S, "db")["currentRevision"] == lab.status(S, "db")["updateRevision"]


def test_on_delete_replaces_only_what_somebody_deletes(lab: Any) -> None:
    lab.make("StatefulSet", "db", replicas=2, serviceName="db", updateStrategy={"type": "OnDelete"})
    lab.seconds(8)
    lab.change(S, "db", template=template("ok:2"))
    lab.seconds(10)
    lab.client.delete("pods", "shop", "db-0")
    lab.seconds(10)
    images = [pod["spec"]["containers"][0]["image"] for pod in lab.objects("pods")]
    assert images == ["ok:2", "ok"]


def test_scaling_down_takes_the_highest_first_and_keeps_the_claims(lab: Any) -> None:
    lab.make(
        "StatefulSet", "db", replicas=3, serviceName="db", volumeClaimTemplates=[CLAIM], ordinals={"start": 5}
    )
    lab.seconds(8)
    assert names(lab) == ["db-5", "db-6", "db-7"]
    lab.change(S, "db", replicas=1)
    lab.seconds(8)
    assert names(lab) == ["db-5"]
    assert len(lab.objects("persistentvolumeclaims")) == 3
