"""What breaks requirements on roles and their bindings, for scenarios that collect with kubectl."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from firedrill.suites.compliance.controls.kubectl_pods import namespace
from firedrill.suites.compliance.controls.pods import Obj, Objects
from firedrill.suites.compliance.loading import load, words_of
from firedrill.suites.compliance.patching import entity

Rule = Mapping[str, Any]
_BINDINGS = ("RoleBinding", "ClusterRoleBinding")
_OWN_ACCOUNTS = ("kube-system", "kyverno")
_BOOTSTRAP = "kubernetes.io/bootstrapping"
_BUILT_IN = frozenset({"cluster-admin", "admin", "edit", "view"})
RBAC, ADMISSION = "rbac.authorization.k8s.io", "admissionregistration.k8s.io"
_MAKERS = {
    "": ("pods", "replicationcontrollers"),
    "apps": ("deployments", "daemonsets", "statefulsets", "replicasets"),
    "batch": ("jobs", "cronjobs"),
}


def _has(listed: Any, *wanted: str) -> bool:
    return any(item in (listed or ()) for item in ("*", *wanted))


def _touches(rule: Rule, group: str, resources: Collection[str], verbs: Collection[str]) -> bool:
    return (
        _has(rule.get("apiGroups"), group)
        and _has(rule.get("resources"), *resources)
        and _has(rule.get("verbs"), *verbs)
    )


def _own(subject: Obj) -> bool:
    """Whether a subject is part of the cluster itself."""
    kind, name = subject.get("kind"), str(subject.get("name"))
    if kind == "Group":
        return name == "system:masters"
    if kind == "User":
        return name.startswith("system:")
    return kind == "ServiceAccount" and subject.get("namespace") in _OWN_ACCOUNTS


def _granted(objects: Objects) -> Iterator[tuple[Obj, list[Obj], list[Rule]]]:
    """Bindings with subjects that are not the cluster's own, and the rules of the role they bind."""
    roles = {(obj["kind"], namespace(obj), obj["metadata"]["name"]): obj for obj in objects if "kind" in obj}
    for obj in objects:
        if obj.get("kind") in _BINDINGS:
            ref = obj["roleRef"]
            place = namespace(obj) if ref["kind"] == "Role" else ""
            role = roles.get((ref["kind"], place, ref["name"])) or {}
            others = [item for item in obj.get("subjects") or () if not _own(item)]
            yield obj, others, list(role.get("rules") or ())


def bindings(name: str, grants: Callable[[Rule, Mapping[str, Any]], bool]) -> Callable[[Objects], set[str]]:
    """A procedure that names bindings which grant something to a subject that is not listed.

    The scenario draws the listed subject as the account `${bot}` of namespace `${home}`.
    """

    def judge(objects: Objects) -> set[str]:
        words = words_of(load(name))
        listed = ("ServiceAccount", words["home"], words["bot"])
        found = set()
        for binding, subjects, rules in _granted(objects):
            others = [s for s in subjects if (s.get("kind"), s.get("namespace"), s.get("name")) != listed]
            if others and any(grants(rule, words) for rule in rules):
                found.add(entity(binding))
        return found

    return judge


def cluster_admins(objects: Objects) -> set[str]:
    """Cluster-wide bindings of cluster-admin to anybody but the two."""
    allowed = {("Group", "system:masters"), ("User", words_of(load("ko-01"))["breakglass"])}
    found = set()
    for obj in objects:
        if obj.get("kind") == "ClusterRoleBinding" and obj["roleRef"] == {
            **obj["roleRef"],
            "kind": "ClusterRole",
            "name": "cluster-admin",
        }:
            subjects = {(item.get("kind"), item.get("name")) for item in obj.get("subjects") or ()}
            if subjects - allowed:
                found.add(entity(obj))
    return found


def _built_in(role: Obj) -> bool:
    name = str(role["metadata"]["name"])
    named = name in _BUILT_IN or name.startswith("system:")
    return named and (role["metadata"].get("labels") or {}).get(_BOOTSTRAP) == "rbac-defaults"


def wildcards(objects: Objects) -> set[str]:
    """Own roles with a star in verbs, resources or groups."""
    found = set()
    for obj in objects:
        if obj.get("kind") in ("Role", "ClusterRole") and not _built_in(obj):
            for rule in obj.get("rules") or ():
                words = [*(rule.get("verbs") or ()), *(rule.get("apiGroups") or ())]
                if "*" in words or any("*" in item for item in rule.get("resources") or ()):
                    found.add(entity(obj))
    return found


def reads_secrets(rule: Rule, words: Mapping[str, Any]) -> bool:
    """Get, list or watch on secrets other than the public one."""
    names = set(rule.get("resourceNames") or ())
    return _touches(rule, "", ("secrets",), ("get", "list", "watch")) and names != {words["public"]}


def makes_pods(rule: Rule, words: Mapping[str, Any]) -> bool:
    """Create on pods or on what makes them."""
    return any(_touches(rule, group, names, ("create",)) for group, names in _MAKERS.items())


def climbs(rule: Rule, words: Mapping[str, Any]) -> bool:
    """Bind or escalate on roles, or impersonate somebody."""
    return (
        _touches(rule, RBAC, ("roles", "clusterroles"), ("bind", "escalate"))
        or _touches(rule, "", ("users", "groups", "serviceaccounts"), ("impersonate",))
        or _touches(rule, "authentication.k8s.io", ("uids",), ("impersonate",))
    )


def changes_webhooks(rule: Rule, words: Mapping[str, Any]) -> bool:
    """Any change of webhook configurations."""
    kinds = ("validatingwebhookconfigurations", "mutatingwebhookconfigurations")
    verbs = ("create", "update", "patch", "delete", "deletecollection")
    return _touches(rule, ADMISSION, kinds, verbs)


JUDGES = {
    "ko-01": cluster_admins,
    "ko-02": bindings("ko-02", reads_secrets),
    "ko-03": wildcards,
    "ko-04": bindings("ko-04", makes_pods),
    "ko-07": bindings("ko-07", climbs),
    "ko-08": bindings("ko-08", changes_webhooks),
}
