"""What must hold of workloads whatever people do to them, and in whatever order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from firedrill.world import World
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.controllers._pods import is_active, is_ready
from firedrill.world.kube.objects import controller_of, dig, is_deleting, name_of, uid_of

pytestmark = pytest.mark.slow

D, RS = "deployments.apps", "replicasets.apps"
SURGE, UNAVAILABLE, QUOTA = 1, 1, 9


def template(name: str, image: str) -> dict[str, Any]:
    return {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "main", "image": image}]}}


NAMES = st.sampled_from(["one", "two"])
IMAGES = st.sampled_from(["ok", "ok:2", "ok:3", "slow", "never"])


class Workloads(RuleBasedStateMachine):
    """Two deployments under a quota, and people who change, scale, pause and delete."""

    lab: Any
    make_lab: Any

    @initialize()
    def begin(self) -> None:
        self.lab = type(self).make_lab(nodes=2)
        meta = {"name": "q", "namespace": "shop"}
        spec = {"hard": {"pods": str(QUOTA)}}
        self.lab.client.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": spec})
        self.lab.seconds(1)
        bounds = {"maxSurge": SURGE, "maxUnavailable": UNAVAILABLE}
        for name in ("one", "two"):
            strategy = {"type": "RollingUpdate", "rollingUpdate": bounds}
            self.lab.make("Deployment", name, replicas=3, strategy=strategy)
        self.lab.seconds(10)

    def _change(self, name: str, **spec: Any) -> None:
        if self.lab.client.find(D, "shop", name) is not None:
            self.lab.change(D, name, **spec)

    @rule(name=NAMES, image=IMAGES)
    def set_image(self, name: str, image: str) -> None:
        self._change(name, template=template(name, image))

    @rule(name=NAMES, replicas=st.integers(0, 6))
    def scale(self, name: str, replicas: int) -> None:
        self._change(name, replicas=replicas)

    @rule(name=NAMES, paused=st.booleans())
    def pause(self, name: str, paused: bool) -> None:
        self._change(name, paused=paused or None)

    @rule(number=st.integers(0, 11))
    def delete_a_pod(self, number: int) -> None:
        pods = self.lab.objects("pods")
        if pods:
            name = name_of(pods[number % len(pods)])
            self.lab.client.delete("pods", "shop", name)

    @rule(number=st.integers(0, 5))
    def delete_a_replica_set(self, number: int) -> None:
        sets = self.lab.objects(RS)
        if sets:
            self.lab.client.delete(RS, "shop", name_of(sets[number % len(sets)]), propagation="Background")

    @rule(ms=st.integers(1, 15_000))
    def let_time_pass(self, ms: int) -> None:
        self.lab.world.run_for(ms)

    @rule(ms=st.integers(1, 20_000))
    def fork(self, ms: int) -> None:
        twin: World = self.lab.world.fork()
        twin.run_for(ms)
        self.lab.world.run_for(ms)
        assert twin.digest() == self.lab.world.digest()

    @invariant()
    def quota_holds(self) -> None:
        if hasattr(self, "lab"):
            assert len([pod for pod in self.lab.objects("pods") if is_active(pod)]) <= QUOTA

    @invariant()
    def references_are_right(self) -> None:
        for resource, above in (("pods", RS), (RS, D)) if hasattr(self, "lab") else ():
            for obj in self.lab.objects(resource):
                owner = controller_of(obj)
                assert owner is not None
                found = self.lab.client.find(above, "shop", owner["name"])
                if found is not None and uid_of(found) == owner["uid"]:
                    matched = found["spec"]["selector"]["matchLabels"]
                    assert matched.items() <= obj["metadata"]["labels"].items()

    @invariant()
    def surge_is_bounded(self) -> None:
        """The replica sets never want more pods than the deployment allowed when they were last changed."""
        for deployment in self.lab.objects(D) if hasattr(self, "lab") else ():
            sets = [rs for rs in self.lab.objects(RS) if self._owns(deployment, rs)]
            if any(self._noted(rs) != self._wanted(deployment) for rs in sets if self._wanted(rs)):
                continue  # it has just been given another size and has not been seen to
            if len([rs for rs in sets if self._wanted(rs)]) > 1:
                assert sum(map(self._wanted, sets)) <= self._wanted(deployment) + SURGE

    def teardown(self) -> None:
        if not hasattr(self, "lab"):
            return
        for name in ("one", "two"):
            self._change(name, paused=None, replicas=3, template=template(name, "ok:9"))
        self.lab.seconds(900)
        for deployment in self.lab.objects(D):
            self._is_settled(deployment)
        owners = {uid_of(item) for item in self.lab.objects(RS)}
        for pod in self.lab.objects("pods"):
            assert dig(controller_of(pod), "uid") in owners

    def _is_settled(self, deployment: Any) -> None:
        sets = [rs for rs in self.lab.objects(RS) if self._owns(deployment, rs)]
        pods = [pod for rs in sets for pod in self.lab.objects("pods") if self._owns(rs, pod)]
        assert len(pods) == 3
        status = deployment["status"]
        assert status["replicas"] == status["updatedReplicas"] == 3
        assert status["readyReplicas"] == len([pod for pod in pods if is_ready(pod)]) == 3
        assert status["observedGeneration"] == deployment["metadata"]["generation"]
        assert sum(self._wanted(rs) for rs in sets) == 3

    @staticmethod
    def _owns(owner: Any, obj: Any) -> bool:
        return bool(dig(controller_of(obj), "uid") == uid_of(owner))

    @staticmethod
    def _wanted(obj: Any) -> int:
        return int(obj["spec"]["replicas"])

    @staticmethod
    def _noted(rs: Any) -> int:
        return int(rs["metadata"]["annotations"]["deployment.kubernetes.io/desired-replicas"])


def test_workloads_keep_their_promises(new_lab: Any) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    machine = type("Run", (Workloads,), {"make_lab": staticmethod(new_lab)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=12,
            stateful_step_count=15,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize(("surge", "gone"), [(1, 0), (0, 1), (2, 1), (0, 2)])
def test_a_rollout_never_leaves_its_bounds(lab: Any, surge: int, gone: int) -> None:
    bounds = {"maxSurge": surge, "maxUnavailable": gone}
    lab.make("Deployment", "web", replicas=5, strategy={"type": "RollingUpdate", "rollingUpdate": bounds})
    lab.seconds(10)
    seen: list[tuple[int, int]] = []

    def out_of_bounds(_: World) -> bool:
        pods = [pod for pod in lab.objects("pods") if not is_deleting(pod)]
        wanted = sum(int(rs["spec"]["replicas"]) for rs in lab.objects(RS))
        seen.append((sum(map(is_ready, pods)), wanted))
        return seen[-1][0] < 5 - gone or seen[-1][1] > 5 + surge

    for number in range(3):
        lab.change(D, "web", template=template("web", f"ok:{number}"))
        assert not lab.world.run_until(out_of_bounds, 40_000), seen[-1]
        assert lab.status(D, "web")["updatedReplicas"] == 5
    assert min(seen)[0] == 5 - gone
    assert max(count for _, count in seen) == 5 + surge


def test_the_same_seed_gives_the_same_cluster(new_lab: Any) -> None:
    digests = []
    for _ in range(2):
        lab = new_lab(seed=7)
        lab.make("Deployment", "web", replicas=3)
        lab.make("StatefulSet", "db", replicas=2, serviceName="db")
        lab.make("DaemonSet", "log")
        lab.seconds(30)
        digests.append(lab.world.digest())
    assert digests[0] == digests[1]
    assert new_lab(seed=8).world.digest() != digests[0]


def test_a_pod_is_deleted_only_by_its_own_set(lab: Any) -> None:
    lab.make("ReplicaSet", "web", replicas=1)
    lab.seconds(5)
    lab.client.delete(RS, "shop", "web", propagation="Orphan")
    lab.seconds(5)
    with pytest.raises(ApiError):
        lab.get(RS, "web")
    (pod,) = lab.objects("pods")
    assert controller_of(pod) is None
