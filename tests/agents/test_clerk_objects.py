"""The clerk's Rego for requirements about objects of a cluster, in words that no scenario has."""

from __future__ import annotations

from typing import Any

import pytest

from firedrill.agents.base import Assessment
from firedrill.agents.clerk.agent import artefacts
from firedrill.world.policy.rego import Module, Rego, Value

Obj = dict[str, Any]
EXEC = (
    "Nobody may `create` pods/exec who is not allowed to. Allowed for it are the group `crew` and the service "
    "account `door` of the namespace `lab`. What breaks the rule are bindings."
)
QUIET = (
    "Outside of the namespace `old` and outside of the namespaces `kube-system` and `lab` every container says "
    "`readOnlyRootFilesystem: true`. Violations are named `namespace/Kind/name`."
)
LABEL = "Every namespace but `kube-system` carries the label `owner` with the value `red` or `blue`."


def violations(text: str, items: list[Obj]) -> list[str]:
    """What the clerk's Rego names, sorted; its result has to agree."""
    files = artefacts(Assessment("kubectl-opa", text, ("fetcher.sh", "policy.rego")))
    modules = [Module("policy.rego", files["policy.rego"])]
    found, whole = (
        Rego().evaluate(modules, f"data.check.{name}", {"items": items}) for name in ("violations", "result")
    )
    assert isinstance(found, Value), found
    assert isinstance(whole, Value), whole
    assert whole.value is (not found.value)
    return sorted(found.value)


def grant(name: str, rules: list[Obj], subject: Obj) -> list[Obj]:
    """A ClusterRole and a binding of it."""
    return [
        {"kind": "ClusterRole", "metadata": {"name": name}, "rules": rules},
        {
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"kind": "ClusterRole", "name": name},
            "subjects": [subject],
        },
    ]


def test_rights_are_followed_through_bindings() -> None:
    """Stars grant, listed subjects may, others may not."""
    exact = [{"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]}]
    star = [{"apiGroups": ["*"], "resources": ["*/exec"], "verbs": ["*"]}]
    reading = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}]
    items = [
        *grant("crew", exact, {"kind": "Group", "name": "crew"}),
        *grant("door", star, {"kind": "ServiceAccount", "name": "door", "namespace": "lab"}),
        *grant("other", star, {"kind": "ServiceAccount", "name": "door", "namespace": "shop"}),
        *grant("user", exact, {"kind": "User", "name": "crew"}),
        *grant("reader", reading, {"kind": "User", "name": "kim"}),
    ]
    assert violations(EXEC, items) == ["cluster/ClusterRoleBinding/other", "cluster/ClusterRoleBinding/user"]


@pytest.mark.parametrize(("value", "bad"), [(True, False), (False, True), (None, True)])
def test_templates_are_judged_and_exempt_namespaces_are_not(value: bool | None, bad: bool) -> None:
    """The same demands as in policies."""
    context = {} if value is None else {"securityContext": {"readOnlyRootFilesystem": value}}
    spec = {"template": {"spec": {"containers": [{"name": "a", **context}]}}}
    items = [
        {"kind": "Deployment", "metadata": {"name": "web", "namespace": place}, "spec": spec}
        for place in ("shop", "lab")
    ]
    assert violations(QUIET, items) == (["shop/Deployment/web"] if bad else [])


def test_labels_of_namespaces() -> None:
    """One of the values, and no other."""
    items = [
        {"kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        for name, labels in {
            "a": {"owner": "red"},
            "b": {"owner": "green"},
            "c": {},
            "kube-system": {},
        }.items()
    ]
    assert violations(LABEL, items) == ["cluster/Namespace/b", "cluster/Namespace/c"]
