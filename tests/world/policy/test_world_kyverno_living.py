"""Kyverno in a running world: admission, reports, status, and nothing where it is not installed."""

from __future__ import annotations

from typing import Any

import pytest

from firedrill.world.build import make_world
from firedrill.world.kube.api import ApiError, Client
from firedrill.world.kube.cluster import Settings
from firedrill.world.kube.objects import with_path
from firedrill.world.policy.kyverno.living import install, installed
from firedrill.world.world import World

POLICIES = "clusterpolicies.kyverno.io"
REPORTS = "policyreports.wgpolicyk8s.io"
HOOKS = "validatingwebhookconfigurations.admissionregistration.k8s.io"


def policy(name: str = "no-host", action: str = "Audit", **spec: Any) -> dict[str, Any]:
    rule = {
        "name": "host",
        "match": {"any": [{"resources": {"kinds": ["Pod"]}}]},
        "validate": {"message": "No host network", "pattern": {"spec": {"=(hostNetwork)": False}}},
    }
    return {
        "apiVersion": "kyverno.io/v1",
        "kind": "ClusterPolicy",
        "metadata": {"name": name, "annotations": {"policies.kyverno.io/severity": "high"}},
        "spec": {"validationFailureAction": action, "rules": [rule], **spec},
    }


def deployment(*, host: bool, name: str = "web", namespace: str = "default") -> dict[str, Any]:
    pod = {"hostNetwork": host, "containers": [{"name": "web", "image": "nginx:1.25"}]}
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


@pytest.fixture(scope="module")
def ready() -> World:
    world = make_world(3, nodes=2, age_days=1, settings=Settings(freeze=True))
    install(world)
    world.run_for(60_000)
    return world


@pytest.fixture
def world(ready: World) -> World:
    return ready.fork()


def rows(world: World) -> dict[tuple[str, str], tuple[str, str]]:
    found = {}
    for report in world.cluster.store.list(REPORTS):
        for item in report["results"]:
            found[report["scope"]["kind"], item.get("rule", "")] = (item["result"], item["message"])
    return found


def test_a_policy_becomes_ready_and_its_violations_are_reported(world: World) -> None:
    client = Client(world)
    client.create(policy())
    client.create(deployment(host=True))
    world.run_for(15_000)
    status = client.get(POLICIES, "", "no-host")["status"]
    assert status["conditions"][0]["type"] == "Ready"
    assert [rule["name"] for rule in status["autogen"]["rules"]] == ["autogen-host", "autogen-cronjob-host"]
    assert rows(world)["Deployment", "autogen-host"] == (
        "fail",
        "validation error: No host network. "
        "rule autogen-host failed at path /spec/template/spec/hostNetwork/",
    )
    assert rows(world)["Pod", "host"][0] == "fail"
    report = next(item for item in client.list(REPORTS) if item["scope"]["kind"] == "Deployment")
    owner = client.get("deployments.apps", "default", "web")["metadata"]["uid"]
    assert report["metadata"]["name"] == owner == report["metadata"]["ownerReferences"][0]["uid"]
    assert report["summary"] == {"error": 0, "fail": 1, "pass": 0, "skip": 0, "warn": 0}
    assert report["results"][0]["severity"] == "high"
    told = {item["message"] for item in client.list("events") if item["reason"] == "PolicyViolation"}
    assert any(text.startswith("Deployment default/web: [autogen-host] fail; ") for text in told)


def test_reports_follow_the_object_and_the_policy(world: World) -> None:
    client = Client(world)
    client.create(policy())
    client.create(deployment(host=True))
    world.run_for(15_000)
    mended = with_path(client.get("deployments.apps", "default", "web"), ("spec", "template"), None)
    mended = with_path(mended, ("spec", "template"), deployment(host=False)["spec"]["template"])
    client.update(mended)
    world.run_for(60_000)
    assert {result for result, _ in rows(world).values()} == {"pass"}
    client.delete("deployments.apps", "default", "web")
    world.run_for(60_000)
    assert not rows(world)
    client.create(deployment(host=True))
    world.run_for(15_000)
    client.delete(POLICIES, "", "no-host")
    world.run_for(15_000)
    assert not rows(world)
    assert client.find(HOOKS, "", "kyverno-resource-validating-webhook-cfg") is None


