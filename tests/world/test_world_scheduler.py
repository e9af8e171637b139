"""The scheduler's decisions, from objects alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedrill.world.kube.scheduler.choose import Decision, choose_node, enough_nodes
from firedrill.world.kube.scheduler.nodeinfo import take_snapshot
from firedrill.world.kube.scheduler.podinfo import pod_info, pod_requests
from firedrill.world.kube.scheduler.verdict import fit_message
from firedrill.world.kube.store import Store
from firedrill.world.sim.rng import Rng

HOST = "kubernetes.io/hostname"


def node(name: str, cpu: str = "4", memory: str = "8Gi", pods: str = "110", **spec: Any) -> dict[str, Any]:
    labels = {HOST: name, **spec.pop("labels", {})}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "uid": f"n-{name}", "labels": labels},
        "spec": spec,
        "status": {"allocatable": {"cpu": cpu, "memory": memory, "pods": pods}},
    }


def pod(
    name: str, cpu: str = "", memory: str = "", labels: dict[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    requests = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value}
    container = {"name": "c", "image": "i", "resources": {"requests": requests}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "uid": f"p-{name}", "labels": labels or {}},
        "spec": {"containers": [container], **spec},
        "status": {"phase": "Pending"},
    }


def cluster(*objects: dict[str, Any]) -> Store:
    store = Store(freeze=True)
    plural = {
        "Node": "nodes",
        "Pod": "pods",
        "Namespace": "namespaces",
        "PersistentVolume": "persistentvolumes",
        "PersistentVolumeClaim": "persistentvolumeclaims",
        "StorageClass": "storageclasses.storage.k8s.io",
        "PodDisruptionBudget": "poddisruptionbudgets.policy",
    }
    for item in objects:
        store.put(plural[item["kind"]], item)
    return store


def decide(store: Store, item: dict[str, Any], seed: int = 1) -> Decision:
    return choose_node(pod_info(item), take_snapshot(store), Rng(seed))


CONTROL = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}


def test_a_pod_goes_where_it_fits() -> None:
    store = cluster(node("a", cpu="1"), node("b", cpu="4"))
    assert decide(store, pod("x", cpu="2")).node == "b"


def test_words_for_taint_and_cpu() -> None:
    store = cluster(node("m", taints=[CONTROL]), *(node(f"w{i}", cpu="1") for i in range(3)))
    assert decide(store, pod("x", cpu="2")).message == (
        "0/4 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, "
        "3 Insufficient cpu. preemption: 0/4 nodes are available: 1 Preemption is not helpful for scheduling, "
        "3 No preemption victims found for incoming pod."
    )


def test_a_cordoned_node_counts_before_its_taint() -> None:
    cordon = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    store = cluster(
        node("m", unschedulable=True, taints=[CONTROL, cordon]),
        *(
            node(f"w{i}", taints=[{"key": "critical", "value": "true", "effect": "NoSchedule"}])
            for i in range(3)
        ),
    )
    assert decide(store, pod("x")).message == (
        "0/4 nodes are available: 1 node(s) were unschedulable, 3 node(s) had untolerated taint {critical: true}. "
        "preemption: 0/4 nodes are available: 4 Preemption is not helpful for scheduling."
    )


def test_a_selector_that_no_node_meets() -> None:
    store = cluster(node("m", unschedulable=True), *(node(f"w{i}") for i in range(3)))
    assert decide(store, pod("x", nodeSelector={"disk": "ssd"})).message == (
        "0/4 nodes are available: 1 node(s) were unschedulable, 3 node(s) didn't match Pod's node affinity/selector. "
        "preemption: 0/4 nodes are available: 4 Preemption is not helpful for scheduling."
    )


def claim(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "shop", "uid": f"c-{name}"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec},
    }


def mounts(name: str) -> list[dict[str, Any]]:
    return [{"name": "data", "persistentVolumeClaim": {"claimName": name}}]


def test_claims_are_refused_before_any_node_is_looked_at() -> None:
    nodes = [node(f"w{i}") for i in range(4)]
    tail = " preemption: 0/4 nodes are available: 4 Preemption is not helpful for scheduling."
    missing = decide(cluster(*nodes), pod("x", volumes=mounts("data")))
    assert missing.message == '0/4 nodes are available: persistentvolumeclaim "data" not found.' + tail
    unbound = decide(cluster(*nodes, claim("data")), pod("x", volumes=mounts("data")))
    assert unbound.message == (
        "0/4 nodes are available: pod has unbound immediate PersistentVolumeClaims." + tail
    )
    assert unbound.plugins == ("VolumeBinding",)


def bound(name: str, volume: str) -> dict[str, Any]:
    item = claim(name, volumeName=volume)
    item["metadata"]["annotations"] = {"pv.kubernetes.io/bind-completed": "yes"}
    return item


def volume(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "kind": "PersistentVolume",
        "metadata": {"name": name, "uid": f"v-{name}"},
        "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], **spec},
        "status": {"phase": "Available"},
    }


def on_node(name: str) -> dict[str, Any]:
    expression = {"key": HOST, "operator": "In", "values": [name]}
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}


def test_a_local_volume_pins_its_pod() -> None:
    store = cluster(node("a"), node("b"), bound("data", "pv"), volume("pv", nodeAffinity=on_node("b")))
    assert decide(store, pod("x", volumes=mounts("data"))).node == "b"
    other = cluster(node("a"), bound("data", "pv"), volume("pv", nodeAffinity=on_node("b")))
    assert decide(other, pod("x", volumes=mounts("data"))).message.startswith(
        "0/1 nodes are available: 1 node(s) had volume node affinity conflict. preemption"
    )


def test_a_delayed_claim_looks_for_a_volume_or_a_provisioner() -> None:
    def lazy(provisioner: str) -> dict[str, Any]:
        return {
            "kind": "StorageClass",
            "metadata": {"name": "lazy"},
            "provisioner": provisioner,
            "volumeBindingMode": "WaitForFirstConsumer",
        }

    wanted = pod("x", volumes=mounts("data"))
    data = claim("data", storageClassName="lazy")
    none = cluster(node("a"), node("b"), data, lazy("kubernetes.io/no-provisioner"))
    assert "2 node(s) didn't find available persistent volumes to bind." in decide(none, wanted).message
    local = volume("pv", storageClassName="lazy", nodeAffinity=on_node("b"))
    assert (
        decide(cluster(node("a"), node("b"), data, lazy("kubernetes.io/no-provisioner"), local), wanted).node
        == "b"
    )
    assert decide(cluster(node("a"), data, lazy("ebs.csi.aws.com")), wanted).node == "a"


def apart(kind: str = "podAntiAffinity", app: str = "web") -> dict[str, Any]:
    term = {"topologyKey": HOST, "labelSelector": {"matchLabels": {"app": app}}}
    return {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def test_anti_affinity_in_both_directions() -> None:
    nodes = [node("m", unschedulable=True), node("a"), node("b")]
    web = {"app": "web"}
    others = [pod(name, labels=web, nodeName=name, affinity=apart()) for name in ("a", "b")]
    store = cluster(*nodes, *others)
    assert decide(store, pod("x", labels=web, affinity=apart())).message == (
        "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't match pod anti-affinity rules. "
        "preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, "
        "2 No preemption victims found for incoming pod."
    )
    assert (
        "2 node(s) didn't satisfy existing pods anti-affinity rules"
        in decide(store, pod("y", labels=web)).message
    )
    assert decide(store, pod("z", labels={"app": "other"})).node in ("a", "b")


def test_affinity_wants_company_but_lets_the_first_one_in() -> None:
    store = cluster(node("a"), node("b"), pod("db", labels={"app": "db"}, nodeName="b"))
    assert decide(store, pod("x", affinity=apart("podAffinity", "db"))).node == "b"
    assert (
        "2 node(s) didn't match pod affinity rules"
        in decide(store, pod("y", affinity=apart("podAffinity", "q"))).message
    )
    first = pod("z", labels={"app": "q"}, affinity=apart("podAffinity", "q"))
    assert decide(store, first).node in ("a", "b")


def test_spread_constraints() -> None:
    rule = {
        "topologyKey": "zone",
        "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }
    web = {"app": "web"}
    store = cluster(
        node("a", labels={"zone": "1"}),
        node("b", labels={"zone": "2"}, unschedulable=True),
        node("c"),
        pod("one", labels=web, nodeName="a"),
    )
    assert decide(store, pod("x", labels=web, topologySpreadConstraints=[rule])).message == (
        "0/3 nodes are available: 1 node(s) didn't match pod topology spread constraints, "
        "1 node(s) didn't match pod topology spread constraints (missing required label), "
        "1 node(s) were unschedulable. preemption: 0/3 nodes are available: "
        "1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling."
    )


def test_no_nodes_and_too_many_pods() -> None:
    assert decide(cluster(), pod("x")).message == "no nodes available to schedule pods"
    full = cluster(node("a", pods="1"), pod("one", nodeName="a"))
    assert decide(full, pod("x")).message.startswith("0/1 nodes are available: 1 Too many pods. preemption")


def test_host_ports() -> None:
    def with_port(name: str, **spec: Any) -> dict[str, Any]:
        item = pod(name, **spec)
        item["spec"]["containers"][0]["ports"] = [{"containerPort": 80, "hostPort": 80}]
        return item

    store = cluster(node("a"), with_port("one", nodeName="a"))
    assert (
        "1 node(s) didn't have free ports for the requested pod ports."
        in decide(store, with_port("x")).message
    )


def test_the_lowest_pods_are_preempted_and_budgets_respected() -> None:
    store = cluster(
        node("a", cpu="2"),
        node("b", cpu="2"),
        pod("guarded", cpu="2", labels={"app": "g"}, nodeName="a"),
        pod("small", cpu="1", nodeName="b", priority=5),
        pod("tiny", cpu="500m", nodeName="b", priority=1),
        {
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "g", "namespace": "shop"},
            "spec": {"selector": {"matchLabels": {"app": "g"}}},
            "status": {"disruptionsAllowed": 0},
        },
    )
    found = decide(store, pod("x", cpu="1", priority=100)).preemption
    assert found is not None
    assert (found.node, [item.name for item in found.victims]) == ("b", ["tiny"])
    never = decide(store, pod("x", cpu="1", priority=100, preemptionPolicy="Never"))
    assert never.preemption is None
    assert never.message == (
        "0/2 nodes are available: 2 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never."
    )


def test_preemption_that_frees_too_little_says_what_lacks() -> None:
    store = cluster(
        node("a", cpu="2"),
        pod("low", cpu="1", nodeName="a"),
        pod("high", cpu="1", priority=200, nodeName="a"),
    )
    assert decide(store, pod("x", cpu="2", priority=100)).message == (
        "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 Insufficient cpu."
    )


def test_requests_of_init_steps_and_sidecars() -> None:
    def container(cpu: str, **more: Any) -> dict[str, Any]:
        return {"name": "c", "resources": {"requests": {"cpu": cpu}}, **more}

    spec = {
        "containers": [container("100m")],
        "initContainers": [container("50m", restartPolicy="Always"), container("500m")],
        "overhead": {"cpu": "10m"},
    }
    assert pod_requests(spec) == {"cpu": 560}


def test_the_better_node_wins_and_equal_ones_are_drawn() -> None:
    store = cluster(node("a"), node("b"), pod("one", cpu="3", memory="1Gi", nodeName="a"))
    assert decide(store, pod("x", cpu="500m", memory="256Mi")).node == "b"
    even = cluster(node("a"), node("b"), node("c"))
    assert {decide(even, pod("x"), seed).node for seed in range(30)} == {"a", "b", "c"}
    assert decide(even, pod("x"), 3) == decide(even, pod("x"), 3)


def test_large_clusters_are_sampled() -> None:
    assert [enough_nodes(count) for count in (4, 99, 100, 1000, 10_000)] == [4, 99, 100, 420, 500]


def test_reasons_are_sorted_as_text() -> None:
    assert fit_message(12, ["b"] * 2 + ["a"] * 10) == "0/12 nodes are available: 10 a, 2 b."


cpus = st.sampled_from(["", "100m", "500m", "1", "2"])


@given(
    st.lists(
        st.tuples(st.sampled_from(["1", "2", "3"]), st.booleans(), st.sampled_from("xy")),
        min_size=1,
        max_size=4,
    ),
    st.lists(
        st.tuples(cpus, st.sampled_from(["web", "db"]), st.booleans(), st.sampled_from(["", "x", "y"])),
        max_size=12,
    ),
)
def test_never_overcommitted_and_never_against_a_rule(
    nodes: list[tuple[str, bool, str]], pods: list[tuple[str, str, bool, str]]
) -> None:
    store = cluster(
        *(
            node(f"n{i}", cpu=cpu, pods="5", labels={"zone": zone}, taints=[CONTROL] if tainted else [])
            for i, (cpu, tainted, zone) in enumerate(nodes)
        )
    )
    placed: list[tuple[dict[str, Any], str]] = []
    for index, (cpu, app, alone, zone) in enumerate(pods):
        spec: dict[str, Any] = {"affinity": apart(app=app)} if alone else {}
        if zone:
            spec["nodeSelector"] = {"zone": zone}
        item = pod(f"p{index}", cpu=cpu, labels={"app": app}, **spec)
        decision = decide(store, item)
        assert bool(decision.node) != bool(decision.message)
        if decision.node:
            placed.append((item, decision.node))
            store.put("pods", {**item, "spec": {**item["spec"], "nodeName": decision.node}})
    for info in take_snapshot(store).nodes.values():
        here = [item for item, where in placed if where == info.name]
        assert info.requested.get("cpu", 0) <= info.allocatable["cpu"]
        assert len(here) <= 5
        assert not here or not info.taints
        for item in here:
            selector = item["spec"].get("nodeSelector", {})
            assert all(info.labels.get(key) == value for key, value in selector.items())
            if "affinity" in item["spec"]:
                same = [other for other in here if other["metadata"]["labels"] == item["metadata"]["labels"]]
                assert len(same) == 1


@pytest.mark.parametrize("operator", ["Exists", "Equal"])
def test_tolerations_let_a_pod_in(operator: str) -> None:
    store = cluster(node("m", taints=[CONTROL]))
    toleration = {"key": CONTROL["key"], "operator": operator, "effect": "NoSchedule"}
    assert decide(store, pod("x", tolerations=[toleration])).node == "m"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "100m", "1"]), st.sampled_from(["web", "db"]), st.booleans(), st.booleans()
        ),
        max_size=8,
    )
)
def test_sums_that_grow_equal_sums_made_anew(pods: list[tuple[str, str, bool, bool]]) -> None:
    store = cluster(node("a"))
    grown = take_snapshot(store).nodes["a"]
    probe = pod_info(pod("probe", labels={"app": "web"}, affinity=apart()))
    chosen = (("app", "in", ("web",)),)
    for index, (cpu, app, alone, near) in enumerate(pods):
        affinity = {**(apart(app=app) if alone else {}), **(apart("podAffinity", app) if near else {})}
        item = pod(f"p{index}", cpu=cpu, labels={"app": app}, nodeName="a", affinity=affinity)
        store.put("pods", item)
        grown = grown.with_pod(pod_info(store.pods_on("a")[-1]))
        anew = take_snapshot(store).nodes["a"]
        assert grown == anew
        assert grown.count("shop", chosen) == anew.count("shop", chosen)
        assert grown.count_all(probe.anti_affinity, {}) == anew.count_all(probe.anti_affinity, {})
        assert grown.conflicts(probe, {}) == anew.conflicts(probe, {})


def test_a_pod_of_a_daemon_set_is_told_of_its_own_node() -> None:
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}
    rules = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    store = cluster(node("a", cpu="1"), node("b"), node("c", taints=[CONTROL]))
    daemon = pod("x", cpu="2", affinity={"nodeAffinity": rules})
    assert decide(store, daemon).message == (
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]. preemption: "
        "0/3 nodes are available: 1 No preemption victims found for incoming pod, "
        "2 Preemption is not helpful for scheduling."
    )
    assert decide(store, pod("y", affinity={"nodeAffinity": rules})).node == "a"


def test_newer_schedulers_know_when_a_node_is_too_small() -> None:
    store = cluster(node("a", cpu="1"))
    wanted = pod_info(pod("x", cpu="2"))
    old = choose_node(wanted, take_snapshot(store, minor=31), Rng(1)).message
    new = choose_node(wanted, take_snapshot(store, minor=34), Rng(1)).message
    assert "1 No preemption victims found for incoming pod" in old
    assert new.endswith("preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.")
