"""The engine's contract on small policies."""

from __future__ import annotations

from typing import Any

import pytest

from firedrill.core.errors import InputError
from firedrill.world.policy.kyverno import Subject, evaluate, load


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
