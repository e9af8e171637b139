"""The engine's contract on small policies."""

from __future__ import annotations

from typing import Any

import pytest

from firedrill.core.errors import InputError
from firedrill.world.policy.kyverno import LookupFailed, Nothing, Subject, User, evaluate, load


def policy(validate: dict[str, Any], *, spec: dict[str, Any] | None = None, **rule: Any) -> dict[str, Any]:
    match = {"any": [{"resources": {"kinds": ["Pod"]}}]}
    body = {"name": "rule", "match": match, "validate": validate, **rule}
    return {
        "apiVersion": "kyverno.io/v1",
        "kind": "ClusterPolicy",
        "metadata": {"name": "policy"},
        "spec": {"rules": [body], **(spec or {})},
    }


def pod(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"}, "spec": spec}


def results(document: dict[str, Any], *objects: dict[str, Any]) -> list[str]:
    loaded = load(document)
    return [row.result for item in objects for row in evaluate([loaded], Subject(item))]


def test_a_pattern_names_the_field_that_is_wrong() -> None:
    document = policy({"message": "No host network", "pattern": {"spec": {"=(hostNetwork)": False}}})
    (row,) = evaluate([load(document)], Subject(pod(hostNetwork=True)))
    assert (row.result, row.path, row.action) == ("fail", "/spec/hostNetwork/", "Audit")
    assert row.message == "validation error: No host network. rule rule failed at path /spec/hostNetwork/"
    assert results(document, pod(), pod(hostNetwork=False)) == ["pass", "pass"]


@pytest.mark.parametrize(
    ("kind", "path", "name"),
    [
        ("Deployment", ("template",), "autogen-rule"),
        ("ReplicaSet", ("template",), "autogen-rule"),
        ("CronJob", ("jobTemplate", "spec", "template"), "autogen-cronjob-rule"),
    ],
)
def test_rules_about_pods_are_derived_for_what_makes_pods(
    kind: str, path: tuple[str, ...], name: str
) -> None:
    document = policy({"pattern": {"spec": {"=(hostPID)": "false"}}})
    inner: dict[str, Any] = {"spec": {"hostPID": True}}
    for step in reversed(path):
        inner = {step: inner}
    (row,) = evaluate([load(document)], Subject({"kind": kind, "metadata": {"name": "x"}, "spec": inner}))
    assert (row.rule, row.result) == (name, "fail")


def test_a_rule_that_chooses_by_name_is_not_derived() -> None:
    match = {"any": [{"resources": {"kinds": ["Pod"], "names": ["web*"]}}]}
    assert [rule.name for rule in load(policy({"pattern": {}}, match=match)).rules] == ["rule"]


def test_what_is_no_policy_is_refused_with_a_mend() -> None:
    with pytest.raises(InputError, match="no policy of Kyverno"):
        load({"apiVersion": "v1", "kind": "ConfigMap"})


def test_loops_judge_each_element_and_nested_ones_the_map_they_lie_in() -> None:
    inner = {"list": "element.drop", "pattern": {"name": "?*", "drop": ["ALL | NET_RAW"]}}
    document = policy({"foreach": [{"list": "request.object.spec.containers", "foreach": [inner]}]})
    fine = {"name": "a", "drop": ["ALL"]}
    assert results(document, pod(containers=[fine])) == ["pass"]
    assert results(document, pod(containers=[fine, {"name": "b", "drop": ["ALL", "X"]}])) == ["fail"]
    assert results(document, pod(containers=[])) == ["skip"]
    assert results(document, pod()) == ["skip"]


def test_an_error_in_one_element_does_not_hide_the_failure_of_another() -> None:
    condition = {"key": "{{ element.image }}", "operator": "Equals", "value": "*:latest"}
    loop = {"list": "request.object.spec.containers", "deny": {"conditions": {"all": [condition]}}}
    document = policy({"foreach": [loop]})
    assert results(document, pod(containers=[{"name": "a"}, {"image": "x:latest"}])) == ["fail"]
    assert results(document, pod(containers=[{"image": "x:1"}, {"name": "a"}])) == ["error"]


def test_context_of_rules_comes_from_the_cluster() -> None:
    class Around(Nothing):
        def get(self, api_version: str, kind: str, namespace: str, name: str) -> Any:
            return {"data": {"allowed": '["a", "b"]'}} if name == "names" else None

        def raw(self, path: str, method: str = "GET", data: Any = None) -> Any:
            if path != "/api/v1/namespaces/shop/pods":
                raise LookupFailed(path)
            return {"items": [{"metadata": {"name": "one"}}, {"metadata": {"name": "two"}}]}

    context = [
        {"name": "names", "configMap": {"name": "names", "namespace": "x"}},
        {
            "name": "count",
            "apiCall": {
                "urlPath": "/api/v1/namespaces/{{ request.namespace }}/pods",
                "jmesPath": "length(items)",
            },
        },
        {"name": "half", "variable": {"jmesPath": "divide(count, `2`)"}},
        {"name": "other", "variable": {"jmesPath": "nosuch.field", "default": "none"}},
    ]
    conditions = [
        {
            "key": "{{ request.object.metadata.name }}",
            "operator": "AnyNotIn",
            "value": "{{ names.data.allowed }}",
        },
        {"key": "{{ half }}", "operator": "Equals", "value": 1},
        {"key": "{{ other }}", "operator": "Equals", "value": "none"},
    ]
    document = policy(
        {"message": "{{ count }} pods", "deny": {"conditions": {"all": conditions}}}, context=context
    )
    (row,) = evaluate([load(document)], Subject(pod()), Around())
    assert (row.result, row.message) == ("fail", "2 pods")
    (row,) = evaluate([load(document)], Subject(pod()))
    assert row.result == "error"


def test_updates_that_leave_a_violation_as_it_was_are_skipped() -> None:
    document = policy({"pattern": {"spec": {"=(hostNetwork)": False}}})
    bad, good = pod(hostNetwork=True), pod()
    for old, result in ((bad, "skip"), (good, "fail")):
        (row,) = evaluate([load(document)], Subject(bad, old=old, operation="UPDATE"))
        assert row.result == result


def test_exceptions_free_from_rules_and_from_single_controls() -> None:
    security = {"podSecurity": {"level": "baseline", "version": "latest"}}
    let: dict[str, Any] = {
        "apiVersion": "kyverno.io/v2",
        "kind": "PolicyException",
        "metadata": {"name": "let", "namespace": "shop"},
        "spec": {
            "match": {"any": [{"resources": {"kinds": ["Pod"], "names": ["we*"]}}]},
            "exceptions": [{"policyName": "policy", "ruleNames": ["*"]}],
        },
    }
    subject = Subject(pod(hostNetwork=True, containers=[]))
    (row,) = evaluate([load(policy(security))], subject, exceptions=[load(let)])
    assert row.result == "skip"
    let["spec"]["podSecurity"] = [{"controlName": "Host Namespaces"}]
    (row,) = evaluate([load(policy(security))], subject, exceptions=[load(let)])
    assert row.result == "pass"
    worse = Subject(pod(hostNetwork=True, volumes=[{"name": "v", "hostPath": {"path": "/"}}], containers=[]))
    (row,) = evaluate([load(policy(security))], worse, exceptions=[load(let)])
    assert row.result == "fail"
    assert "hostPath" in row.message
    assert "host namespaces" not in row.message


def test_match_and_exclude_by_who_asks_and_where() -> None:
    match = {"any": [{"resources": {"kinds": ["Pod"], "namespaceSelector": {"matchLabels": {"team": "a*"}}}}]}
    exclude = {"any": [{"clusterRoles": ["cluster-*"]}, {"subjects": [{"kind": "Group", "name": "ops"}]}]}
    document = policy({"deny": {}}, match=match, exclude=exclude)
    here = {"team": "alpha"}
    for user, labels, count in (
        (User("jane"), here, 1),
        (User("jane", ("ops",)), here, 0),
        (User("jane", cluster_roles=("cluster-admin",)), here, 0),
        (User("jane"), {"team": "beta"}, 0),
        (User(), here, 1),
    ):
        assert len(evaluate([load(document)], Subject(pod(), user=user, namespace_labels=labels))) == count


def test_failure_actions_differ_by_namespace_and_rule() -> None:
    overrides = [{"action": "Enforce", "namespaces": ["sh*"]}]
    spec = {"validationFailureAction": "Audit", "validationFailureActionOverrides": overrides}
    document = policy({"deny": {}}, spec=spec)
    (row,) = evaluate([load(document)], Subject(pod()))
    assert row.action == "Enforce"
    (row,) = evaluate([load(policy({"deny": {}, "failureAction": "Enforce"}))], Subject(pod()))
    assert row.action == "Enforce"
