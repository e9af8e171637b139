"""Causes are decided by healing: what ends the incident for good was one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedrill import faults
from firedrill.faults._diff import differences, plain
from firedrill.faults.healing import Limits, Trials, heal, interventional, minimal_causes
from firedrill.faults.healing.plans import Plan, changed_objects, plan
from firedrill.world import World
from firedrill.world.app import service
from firedrill.world.kube.api import Client
from firedrill.world.telemetry.monitoring import Monitoring
from firedrill.world.telemetry.producers import Metering, keep_only

pytestmark = pytest.mark.slow
MINUTE = 60_000
NS = "default"


class Fired(NamedTuple):
    name: str
    labels: Mapping[str, str]


class Broken(NamedTuple):
    before: World
    world: World
    injections: tuple[faults.Injection, ...]
    trials: Trials


@pytest.fixture(scope="module")
def shop(used: Callable[[str], World]) -> World:
    return used("online-boutique")


@pytest.fixture(scope="module")
def usual(shop: World) -> service.Baseline:
    return service.baseline(shop, shop.now - 8 * MINUTE, shop.now)


def broken(
    shop: World, usual: service.Baseline, *what: tuple[str, dict[str, Any]], minutes: int = 8
) -> Broken:
    """A shop in which something is the matter, looked at after some minutes."""
    world = shop.fork()
    done = tuple(faults.inject(world, faults.find(name), args) for name, args in what)
    world.run_for(minutes * MINUTE)
    alerts = world.cluster.part(Monitoring).rules.all_alerts("firing")
    fired = [Fired(dict(alert.labels)["alertname"], dict(alert.labels)) for alert in alerts]
    limits = Limits(well=12 * MINUTE, relapse=6 * MINUTE)
    trials = Trials(world, before=shop, injections=done, baseline=usual, alerts=fired, limits=limits)
    return Broken(shop, world, done, trials)


def on(name: str, **more: Any) -> dict[str, Any]:
    return {"namespace": NS, "name": name, **more}


@pytest.fixture(scope="module")
def wrong_image(shop: World, usual: service.Baseline) -> Broken:
    return broken(shop, usual, ("incorrect-image-reference", on("cartservice")))


def pod_of(world: World, name: str) -> str:
    pods = world.cluster.store.pods_labelled(NS, "app", name)
    return f"{NS}/Pod/{pods[-1]['metadata']['name']}"


def test_the_cause_of_a_wrong_image_is_its_deployment(wrong_image: Broken) -> None:
    trials = wrong_image.trials
    exact = interventional(trials, [f"{NS}/Deployment/cartservice"])
    assert (exact.score, exact.strict, exact.exact) == (1.0, 1.0, True)
    assert exact.verdict.reason == "cured"
    assert exact.verdict.healed.back == (f"deployments.apps/{NS}/cartservice",)


def test_a_pod_stands_for_its_owner_unless_taken_strictly(wrong_image: Broken) -> None:
    pod = pod_of(wrong_image.world, "cartservice")
    found = interventional(wrong_image.trials, [pod])
    assert (found.score, found.strict) == (1.0, 0.0)
    twice = interventional(wrong_image.trials, [pod, f"{NS}/Deployment/cartservice"])
    assert twice.predicted == (pod,)
    assert twice.score == 1.0


def test_bystanders_cost_precision_and_alone_are_worth_nothing(wrong_image: Broken) -> None:
    both = [f"{NS}/Service/frontend", f"{NS}/Deployment/cartservice"]
    assert interventional(wrong_image.trials, both).score == 0.5
    assert interventional(wrong_image.trials, both).minimal == (f"{NS}/Deployment/cartservice",)
    alone = interventional(wrong_image.trials, [f"{NS}/Service/frontend"])
    assert (alone.score, alone.verdict.reason) == (0.0, "mechanism active")
    assert interventional(wrong_image.trials, []).score == 0.0


def test_what_is_named_beyond_the_eighth_counts_as_not_needed(wrong_image: Broken) -> None:
    many = [f"{NS}/Service/none-{number}" for number in range(9)]
    assert interventional(wrong_image.trials, [f"{NS}/Deployment/cartservice", *many]).score == 0.1
    assert interventional(wrong_image.trials, [*many, f"{NS}/Deployment/cartservice"]).score == 0.0


def test_names_that_mean_nothing_heal_nothing(wrong_image: Broken) -> None:
    odd = ["", "cartservice", "x/y/z", f"{NS}/Deployment/", "cluster/Node/nowhere", f"{NS}/Secret/../x"]
    assert not plan(wrong_image.world, odd, before=wrong_image.before, injections=wrong_image.injections)


@given(
    st.one_of(
        st.text(max_size=60), st.from_regex(r"[a-z]{0,9}/[A-Za-z]{0,12}/[a-z.*%-]{0,9}", fullmatch=True)
    )
)
def test_whatever_is_named_is_found_or_left_alone(shop: World, text: str) -> None:
    assert not plan(shop, [text], before=shop, injections=()).back


def test_names_keep_their_capitals_and_kinds_any_spelling(shop: World) -> None:
    world = shop.fork()
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "Shop:Reader"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
    }
    Client(world).create(role)
    for text in ("cluster/ClusterRole/Shop:Reader", "clusterroles/Shop:Reader", "-/clusterrole/Shop:Reader"):
        todo = plan(world, [text], before=shop, injections=())
        assert [(step.resource, step.name) for step in todo.back] == [
            ("clusterroles.rbac.authorization.k8s.io", "Shop:Reader")
        ]
    assert plan(world, ["default/pods/none", "default/deploy/frontend"], before=shop, injections=()) == Plan()


def test_verdicts_are_the_same_again_and_on_forks(wrong_image: Broken, usual: service.Baseline) -> None:
    ask = [f"{NS}/Deployment/cartservice"]
    digest = wrong_image.world.digest()
    first = wrong_image.trials.cures(ask)
    other = Trials(
        wrong_image.world.fork(),
        before=wrong_image.before.fork(),
        injections=wrong_image.injections,
        baseline=usual,
        alerts=[Fired(name, dict(labels)) for name, labels in wrong_image.trials.wanted],
        limits=wrong_image.trials.limits,
    )
    assert other.cures(ask) == first
    assert wrong_image.world.digest() == digest


def test_forks_that_evaluate_few_rules_tell_the_same_of_these(wrong_image: Broken) -> None:
    names = {name for name, _ in wrong_image.trials.wanted}
    full, few = wrong_image.world.fork(), wrong_image.world.fork()
    keep_only(few, names)
    seen = []
    for minute in range(4):
        for world in (full, few):
            if minute == 1:
                heal(world, [f"{NS}/Deployment/cartservice"], before=wrong_image.before, injections=())
            world.run_for(MINUTE)
        told = [
            [
                alert
                for alert in world.cluster.part(Monitoring).rules.all_alerts()
                if dict(alert.labels)["alertname"] in names
            ]
            for world in (full, few)
        ]
        assert told[0] == told[1]
        seen.append(len(told[0]))
    assert seen[0] > seen[-1] == 0
    assert len(few.cluster.part(Monitoring).rules.groups) < len(full.cluster.part(Monitoring).rules.groups)
    assert few.cluster.part(Metering).needed is not None


def test_a_policy_in_the_way_is_the_cause_and_not_whom_it_cuts_off(
    shop: World, usual: service.Baseline
) -> None:
    case = broken(shop, usual, ("network-policy-blocks", on("cartservice")))
    assert interventional(case.trials, [f"{NS}/NetworkPolicy/restrict-ingress"]).score == 1.0
    assert interventional(case.trials, [f"{NS}/Deployment/cartservice"]).score == 0.0
    changed = [str(place) for place, _, _ in changed_objects(case.world, case.before)]
    assert changed == [f"{NS}/NetworkPolicy/restrict-ingress"]


def test_two_faults_need_both_cures(shop: World, usual: service.Baseline) -> None:
    image = ("incorrect-image-reference", on("cartservice"))
    policy = ("network-policy-blocks", on("shippingservice"))
    case = broken(shop, usual, image, policy)
    one, other = f"{NS}/Deployment/cartservice", f"{NS}/NetworkPolicy/restrict-ingress"
    assert interventional(case.trials, [one, other]).score == 1.0
    assert interventional(case.trials, [one]).score == 0.0
    third = interventional(case.trials, [one, f"{NS}/Service/frontend", other])
    assert third.score == pytest.approx(2 / 3)
    candidates = [one, other, f"{NS}/Service/frontend", pod_of(case.world, "cartservice")]
    assert minimal_causes(case.trials, candidates) == ((one, other),)


def test_a_quota_is_the_cause_and_not_its_namespace(shop: World, usual: service.Baseline) -> None:
    pods = len(shop.cluster.store.list("pods", NS))
    world = shop.fork()
    quota = faults.inject(
        world, faults.find("namespace-pod-quota-exceeded"), {"namespace": NS, "hard": str(pods - 1)}
    )
    Client(world).delete("pods", NS, pod_of(world, "cartservice").rpartition("/")[2])
    world.run_for(8 * MINUTE)
    alerts = world.cluster.part(Monitoring).rules.all_alerts("firing")
    fired = [Fired(dict(alert.labels)["alertname"], dict(alert.labels)) for alert in alerts]
    assert fired
    trials = Trials(world, before=shop, injections=[quota], baseline=usual, alerts=fired)
    assert interventional(trials, [f"{NS}/ResourceQuota/pod-quota"]).score == 1.0
    assert interventional(trials, [f"cluster/Namespace/{NS}"]).score == 0.0


def test_what_a_node_lacks_ends_with_the_node(shop: World, usual: service.Baseline) -> None:
    node = str(shop.cluster.store.pods_labelled(NS, "app", "cartservice")[0]["spec"]["nodeName"])
    case = broken(shop, usual, ("kube-proxy-unavailable", {"node": node}), minutes=2)
    assert case.trials.ends([f"cluster/Node/{node}"]) == {0}
    assert case.trials.ends([f"{NS}/Deployment/cartservice"]) == set()


def test_pods_that_a_node_evicted_are_cleared_away_with_its_pressure(
    shop: World, usual: service.Baseline
) -> None:
    node = str(shop.cluster.store.pods_labelled(NS, "app", "cartservice")[0]["spec"]["nodeName"])
    case = broken(shop, usual, ("node-memory-pressure", {"node": node}), minutes=4)
    assert faults.leftovers(case.world)
    assert "FailedPodsDetected" in {name for name, _ in case.trials.wanted}
    fork = case.world.fork()
    heal(fork, [f"cluster/Node/{node}"], before=case.before, injections=case.injections)
    assert not faults.leftovers(fork)
    fork.run_for(2 * MINUTE)
    assert case.trials.firing(fork) == ()


def test_the_scheduler_is_healed_with_its_pod_or_its_node(shop: World, usual: service.Baseline) -> None:
    case = broken(shop, usual, ("kube-scheduler-unavailable", {}), minutes=2)
    assert case.trials.ends(["kube-system/Pod/kube-scheduler-control-plane"]) == {0}
    assert case.trials.ends(["cluster/Node/control-plane"]) == {0}


def test_what_is_over_needs_no_cure(shop: World, usual: service.Baseline) -> None:
    case = broken(shop, usual, ("network-policy-blocks", on("cartservice")))
    world = case.world.fork()
    faults.revert(world, case.injections[0])
    trials = Trials(
        world,
        before=shop,
        injections=case.injections,
        baseline=usual,
        alerts=[Fired(name, dict(labels)) for name, labels in case.trials.wanted],
        limits=case.trials.limits,
    )
    assert interventional(trials, []).score == 1.0
    assert interventional(trials, [f"{NS}/Deployment/cartservice"]).score == 0.0


MANY = (
    ("incorrect-image-reference", on("adservice")),
    ("invalid-command", on("currencyservice")),
    ("service-selector-mismatch", on("emailservice")),
    ("service-port-mapping-mismatch", on("paymentservice")),
    ("workload-scaled-to-zero", on("recommendationservice")),
    ("network-policy-blocks", on("productcatalogservice")),
    ("namespace-cpu-quota-exceeded", {"namespace": NS}),
    ("pod-network-delay", on("checkoutservice")),
)


def test_healing_everything_that_was_injected_gives_back_what_was_there(
    shop: World, usual: service.Baseline
) -> None:
    case = broken(shop, usual, *MANY, minutes=2)
    causes = [cause for injection in case.injections for cause in injection.causes]
    fork = case.world.fork()
    healed = heal(fork, causes, before=case.before, injections=case.injections)
    fork.run_for(MINUTE)
    assert healed.refused == ()
    assert [str(place) for place, _, _ in changed_objects(fork, case.before)] == []
    for injection in case.injections:
        for change in injection.changes:
            was = case.before.cluster.store.get(change.resource, change.namespace, change.name)
            now = fork.cluster.store.get(change.resource, change.namespace, change.name)
            assert (was is None) == (now is None)
            if was is not None and now is not None:
                assert not list(differences(plain(was), plain(now)))
    assert not any(faults.active(fork, injection) for injection in case.injections)


def test_healing_what_is_unchanged_changes_nothing(shop: World) -> None:
    fork = shop.fork()
    store = shop.cluster.store
    kinds = (
        "deployments.apps",
        "services",
        "configmaps",
        "secrets",
        "nodes",
        "namespaces",
        "serviceaccounts",
    )
    everything = [
        f"{obj['metadata'].get('namespace') or 'cluster'}/{obj['kind']}/{obj['metadata']['name']}"
        for resource in kinds
        for obj in store.list(resource)
    ]
    assert len(everything) > 30
    healed = heal(fork, everything, before=shop, injections=())
    assert not (healed.back or healed.restarted or healed.replaced or healed.refused)
    assert fork.digest() == shop.digest()


def test_a_pod_is_replaced_by_its_owner(shop: World) -> None:
    fork = shop.fork()
    pod = pod_of(fork, "cartservice")
    healed = heal(fork, [pod], before=shop, injections=())
    fork.run_for(MINUTE)
    assert healed.replaced == (pod.replace("/Pod/", "/"),)
    assert pod_of(fork, "cartservice") != pod


def test_pods_that_use_a_config_map_start_anew_with_it(shop: World) -> None:
    fork = make_small(shop)
    before = fork.fork()
    client = Client(fork)
    client.patch("configmaps", NS, "settings", {"data": {"level": "wrong"}})
    fork.run_for(MINUTE)
    old = pod_of(fork, "reader")
    healed = heal(fork, [f"{NS}/ConfigMap/settings"], before=before, injections=())
    fork.run_for(2 * MINUTE)
    assert healed.restarted == (f"{NS}/Deployment/reader",)
    assert client.get("configmaps", NS, "settings")["data"] == {"level": "info"}
    assert pod_of(fork, "reader") != old


def make_small(shop: World) -> World:
    """The shop, and a program that reads a ConfigMap."""
    world = shop.fork()
    client = Client(world)
    client.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "settings", "namespace": NS},
            "data": {"level": "info"},
        }
    )
    container = {
        "name": "main",
        "image": "registry.k8s.io/pause:3.9",
        "env": [{"name": "LEVEL", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "level"}}}],
    }
    client.create(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "reader", "namespace": NS},
            "spec": {
                "selector": {"matchLabels": {"app": "reader"}},
                "template": {"metadata": {"labels": {"app": "reader"}}, "spec": {"containers": [container]}},
            },
        }
    )
    world.run_for(MINUTE)
    return world


def test_a_set_with_a_broken_pod_comes_back(shop: World) -> None:
    before = make_small(shop)
    client = Client(before)
    labels = {"app": "keeper"}
    client.create(
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "keeper", "namespace": NS},
            "spec": {
                "serviceName": "keeper",
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "main", "image": "registry.k8s.io/pause:3.9"}]},
                },
            },
        }
    )
    before.run_for(MINUTE)
    world = before.fork()
    wrong = faults.inject(world, faults.find("incorrect-image-reference"), on("keeper", kind="StatefulSet"))
    world.run_for(2 * MINUTE)
    heal(world, [f"{NS}/StatefulSet/keeper"], before=before, injections=[wrong])
    world.run_for(2 * MINUTE)
    assert world.cluster.store.get("statefulsets.apps", NS, "keeper")["status"]["readyReplicas"] == 1  # type: ignore[index]
