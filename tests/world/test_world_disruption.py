"""Pod disruption budgets and evictions."""

from __future__ import annotations

from typing import Any

from firedrill.world.kube.controllers.disruption import may_evict
from firedrill.world.kube.objects import condition, name_of

P = "poddisruptionbudgets.policy"


def budget(lab: Any, **spec: Any) -> None:
    selector = {"matchLabels": {"app": "web"}}
    lab.client.create(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "pdb", "namespace": "shop"},
            "spec": {"selector": selector, **spec},
        }
    )
    lab.seconds(1)


def test_a_budget_counts_what_may_go(lab: Any) -> None:
    lab.make("Deployment", "web", replicas=4)
    lab.seconds(5)
    budget(lab, minAvailable="75%")
    status = lab.status(P, "pdb")
    found = [
        status[key] for key in ("expectedPods", "desiredHealthy", "currentHealthy", "disruptionsAllowed")
    ]
    assert found == [4, 3, 4, 1]
    assert condition(lab.get(P, "pdb"), "DisruptionAllowed")["reason"] == "SufficientPods"  # type: ignore[index]


def test_the_second_eviction_is_refused_until_the_first_pod_is_replaced(lab: Any) -> None:
    lab.make("Deployment", "web", replicas=2)
    lab.seconds(5)
    budget(lab, maxUnavailable=1)
    first, second = lab.objects("pods")
    assert may_evict(lab.world, first, dry_run=True) is None
    assert may_evict(lab.world, first) is None
    assert lab.status(P, "pdb")["disruptedPods"] == {name_of(first): lab.world.time}
    refusal = may_evict(lab.world, second)
    assert refusal is not None
    assert (refusal.code, refusal.reason) == (429, "TooManyRequests")
    assert refusal.message == "Cannot evict pod as it would violate the pod's disruption budget."
    assert refusal.details is not None
    assert refusal.details["causes"][0]["message"] == (
        "The disruption budget pdb needs 1 healthy pods and has 2 currently"
    )
    lab.client.delete("pods", "shop", name_of(first))
    lab.seconds(5)
    assert may_evict(lab.world, second) is None


def test_pods_that_no_controller_sizes_are_said_to_be_unmanaged(lab: Any) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "solo", "namespace": "shop"}}
    pod["metadata"]["labels"] = {"app": "web"}  # type: ignore[index]
    lab.client.create({**pod, "spec": {"containers": [{"name": "c", "image": "ok"}]}})
    budget(lab, maxUnavailable=1)
    assert lab.told("PodDisruptionBudget", "pdb")[0][0] == "UnmanagedPods"
