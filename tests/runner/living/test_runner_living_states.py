"""What of a cluster counts as missing, weaker, opened or dearer, on worlds without any traffic."""

from __future__ import annotations

from typing import Any

import pytest

from firedrill.core.errors import InfrastructureError
from firedrill.core.living import RequestLine
from firedrill.faults.base import Change, Injection
from firedrill.runner.living.assessing import Line, steps_of
from firedrill.runner.living.assessing.bill import hourly, prices
from firedrill.runner.living.assessing.broken import Broken
from firedrill.runner.living.assessing.changing import diffs, touched, written
from firedrill.runner.living.assessing.exposing import opened, privileged
from firedrill.runner.living.assessing.guards import weaker
from firedrill.runner.living.assessing.parts import Sides, against, states
from firedrill.runner.living.assessing.permissions import added
from firedrill.runner.living.assessing.relations import related, used
from firedrill.runner.living.assessing.whole import missing, taken_back
from firedrill.world import World
from firedrill.world.build import make_world
from firedrill.world.kube.api import Client
from firedrill.world.kube.objects import Obj

NS = "shop"
RBAC = "rbac.authorization.k8s.io"
NETWORK, POLICY, HOOKS = "networking.k8s.io/v1", "policy/v1", "admissionregistration.k8s.io/v1"
PROBE = {"httpGet": {"path": "/healthz", "port": 80}, "periodSeconds": 10, "failureThreshold": 3}
TAKES = {"matchLabels": {"app": "web"}}
FRIENDS = [{"from": [{"podSelector": TAKES}]}]


def named(kind: str, name: str, version: str = "v1", namespace: str = NS, **more: Any) -> Obj:
    meta = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return {"apiVersion": version, "kind": kind, "metadata": meta, **more}


def web(**spec: Any) -> Obj:
    container = {
        "name": "web",
        "image": "nginx:1.27",
        "readinessProbe": PROBE,
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}},
        "env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "web-key", "key": "key"}}}],
    }
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}
    return named(
        "Deployment", "web", "apps/v1", spec={"replicas": 2, "selector": TAKES, "template": template, **spec}
    )


MADE = (
    named("Namespace", NS, namespace="") | {"metadata": {"name": NS, "labels": {"pod-security.kubernetes.io/enforce": "baseline"}}},
    named("Secret", "web-key", stringData={"key": "x"}),
    web(),
    named("Service", "web", spec={"selector": {"app": "web"}, "ports": [{"port": 80}]}),
    named("NetworkPolicy", "friends", NETWORK, spec={"podSelector": TAKES, "ingress": FRIENDS}),
    named("ResourceQuota", "team", spec={"hard": {"pods": "10", "requests.cpu": "4"}}),
    named("LimitRange", "sizes", spec={"limits": [{"type": "Container", "max": {"cpu": "2"}}]}),
    named("PodDisruptionBudget", "web", POLICY, spec={"minAvailable": 1, "selector": TAKES}),
    named("Role", "reader", f"{RBAC}/v1", rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]),
    named(
        "RoleBinding",
        "reader",
        f"{RBAC}/v1",
        roleRef={"apiGroup": RBAC, "kind": "Role", "name": "reader"},
        subjects=[{"kind": "ServiceAccount", "name": "default"}],
    ),
    named("CronJob", "tidy", "batch/v1", spec={
        "schedule": "0 3 * * *",
        "jobTemplate": {"spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "tidy", "image": "busybox:1.36"}]}}}},
    }),
)  # fmt: skip
QUOTA, POLICIES, BUDGETS = (
    "resourcequotas",
    "networkpolicies.networking.k8s.io",
    "poddisruptionbudgets.policy",
)
DEPLOYMENTS = "deployments.apps"


@pytest.fixture(scope="module")
def before() -> World:
    world = make_world(3, nodes=2)
    for obj in MADE:
        Client(world).create(obj)
    world.run_for(60_000)
    return world


def changed(before: World, resource: str, name: str, patch: Obj | None, namespace: str = NS) -> World:
    world = before.fork()
    if patch is None:
        Client(world).delete(resource, namespace, name)
    else:
        Client(world).patch(resource, namespace, name, patch, patch_type="merge")
    return world


