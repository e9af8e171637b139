"""Roles: who may do what, in the words of the API server."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedrill.world.kube import rbac
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.api.request import ADMIN, ANONYMOUS, User, node_user, service_account
from firedrill.world.kube.store import Store

GROUP = "rbac.authorization.k8s.io"
JANE = User("jane", ("team-a",))


@pytest.fixture
def store() -> Store:
    out = Store(freeze=True)
    for obj in rbac.default_objects():
        out.put(f"{obj['kind'].lower()}s.{GROUP}", obj)
    return out


def bind(
    store: Any,
    role: Any,
    *,
    kind: Any = "ClusterRole",
    namespace: Any = "",
    user: Any = "jane",
    name: Any = "b",
) -> Any:
    subject = {"apiGroup": GROUP, "kind": "User", "name": user}
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    resource = f"{'rolebindings' if namespace else 'clusterrolebindings'}.{GROUP}"
    store.put(resource, {"metadata": meta, "roleRef": {"kind": kind, "name": role}, "subjects": [subject]})


def may(
    store: Any,
    user: Any,
    verb: Any,
    resource: Any,
    namespace: Any = "",
    *,
    group: Any = "",
    subresource: Any = "",
    name: Any = "",
) -> Any:
    return rbac.authorize(store, user, verb, group, resource, subresource, namespace, name)[0]


def test_nothing_is_allowed_until_it_is_granted(store: Any) -> None:
    assert not may(store, JANE, "list", "pods", "default")
    bind(store, "view", namespace="default")
    assert may(store, JANE, "list", "pods", "default")
    assert not may(store, JANE, "list", "pods", "other")
    assert not may(store, JANE, "list", "pods")
    assert not may(store, JANE, "get", "secrets", "default")


def test_aggregated_roles_hold_what_joins_them(store: Any) -> None:
    bind(store, "admin", namespace="default")
    assert may(store, JANE, "create", "rolebindings", "default", group=GROUP)
    assert may(store, JANE, "delete", "deployments", "default", group="apps")
    assert may(store, JANE, "get", "pods", "default", subresource="log")
    store.put(
        f"clusterroles.{GROUP}",
        {
            "metadata": {"name": "mine", "labels": {f"{GROUP}/aggregate-to-view": "true"}},
            "rules": [{"apiGroups": ["x.io"], "resources": ["things"], "verbs": ["get"]}],
        },
    )
    assert may(store, JANE, "get", "things", "default", group="x.io")


def test_stored_rules_of_aggregated_defaults_are_what_aggregation_gives(store: Any) -> None:
    for name in ("admin", "edit", "view"):
        role = store.get(f"clusterroles.{GROUP}", "", name)
        computed = rbac.aggregated_rules(store, role)
        assert {str(rule) for rule in computed} == {str(rule) for rule in role["rules"]}


def test_everybody_may_look_around_and_masters_may_all(store: Any) -> None:
    assert rbac.authorize(store, JANE, "get", "", "", "", "", "", "/apis/apps/v1")[0]
    assert not rbac.authorize(store, ANONYMOUS, "get", "", "", "", "", "", "/apis")[0]
    assert rbac.authorize(store, ANONYMOUS, "get", "", "", "", "", "", "/healthz")[0]
    assert not rbac.authorize(store, JANE, "get", "", "", "", "", "", "/metrics")[0]
    assert may(store, JANE, "create", "selfsubjectaccessreviews", group="authorization.k8s.io")
    assert may(store, ADMIN, "delete", "nodes")


def test_components_may_do_their_work_and_no_more(store: Any) -> None:
    deployer = service_account("kube-system", "deployment-controller")
    assert may(store, deployer, "create", "replicasets", "x", group="apps")
    assert not may(store, deployer, "create", "pods", "x")
    assert may(store, User("system:kube-scheduler"), "create", "pods", "x", subresource="binding")
    assert may(store, node_user("n1"), "update", "nodes", subresource="status", name="n1")
    assert not may(store, node_user("n1"), "create", "deployments", "x", group="apps")


def test_the_reason_names_binding_role_and_subject(store: Any) -> None:
    bind(store, "view", namespace="default", name="viewers")
    reason = rbac.authorize(store, JANE, "list", "", "pods", "", "default", "")[1]
    assert reason == 'RBAC: allowed by RoleBinding "viewers/default" of ClusterRole "view" to User "jane"'


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("list", "", "pods", "", "default", ""),
            'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default"',
        ),
        (
            ("get", "apps", "deployments", "", "a", "x"),
            'deployments.apps "x" is forbidden: User "jane" cannot get resource "deployments" in API group "apps" '
            'in the namespace "a"',
        ),
        (
            ("get", "", "pods", "log", "a", "x"),
            'pods "x" is forbidden: User "jane" cannot get resource "pods/log" in API group "" in the namespace "a"',
        ),
        (
            ("list", "", "nodes", "", "", ""),
            'nodes is forbidden: User "jane" cannot list resource "nodes" in API group "" at the cluster scope',
        ),
        (("get", "", "", "", "", "", "/x"), 'forbidden: User "jane" cannot get path "/x"'),
    ],
)
def test_denials_are_worded_as_the_server_does(arguments: Any, message: Any) -> None:
    problem = rbac.denial(JANE, *arguments)
    assert (problem.code, problem.reason, problem.message) == (403, "Forbidden", message)


def test_resource_names_and_subresource_wildcards() -> None:
    store = Store(freeze=True)
    rules = [
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["one"], "verbs": ["get"]},
        {"apiGroups": ["*"], "resources": ["*/scale"], "verbs": ["update"]},
    ]
    store.put(f"clusterroles.{GROUP}", {"metadata": {"name": "r"}, "rules": rules})
    bind(store, "r")
    assert may(store, JANE, "get", "secrets", "a", name="one")
    assert not may(store, JANE, "get", "secrets", "a", name="two")
    assert not may(store, JANE, "list", "secrets", "a")
    assert may(store, JANE, "update", "deployments", "a", group="apps", subresource="scale")
    assert not may(store, JANE, "update", "deployments", "a", group="apps")


def test_nobody_grants_what_he_does_not_hold(store: Any) -> None:
    bind(store, "admin", namespace="a")
    role = {"metadata": {"name": "r", "namespace": "a"}}
    nodes = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list"]}
    pods = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    rbac.check_escalation(store, JANE, f"roles.{GROUP}", {**role, "rules": [pods]})
    with pytest.raises(ApiError) as caught:
        rbac.check_escalation(store, JANE, f"roles.{GROUP}", {**role, "rules": [pods, nodes]})
    assert caught.value.message == (
        f'roles.{GROUP} "r" is forbidden: user "jane" (groups=["team-a" "system:authenticated"]) is attempting '
        'to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["nodes"], Verbs:["get" "list"]}'
    )
    binding = {**role, "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"}, "subjects": []}
    with pytest.raises(ApiError, match="not currently held"):
        rbac.check_escalation(
            store, JANE, f"rolebindings.{GROUP}", {**binding, "subjects": [{"kind": "User"}]}
        )
    rbac.check_escalation(store, ADMIN, f"roles.{GROUP}", {**role, "rules": [nodes]})


def test_a_fork_that_changes_roles_leaves_the_other_alone(store: Any) -> None:
    twin = store.fork()
    assert not may(store, JANE, "list", "pods", "a")
    bind(twin, "view", namespace="a")
    assert may(twin, JANE, "list", "pods", "a")
    assert not may(store, JANE, "list", "pods", "a")
    store.put("configmaps", {"metadata": {"name": "x", "namespace": "a"}})
    assert store.rv == twin.rv
    assert not may(store, JANE, "list", "pods", "a")
    twin.remove(f"rolebindings.{GROUP}", "a", "b")
    assert not may(twin, JANE, "list", "pods", "a")


def test_rules_of_a_review(store: Any) -> None:
    bind(store, "view", namespace="a")
    resources, paths = rbac.rules_for(store, JANE, "a")
    assert any("pods" in rule["resources"] for rule in resources)
    assert any("/healthz" in rule["nonResourceURLs"] for rule in paths)


WORDS = st.sampled_from(["*", "a", "b", "a/s", "*/s"])


@given(
    st.lists(WORDS, max_size=2),
    st.lists(WORDS, max_size=2),
    st.sampled_from(["a", "b"]),
    st.sampled_from(["", "s"]),
)
def test_what_is_allowed_is_what_a_rule_spells_out(
    verbs: Any, resources: Any, resource: Any, subresource: Any
) -> None:
    store = Store()
    rule = {"apiGroups": [""], "resources": resources, "verbs": verbs}
    store.put(f"clusterroles.{GROUP}", {"metadata": {"name": "r"}, "rules": [rule]})
    bind(store, "r")
    full = f"{resource}/{subresource}" if subresource else resource
    wanted = bool({"*", "a"} & set(verbs)) and bool(
        {"*", full} & set(resources) or (subresource and f"*/{subresource}" in resources)
    )
    assert may(store, JANE, "a", resource, "x", subresource=subresource) is wanted
