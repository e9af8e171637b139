"""Daemon sets."""

from __future__ import annotations

from typing import Any

from firedrill.world.kube.objects import labels_of, name_of, with_path

D = "daemonsets.apps"


def template(image: str) -> dict[str, Any]:
    return {
        "metadata": {"labels": {"app": "log"}},
        "spec": {"containers": [{"name": "main", "image": image}]},
    }


def nodes(lab: Any) -> list[str]:
    return sorted(pod["spec"]["nodeName"] for pod in lab.objects("pods"))


def test_each_node_has_a_pod_that_fits_only_there(lab: Any) -> None:
    lab.make("DaemonSet", "log")
    lab.seconds(5)
    assert nodes(lab) == ["lab-1", "lab-2", "lab-3"]
    assert lab.status(D, "log") == {
        "currentNumberScheduled": 3,
        "numberMisscheduled": 0,
        "desiredNumberScheduled": 3,
        "numberReady": 3,
        "observedGeneration": 1,
        "updatedNumberScheduled": 3,
        "numberAvailable": 3,
    }
    pod = lab.objects("pods")[0]
    assert labels_of(pod)["pod-template-generation"] == "1"
    (revision,) = lab.objects("controllerrevisions.apps")
    assert name_of(revision) == f"log-{labels_of(pod)['controller-revision-hash']}"
    keys = {item["key"] for item in pod["spec"]["tolerations"]}
    assert "node.kubernetes.io/unschedulable" in keys
    assert "node.kubernetes.io/network-unavailable" not in keys
    assert sorted(text for _, text in lab.told("DaemonSet", "log")) == sorted(
        f"Created pod: {name_of(item)}" for item in lab.objects("pods")
    )


def test_it_follows_the_nodes_and_their_taints(lab: Any) -> None:
    lab.make("DaemonSet", "log")
    lab.seconds(5)
    lab.node("lab-4")
    lab.seconds(5)
    assert nodes(lab) == ["lab-1", "lab-2", "lab-3", "lab-4"]
    node = lab.client.get("nodes", "", "lab-2")
    taint = {"key": "dedicated", "value": "x", "effect": "NoExecute"}
    lab.client.update(with_path(node, ("spec", "taints"), [taint]))
    lab.seconds(5)
    assert nodes(lab) == ["lab-1", "lab-3", "lab-4"]
    assert lab.status(D, "log")["desiredNumberScheduled"] == 3
    lab.change(D, "log", template={"spec": {"nodeSelector": {"kubernetes.io/hostname": "lab-3"}}})
    lab.seconds(10)
    assert nodes(lab) == ["lab-3"]


def test_an_update_replaces_one_node_after_the_other(lab: Any) -> None:
    lab.make("DaemonSet", "log")
    lab.seconds(5)
    lab.change(D, "log", template=template("ok:2"))

    def too_few(_: Any) -> bool:
        return int(lab.status(D, "log")["numberReady"]) < 2

    assert not lab.world.run_until(too_few, 20_000)
    assert {pod["spec"]["containers"][0]["image"] for pod in lab.objects("pods")} == {"ok:2"}
    assert lab.get(D, "log")["metadata"]["annotations"]["deprecated.daemonset.template.generation"] == "2"
    assert [item["revision"] for item in lab.objects("controllerrevisions.apps")].count(2) == 1


def test_a_surge_starts_the_new_pod_beside_the_old_one(lab: Any) -> None:
    update = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    lab.make("DaemonSet", "log", updateStrategy=update)
    lab.seconds(5)
    lab.change(D, "log", template=template("ok:2"))

    def too_few(_: Any) -> bool:
        return int(lab.status(D, "log").get("numberAvailable", 0)) < 3

    assert not lab.world.run_until(too_few, 20_000)
    assert {pod["spec"]["containers"][0]["image"] for pod in lab.objects("pods")} == {"ok:2"}
    assert len(lab.objects("pods")) == 3


def test_failed_pods_are_killed_and_made_anew_with_pauses(lab: Any) -> None:
    lab.make("DaemonSet", "log", image="fails")
    lab.seconds(60)
    told = [text for reason, text in lab.told("DaemonSet", "log") if reason == "FailedDaemonPod"]
    assert told
    assert told[0].startswith("Found failed daemon pod shop/log-")
    assert told[0].endswith(", will try to kill it")