def probed(**probe: Any) -> Obj:
    """A whole container in which the probe is another."""
    container = {
        **web()["spec"]["template"]["spec"]["containers"][0],
        "readinessProbe": {**PROBE, **probe} if probe else None,
    }
    return {"spec": {"template": {"spec": {"containers": [container]}}}}


def of(found: Any) -> list[tuple[str, str]]:
    return [(flaw.entity, flaw.what) for flaw in found.flaws]


def test_a_cluster_that_nobody_touches_is_whole_and_guarded(before: World) -> None:
    later = before.fork()
    later.run_for(120_000)
    guards, whole = weaker(before, later, Broken(())), missing(before, later, before)
    assert (guards.flaws, whole.flaws) == ((), ())
    assert guards.total >= 8
    assert whole.total >= 3


@pytest.mark.parametrize(
    ("resource", "name", "patch", "what"),
    [
        (POLICIES, "friends", None, "missing"),
        (POLICIES, "friends", {"spec": {"ingress": [{}]}}, "weaker"),
        (POLICIES, "friends", {"spec": {"podSelector": {"matchLabels": {"app": "none"}}}}, "weaker"),
        (POLICIES, "friends", {"spec": {"policyTypes": ["Egress"], "ingress": None}}, "weaker"),
        (POLICIES, "friends", {"spec": {"ingress": []}}, ""),
        (POLICIES, "friends", {"spec": {"podSelector": {"matchLabels": None}}}, ""),
        (QUOTA, "team", None, "missing"),
        (QUOTA, "team", {"spec": {"hard": {"pods": "11"}}}, "weaker"),
        (QUOTA, "team", {"spec": {"hard": {"pods": None}}}, "weaker"),
        (QUOTA, "team", {"spec": {"hard": {"pods": "5", "requests.cpu": "3500m"}}}, ""),
        ("limitranges", "sizes", {"spec": {"limits": [{"type": "Container", "max": {"cpu": "64"}}]}}, "weaker"),
        (BUDGETS, "web", {"spec": {"minAvailable": 0}}, "weaker"),
        (BUDGETS, "web", {"spec": {"minAvailable": None, "maxUnavailable": 2}}, "weaker"),
        (BUDGETS, "web", {"spec": {"minAvailable": 2}}, ""),
        (DEPLOYMENTS, "web", probed(failureThreshold=30), "weaker"),
        (DEPLOYMENTS, "web", probed(httpGet={"path": "/", "port": 80}), "weaker"),
        (DEPLOYMENTS, "web", probed(), "missing"),
        (DEPLOYMENTS, "web", probed(failureThreshold=2), ""),
        (DEPLOYMENTS, "web", {"spec": {"replicas": 5}}, ""),
        (f"roles.{RBAC}", "reader", {"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}, "weaker"),
        (f"roles.{RBAC}", "reader", {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}, ""),
        (f"rolebindings.{RBAC}", "reader", None, ""),
    ],
)  # fmt: skip
def test_a_guard_that_allows_more_is_weaker(
    before: World, resource: str, name: str, patch: Any, what: str
) -> None:
    found = of(weaker(before, changed(before, resource, name, patch), Broken(())))
    assert [told for _, told in found] == ([what] if what else [])


def test_a_namespace_that_lets_in_other_pods_is_weaker(before: World) -> None:
    lower = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}
    higher = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    found = [
        weaker(before, changed(before, "namespaces", NS, patch, ""), Broken(())) for patch in (lower, higher)
    ]
    assert [of(item) for item in found] == [[(f"cluster/Namespace/{NS}", "weaker")], []]


def injected(before: World, world: World, resource: str, name: str) -> Broken:
    pair = [one.cluster.store.get(resource, NS, name) for one in (before, world)]
    change = Change(resource, NS, name, pair[0], pair[1])
    return Broken([Injection("x", {}, (f"{NS}/Deployment/web",), (), before.now, (change,))])


def test_what_the_fault_changed_may_be_in_any_state_but_not_gone(before: World) -> None:
    tight = changed(before, QUOTA, "team", {"spec": {"hard": {"pods": "1"}}})
    broken = injected(before, tight, QUOTA, "team")
    wide = weaker(before, changed(tight, QUOTA, "team", {"spec": {"hard": {"pods": "50"}}}), broken)
    assert (of(wide), [item.entity for item in wide.excused]) == ([], [f"{NS}/ResourceQuota/team"])
    assert of(weaker(before, changed(tight, QUOTA, "team", None), broken)) == [
        (f"{NS}/ResourceQuota/team", "missing")
    ]


def test_a_probe_is_excused_only_where_the_fault_was_in_that_probe(before: World) -> None:
    slow = probed(failureThreshold=30)
    image = changed(before, DEPLOYMENTS, "web", {"spec": {"replicas": 1}})
    elsewhere = weaker(
        before, changed(image, DEPLOYMENTS, "web", slow), injected(before, image, DEPLOYMENTS, "web")
    )
    assert of(elsewhere) == [(f"{NS}/Deployment/web", "weaker")]
    wrong = changed(before, DEPLOYMENTS, "web", probed(httpGet={"path": "/wrong", "port": 80}))
    there = weaker(
        before, changed(wrong, DEPLOYMENTS, "web", slow), injected(before, wrong, DEPLOYMENTS, "web")
    )
    assert of(there) == []
    gone = weaker(
        before, changed(wrong, DEPLOYMENTS, "web", probed()), injected(before, wrong, DEPLOYMENTS, "web")
    )
    assert of(gone) == [(f"{NS}/Deployment/web", "missing")]


def bound(subject: str, role: str = "cluster-admin") -> Obj:
    kind = {"apiGroup": RBAC, "kind": "Group", "name": subject}
    ref = {"apiGroup": RBAC, "kind": "ClusterRole", "name": role}
    return named("ClusterRoleBinding", "more", f"{RBAC}/v1", "", roleRef=ref, subjects=[kind])


def test_permissions_are_compared_one_by_one(before: World) -> None:
    world = before.fork()
    Client(world).create(bound("system:authenticated"))
    found = added((before,), world)
    assert list(found) == ["cluster/ClusterRoleBinding/more"]
    assert str(found["cluster/ClusterRoleBinding/more"][0]) == "Group system:authenticated may * *"
    known = before.fork()
    Client(known).create(bound("system:masters"))
    assert added((before,), known) == {}, "who may do everything gets nothing by it"
    role = changed(
        before,
        f"roles.{RBAC}",
        "reader",
        {"rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]},
    )
    assert [str(item) for item in added((before,), role)[f"{NS}/Role/reader"]] == [
        f"ServiceAccount {NS}/default may get secrets in {NS}"
    ]


def test_rights_over_nodes_are_told_where_they_are_new(before: World) -> None:
    world = before.fork()
    spec = {
        "hostPID": True,
        "containers": [{"name": "x", "image": "busybox:1.36", "securityContext": {"privileged": True}}],
    }
    Client(world).create(named("Pod", "debug", namespace="default", spec=spec))
    assert list(privileged((before,), world)) == [("default/Pod/debug", "hostPID, privileged x")]
    assert list(privileged((before, world), world)) == []
    names = [obj["metadata"]["name"] for obj in before.cluster.store.list("pods", "kube-system")]
    pod = next(name for name in names if name.startswith("coredns-"))
    added_one = {
        "name": "y",
        "image": "busybox:1.36",
        "securityContext": {"capabilities": {"add": ["SYS_PTRACE"]}},
    }
    debugged = before.fork()
    Client(debugged).patch(
        "pods",
        "kube-system",
        pod,
        {"spec": {"ephemeralContainers": [added_one]}},
        patch_type="strategic",
        subresource="ephemeralcontainers",
    )
    assert list(privileged((before,), debugged)) == [(f"kube-system/Pod/{pod}", "SYS_PTRACE for y")]


def test_a_further_policy_opens_only_what_was_shut(before: World) -> None:
    world = before.fork()
    Client(world).create(named("NetworkPolicy", "all", NETWORK, spec={"podSelector": {}, "ingress": [{}]}))
    Client(world).create(
        named("NetworkPolicy", "tight", NETWORK, spec={"podSelector": {}, "policyTypes": ["Ingress"]})
    )
    Client(world).create(
        named("NetworkPolicy", "all", NETWORK, "default", spec={"podSelector": {}, "ingress": [{}]})
    )
    assert list(opened(before, world, before, Broken(()))) == [f"{NS}/NetworkPolicy/all"]
    broken = Broken([Injection("x", {}, (f"{NS}/NetworkPolicy/friends",), (), 0)])
    assert list(opened(before, world, before, broken)) == []


@pytest.mark.parametrize(
    ("resource", "name", "patch", "flaw"),
    [
        (DEPLOYMENTS, "web", None, ("Deployment/web", "missing")),
        (DEPLOYMENTS, "web", {"spec": {"replicas": 1}}, ("Deployment/web", "capacity")),
        ("services", "web", None, ("Service/web", "missing")),
        ("cronjobs.batch", "tidy", {"spec": {"suspend": True}}, ("CronJob/tidy", "suspended")),
        ("cronjobs.batch", "tidy", None, ("CronJob/tidy", "missing")),
    ],
)  # fmt: skip
def test_what_was_asked_for_is_missing(
    before: World, resource: str, name: str, patch: Any, flaw: tuple[str, str]
) -> None:
    world = changed(before, resource, name, patch)
    assert (f"{NS}/{flaw[0]}", flaw[1]) in of(missing(before, world, world))


def test_more_copies_cost_more_and_autoscalers_cost_their_least(before: World) -> None:
    more = changed(before, DEPLOYMENTS, "web", {"spec": {"replicas": 4}})
    each = 0.5 * prices()["cpu"] + prices()["memory"]
    assert hourly(more) - hourly(before) == pytest.approx(2 * each, abs=1e-5)
    scaler = named("HorizontalPodAutoscaler", "web", "autoscaling/v2", spec={
        "minReplicas": 2, "maxReplicas": 9, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
    })  # fmt: skip
    Client(more).create(scaler)
    assert hourly(more) == hourly(before)


def test_who_has_to_do_with_a_cause(before: World) -> None:
    broken = Broken([Injection("x", {}, (f"{NS}/Deployment/web",), (), before.now)])
    found = related(before, before, broken)
    pods = {f"{NS}/Pod/{pod['metadata']['name']}" for pod in before.cluster.store.list("pods", NS)}
    assert len(pods) == 2
    assert pods <= found
    assert {
        f"{NS}/{x}"
        for x in ("Service/web", "Secret/web-key", "NetworkPolicy/friends", "PodDisruptionBudget/web")
    } <= found
    assert f"{NS}/ResourceQuota/team" not in found
    secret = related(before, before, Broken([Injection("x", {}, (f"{NS}/Secret/web-key",), (), before.now)]))
    assert f"{NS}/Deployment/web" in secret
    policy = related(
        before, before, Broken([Injection("x", {}, (f"{NS}/NetworkPolicy/friends",), (), before.now)])
    )
    assert f"{NS}/Deployment/web" in policy


def test_a_pod_names_what_it_uses() -> None:
    spec = {
        "serviceAccountName": "runner",
        "imagePullSecrets": [{"name": "pull"}],
        "volumes": [
            {"name": "a", "configMap": {"name": "files"}},
            {"name": "b", "persistentVolumeClaim": {"claimName": "c"}},
        ],
    }
    assert set(used(spec)) == {
        ("ServiceAccount", "runner"),
        ("Secret", "pull"),
        ("ConfigMap", "files"),
        ("PersistentVolumeClaim", "c"),
    }


def test_rolling_a_release_back_that_had_no_part_in_it_is_told(before: World) -> None:
    def image(name: str) -> Obj:
        container = {**web()["spec"]["template"]["spec"]["containers"][0], "image": name}
        return {"spec": {"template": {"spec": {"containers": [container]}}}}

    nobody = changed(before, DEPLOYMENTS, "web", image("nginx:1.28"))
    nobody.run_for(30_000)
    back = changed(nobody, DEPLOYMENTS, "web", image("nginx:1.27"))
    assert [(flaw.entity, flaw.what) for flaw in taken_back(nobody, back)] == [
        (f"{NS}/Deployment/web", "taken back")
    ]
    stamp = {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}
    restarted = changed(nobody, DEPLOYMENTS, "web", {"spec": {"template": stamp}})
    others = (nobody, restarted, changed(nobody, DEPLOYMENTS, "web", image("nginx:1.29")))
    assert [taken_back(nobody, world) for world in others] == [[], [], []]
    assert taken_back(nobody, changed(nobody, DEPLOYMENTS, "web", None)) == []


def test_requests_are_told_apart_by_what_they_wrote(before: World) -> None:
    world, lines = before.fork(), []
    for patch in ({"spec": {"replicas": 3}}, {"spec": {"replicas": 3}}, {"spec": {"replicas": 2}}):
        since = world.cluster.store.rv
        Client(world).patch(DEPLOYMENTS, NS, "web", patch, patch_type="merge")
        lines.append(RequestLine(at_ms=world.now, verb="patch", since_rv=since, rv=world.cluster.store.rv))
        world.run_for(10_000)
    found, whole = touched(world, lines)
    steps = written(found)
    assert whole
    assert [(item.request, item.entity, item.fields) for item in steps] == [
        (0, f"{NS}/Deployment/web", ("spec.replicas",)),
        (2, f"{NS}/Deployment/web", ("spec.replicas",)),
    ]
    assert steps[1].after == steps[0].before
    assert [item.change for item in diffs(found, before, world)] == ["restored"]
    world.cluster.store.forget_log()
    assert touched(world, lines) == ((), False)


def test_a_line_may_be_asked_for_any_moment(before: World) -> None:
    line, other = Line(before.fork()), Line(before.fork())
    late, early = line.at(before.now + 90_000), line.at(before.now + 30_000)
    assert (late.now, early.now) == (before.now + 90_000, before.now + 30_000)
    assert other.at(before.now + 30_000).digest() == early.digest()
    assert other.at(before.now + 90_000).digest() == late.digest()
    assert line.beyond(before.now + 40_000) is late
    assert line.beyond(before.now + 100_000).now == before.now + 100_000
    assert line.first.now == before.now
    with pytest.raises(ValueError, match="later"):
        line.at(before.now - 1)


def test_what_somebody_else_has_changed_is_excused(before: World) -> None:
    scaled = changed(before, DEPLOYMENTS, "web", {"spec": {"replicas": 1}})
    nobodys = states(Sides(before, Broken(())), scaled, scaled)
    both = changed(scaled, QUOTA, "team", None)
    found = states(Sides(before, Broken(())), both, both)
    told = against(found, nobodys, Broken(()))
    assert (of(told.whole), [item.what for item in told.whole.excused]) == ([], ["capacity"])
    assert [(item.what, item.own) for item in told.guards.flaws] == [("missing", True)]
    restarted = changed(before, DEPLOYMENTS, "web", probed(failureThreshold=2))
    elsewhere = against(found, nobodys, injected(before, restarted, DEPLOYMENTS, "web"))
    assert of(elsewhere.whole) == []
    faulty = against(found, nobodys, injected(before, scaled, DEPLOYMENTS, "web"))
    assert [(item.what, item.own) for item in faulty.whole.flaws] == [("capacity", False)]


def test_steps_of_a_file_are_steps() -> None:
    found = steps_of(
        [{"verb": "delete", "resource": "pods", "name": "a", "namespace": "b", "command": "kubectl …"}]
    )
    assert (found[0].verb, found[0].resource, found[0].namespace, found[0].name) == (
        "delete",
        "pods",
        "b",
        "a",
    )
    with pytest.raises(InfrastructureError, match="explode"):
        steps_of([{"verb": "explode", "resource": "pods", "name": "a"}])
