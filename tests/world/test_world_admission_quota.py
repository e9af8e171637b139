"""Quotas and limit ranges: the words of the server, and never more than the quota."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firedrill.world import Settings, World
from firedrill.world.kube.admission.quota import total_of, usage_of
from firedrill.world.kube.admission.quota_usage import matches_scopes, resources_of
from firedrill.world.kube.api import server
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.api.request import Options, Request
from firedrill.world.kube.objects import Obj
from firedrill.world.kube.quantity import milli


def make(world: World, plural: str, body: Obj, *, group: str = "", dry_run: bool = False) -> Obj:
    version = f"{group}/v1" if group else "v1"
    namespace = "" if plural == "namespaces" else "default"
    whole = {"apiVersion": version, **body}
    request = Request("create", group, "v1", plural, namespace, body=whole, options=Options(dry_run=dry_run))
    return server.handle(world, request).obj


def world_with(*quotas: Obj, limits: Any = None) -> World:
    world = World(1, settings=Settings(freeze=True))
    make(world, "namespaces", {"kind": "Namespace", "metadata": {"name": "default"}})
    make(world, "serviceaccounts", {"kind": "ServiceAccount", "metadata": {"name": "default"}})
    for number, spec in enumerate(quotas):
        make(
            world,
            "resourcequotas",
            {"kind": "ResourceQuota", "metadata": {"name": f"q{number}"}, "spec": spec},
        )
    if limits:
        make(
            world,
            "limitranges",
            {"kind": "LimitRange", "metadata": {"name": "l"}, "spec": {"limits": limits}},
        )
    return world


def pod(name: str, requests: Any = None, limits: Any = None, **spec: Any) -> Obj:
    resources = {key: value for key, value in (("requests", requests), ("limits", limits)) if value}
    containers = [{"name": "c", "image": "x", "resources": resources}]
    return {"kind": "Pod", "metadata": {"name": name}, "spec": {"containers": containers, **spec}}


def used(world: World, name: str = "q0") -> dict[str, str]:
    quota = world.cluster.store.get("resourcequotas", "default", name)
    assert quota is not None
    found: dict[str, str] = quota["status"]["used"]
    return found


def refusal(world: World, plural: str, body: Obj, **more: Any) -> str:
    with pytest.raises(ApiError) as caught:
        make(world, plural, body, **more)
    assert caught.value.code == 403
    return caught.value.message


def test_what_is_let_through_is_charged_and_what_is_too_much_refused() -> None:
    world = world_with({"hard": {"pods": "2", "requests.memory": "3Gi"}})
    make(world, "pods", pod("a", {"memory": "3000Mi"}))
    assert used(world) == {"pods": "1", "requests.memory": "3000Mi"}
    assert refusal(world, "pods", pod("b", {"memory": "300Mi"})) == (
        'pods "b" is forbidden: exceeded quota: q0, requested: requests.memory=300Mi, '
        "used: requests.memory=3000Mi, limited: requests.memory=3Gi"
    )
    assert used(world) == {"pods": "1", "requests.memory": "3000Mi"}


def test_several_resources_are_listed_in_order() -> None:
    world = world_with({"hard": {"pods": "0", "requests.cpu": "100m"}})
    assert refusal(world, "pods", pod("a", {"cpu": "1"})) == (
        'pods "a" is forbidden: exceeded quota: q0, requested: pods=1,requests.cpu=1, '
        "used: pods=0,requests.cpu=0, limited: pods=0,requests.cpu=100m"
    )


def test_containers_must_say_what_a_quota_limits() -> None:
    world = world_with({"hard": {"limits.cpu": "1", "limits.memory": "1Gi"}})
    assert refusal(world, "pods", pod("a")) == (
        'pods "a" is forbidden: failed quota: q0: must specify limits.cpu for: c; limits.memory for: c'
    )


def test_a_dry_run_is_judged_and_not_charged() -> None:
    world = world_with({"hard": {"pods": "1"}})
    make(world, "pods", pod("a"), dry_run=True)
    make(world, "pods", pod("a"))
    refusal(world, "pods", pod("b"), dry_run=True)


def test_one_quota_that_refuses_keeps_the_others_uncharged() -> None:
    world = world_with({"hard": {"pods": "5"}}, {"hard": {"pods": "1"}})
    make(world, "pods", pod("a"))
    refusal(world, "pods", pod("b"))
    assert used(world, "q0") == {"pods": "1"} == used(world, "q1")


def test_objects_of_other_kinds_are_counted() -> None:
    world = world_with(
        {"hard": {"count/deployments.apps": "0", "services.nodeports": "1", "configmaps": "1"}}
    )
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    body = {"kind": "Deployment", "metadata": {"name": "d"}, "spec": spec}
    assert "count/deployments.apps=1" in refusal(world, "deployments", body, group="apps")
    ports = [{"name": "a", "port": 80}, {"name": "b", "port": 81}]
    service = {"kind": "Service", "metadata": {"name": "s"}, "spec": {"type": "NodePort", "ports": ports}}
    assert "requested: services.nodeports=2" in refusal(world, "services", service)
    make(world, "configmaps", {"kind": "ConfigMap", "metadata": {"name": "x"}})
    assert "configmaps=1" in refusal(world, "configmaps", {"kind": "ConfigMap", "metadata": {"name": "y"}})


def test_claims_count_for_their_class() -> None:
    claim = {"spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "2Gi"}}}}
    assert usage_of("persistentvolumeclaims", claim) == {
        "count/persistentvolumeclaims": 1000,
        "persistentvolumeclaims": 1000,
        "requests.storage": 2 * 1024**3 * 1000,
        "fast.storageclass.storage.k8s.io/persistentvolumeclaims": 1000,
        "fast.storageclass.storage.k8s.io/requests.storage": 2 * 1024**3 * 1000,
    }


def test_a_pod_counts_until_it_ends() -> None:
    running = pod("a", {"cpu": "1"})
    assert usage_of("pods", running)["requests.cpu"] == 1000
    assert usage_of("pods", {**running, "status": {"phase": "Succeeded"}}) == {"count/pods": 1000}


def test_a_pod_needs_the_larger_of_its_init_and_its_ordinary_containers() -> None:
    def container(cpu: str, **more: Any) -> Obj:
        return {"name": cpu, "resources": {"requests": {"cpu": cpu}}, **more}

    spec = {
        "containers": [container("1"), container("2")],
        "initContainers": [container("500m", restartPolicy="Always"), container("4")],
        "overhead": {"cpu": "100m"},
    }
    assert usage_of("pods", {"spec": spec})["requests.cpu"] == 4600


@pytest.mark.parametrize(
    ("spec", "body", "taken"),
    [
        ({"scopes": ["BestEffort"]}, pod("a"), True),
        ({"scopes": ["BestEffort"]}, pod("a", {"cpu": "1"}), False),
        ({"scopes": ["NotBestEffort"]}, pod("a", {"cpu": "1"}), True),
        ({"scopes": ["Terminating"]}, pod("a", activeDeadlineSeconds=5), True),
        ({"scopes": ["NotTerminating"]}, pod("a", activeDeadlineSeconds=5), False),
        ({"scopes": ["PriorityClass"]}, pod("a", priorityClassName="x"), True),
    ],
)
def test_scopes(spec: Obj, body: Obj, taken: bool) -> None:
    assert matches_scopes({"spec": spec}, "pods", body) is taken


@pytest.mark.parametrize(
    ("operator", "taken"), [("In", True), ("NotIn", False), ("Exists", True), ("DoesNotExist", False)]
)
def test_priority_scopes(operator: str, taken: bool) -> None:
    item = {"scopeName": "PriorityClass", "operator": operator, "values": ["x"]}
    quota = {"spec": {"scopeSelector": {"matchExpressions": [item]}}}
    assert matches_scopes(quota, "pods", pod("a", priorityClassName="x")) is taken


SIZES = st.sampled_from(["0", "50m", "100m", "1", "1500m"])
STEP = st.tuples(st.sampled_from(["create", "delete", "finish"]), st.integers(0, 5), SIZES, SIZES)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, max_size=25), st.sampled_from(["1", "2500m", "100m"]), st.integers(0, 4))
def test_a_quota_is_never_exceeded(steps: Any, cpu: str, pods: int) -> None:
    world = world_with({"hard": {"requests.cpu": cpu, "pods": str(pods)}})
    store = world.cluster.store
    for action, number, first, second in steps:
        name = f"p{number}"
        here = store.get("pods", "default", name)
        if action == "create" and here is None:
            body = pod(name, {"cpu": first})
            body["spec"]["initContainers"] = [
                {"name": "i", "image": "x", "resources": {"requests": {"cpu": second}}}
            ]
            try:
                make(world, "pods", body)
            except ApiError as problem:
                assert problem.message.startswith(f'pods "{name}" is forbidden: exceeded quota: q0')
        elif action == "delete" and here is not None:
            store.remove("pods", "default", name)
        elif action == "finish" and here is not None:
            store.put("pods", {**here, "status": {"phase": "Succeeded"}})
        quota = store.get("resourcequotas", "default", "q0")
        assert quota is not None
        hard = quota["spec"]["hard"]
        now = total_of(quota, ((r, o) for r in resources_of(hard) for o in store.list(r, "default")))
        assert all(now[key] <= milli(hard[key]) for key in hard)
        charged = quota.get("status", {}).get("used")
        if charged:
            assert all(now[key] <= milli(charged[key]) for key in hard)


LIMITS = [
    {
        "type": "Container",
        "min": {"cpu": "100m"},
        "max": {"cpu": "1"},
        "default": {"cpu": "400m"},
        "defaultRequest": {"cpu": "200m"},
        "maxLimitRequestRatio": {"cpu": "2"},
    }
]


def test_limit_ranges_fill_in_what_is_missing() -> None:
    found = make(world_with(limits=LIMITS), "pods", pod("a"))
    assert found["spec"]["containers"][0]["resources"] == {
        "limits": {"cpu": "400m"},
        "requests": {"cpu": "200m"},
    }
    assert found["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: cpu request for container c; cpu limit for container c"
    )


@pytest.mark.parametrize(
    ("requests", "limits", "detail"),
    [
        ({"cpu": "50m"}, {"cpu": "100m"}, "minimum cpu usage per Container is 100m, but request is 50m"),
        ({"cpu": "1"}, {"cpu": "2"}, "maximum cpu usage per Container is 1, but limit is 2"),
        (
            {"cpu": "100m"},
            {"cpu": "1"},
            "cpu max limit to request ratio per Container is 2, but provided ratio is 10.000000",
        ),
        (
            {"cpu": "50m"},
            {"cpu": "2"},
            "[minimum cpu usage per Container is 100m, but request is 50m, "
            "maximum cpu usage per Container is 1, but limit is 2, "
            "cpu max limit to request ratio per Container is 2, but provided ratio is 40.000000]",
        ),
    ],
)
def test_limit_ranges_refuse_what_is_out_of_bounds(requests: Any, limits: Any, detail: str) -> None:
    assert (
        refusal(world_with(limits=LIMITS), "pods", pod("a", requests, limits))
        == f'pods "a" is forbidden: {detail}'
    )


def test_limit_ranges_of_whole_pods_and_claims() -> None:
    world = world_with(
        limits=[
            {"type": "Pod", "max": {"memory": "1Gi"}},
            {"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}},
        ]
    )
    body = pod("a", {"memory": "2Gi"}, {"memory": "2Gi"})
    assert "maximum memory usage per Pod is 1Gi, but limit is 2Gi" in refusal(world, "pods", body)
    assert "maximum memory usage per Pod is 1Gi.  No limit is specified" in refusal(world, "pods", pod("a"))
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}}
    claim = {"kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": spec}
    assert refusal(world, "persistentvolumeclaims", claim).endswith(
        "maximum storage usage per PersistentVolumeClaim is 1Gi, but request is 2Gi"
    )