def test_enforced_policies_deny_in_the_words_of_the_webhook(world: World) -> None:
    client = Client(world)
    client.create(policy(action="Enforce"))
    world.run_for(5_000)
    with pytest.raises(ApiError) as refusal:
        client.create(deployment(host=True))
    assert refusal.value.code == 400
    assert refusal.value.message == (
        'admission webhook "validate.kyverno.svc-fail" denied the request: \n\n'
        "resource Deployment/default/web was blocked due to the following policies \n\n"
        "no-host:\n"
        "  autogen-host: 'validation error: No host network. rule autogen-host failed at path\n"
        "    /spec/template/spec/hostNetwork/'\n"
    )
    client.create(deployment(host=False))
    client.create(deployment(host=True, name="system", namespace="kube-system"))


def test_audit_warns_where_asked_and_never_blocks(world: World) -> None:
    client = Client(world)
    client.create(policy(emitWarning=True, failurePolicy="Ignore"))
    world.run_for(5_000)
    client.create(deployment(host=True))
    hooks = client.get(HOOKS, "", "kyverno-resource-validating-webhook-cfg")["webhooks"]
    assert [(item["name"], item["failurePolicy"]) for item in hooks] == [
        ("validate.kyverno.svc-ignore", "Ignore")
    ]


def test_success_is_told_where_the_settings_ask_for_it(world: World) -> None:
    client = Client(world)
    client.patch("configmaps", "kyverno", "kyverno", {"data": {"generateSuccessEvents": "true"}})
    client.create(policy())
    world.run_for(5_000)
    client.create(deployment(host=False))
    told = [item["message"] for item in client.list("events") if item["reason"] == "PolicyApplied"]
    assert "Deployment default/web: pass" in told


def test_policies_that_are_wrong_are_refused(world: World) -> None:
    client = Client(world)
    wrong = policy()
    wrong["spec"]["rules"] *= 2
    with pytest.raises(ApiError, match=r'webhook "validate-policy\.kyverno\.svc" denied the request'):
        client.create(wrong)
    wrong = policy()
    wrong["spec"]["rules"][0]["match"]["any"][0]["resources"]["kinds"] = ["Podd"]
    with pytest.raises(ApiError, match="unable to convert GVK to GVR for kinds Podd"):
        client.create(wrong)
    with pytest.raises(ApiError, match="Unsupported value"):
        client.create(policy(action="Block"))


def test_without_its_pods_policies_cannot_be_written_and_enforced_kinds_not_at_all(world: World) -> None:
    client = Client(world)
    client.create(policy(action="Enforce"))
    world.run_for(5_000)
    client.patch("deployments.apps", "kyverno", "kyverno-admission-controller", {"spec": {"replicas": 0}})
    world.run_for(60_000)
    for obj in (policy("other"), deployment(host=False)):
        with pytest.raises(ApiError, match="failed calling webhook"):
            client.create(obj)


def test_a_validating_policy_and_an_exception(world: World) -> None:
    client = Client(world)
    client.create(
        {
            "apiVersion": "policies.kyverno.io/v1",
            "kind": "ValidatingPolicy",
            "metadata": {"name": "named"},
            "spec": {
                "validationActions": ["Deny"],
                "matchConstraints": {
                    "resourceRules": [
                        {
                            "apiGroups": [""],
                            "apiVersions": ["v1"],
                            "operations": ["CREATE", "UPDATE"],
                            "resources": ["configmaps"],
                        }
                    ]
                },
                "validations": [
                    {"expression": "object.metadata.name.startsWith('a')", "message": "starts with a"}
                ],
            },
        }
    )
    world.run_for(5_000)
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b", "namespace": "default"}}
    with pytest.raises(
        ApiError, match=r'"vpol\.validate\.kyverno\.svc-fail" .* Policy named failed: starts with a'
    ):
        client.create(settings)
    client.create(policy(action="Enforce"))
    client.create(
        {
            "apiVersion": "kyverno.io/v2",
            "kind": "PolicyException",
            "metadata": {"name": "let", "namespace": "default"},
            "spec": {
                "match": {"any": [{"resources": {"kinds": ["Deployment"], "names": ["web"]}}]},
                "exceptions": [{"policyName": "no-host", "ruleNames": ["autogen-host", "host"]}],
            },
        }
    )
    world.run_for(5_000)
    client.create(deployment(host=True))
    with pytest.raises(ApiError):
        client.create(deployment(host=True, name="other"))


def test_a_world_without_it_stays_as_it_is(ready: World) -> None:
    plain = make_world(3, nodes=2, age_days=1)
    assert installed(ready)
    assert not installed(plain)
    twin = plain.fork()
    Client(plain).create(deployment(host=True))
    plain.run_for(4_000_000)
    assert not any("kyverno" in str(name) for name, _ in plain.cluster.parts())
    assert not [key for key in plain.cluster.work.pending if "kyverno" in key[0]]
    assert twin.digest() == make_world(3, nodes=2, age_days=1).digest()
