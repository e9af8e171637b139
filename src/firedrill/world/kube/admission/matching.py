"""Which requests a policy or webhook is about: resource rules, selectors, conditions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from firedrill.world.kube.admission.base import Attributes
from firedrill.world.kube.objects import labels_of
from firedrill.world.kube.selectors import selects

_ALIASES = {
    "deployments": ("apps", "extensions"),
    "replicasets": ("apps", "extensions"),
    "daemonsets": ("apps", "extensions"),
    "events": ("", "events.k8s.io"),
    "ingresses": ("networking.k8s.io", "extensions"),
}


def rule_matches(a: Attributes, rule: Mapping[str, Any], *, equivalent: bool = True) -> bool:
    """Whether a `resourceRules` entry (also of a webhook) takes in the request.

    Args:
        a: the request.
        rule: operations, apiGroups, apiVersions, resources, resourceNames, scope.
        equivalent: other versions of the same resource count too (`matchPolicy: Equivalent`).
    """
    operations = rule.get("operations") or ()
    if "*" not in operations and a.operation not in operations:
        return False
    groups, versions = rule.get("apiGroups") or (), rule.get("apiVersions") or ()
    group_fits = "*" in groups or a.kind.group in groups
    version_fits = "*" in versions or a.kind.version in versions or equivalent
    if not group_fits and equivalent:
        group_fits = any(
            group in groups
            for group in _ALIASES.get(a.kind.plural, ())
            if a.kind.group in _ALIASES[a.kind.plural]
        )
    if not group_fits or not version_fits:
        return False
    scope = rule.get("scope") or "*"
    if scope != "*" and (scope == "Namespaced") is not a.kind.namespaced:
        return False
    names = rule.get("resourceNames") or ()
    if names and a.name not in names:
        return False
    return any(_resource_matches(a, pattern) for pattern in rule.get("resources") or ())


def _resource_matches(a: Attributes, pattern: str) -> bool:
    resource, _, subresource = pattern.partition("/")
    if pattern == "*":
        return not a.subresource
    if resource not in ("*", a.kind.plural):
        return False
    return subresource in ("*", a.subresource) if subresource else not a.subresource


def constraints_match(a: Attributes, constraints: Mapping[str, Any] | None) -> bool:
    """Whether `matchConstraints` (or a binding's `matchResources`) take in the request."""
    if not constraints:
        return True
    equivalent = constraints.get("matchPolicy", "Equivalent") == "Equivalent"
    if not selectors_match(a, constraints):
        return False
    excluded: Iterable[Mapping[str, Any]] = constraints.get("excludeResourceRules") or ()
    if any(rule_matches(a, rule, equivalent=equivalent) for rule in excluded):
        return False
    rules = constraints.get("resourceRules")
    return not rules or any(rule_matches(a, rule, equivalent=equivalent) for rule in rules)


def selectors_match(a: Attributes, holder: Mapping[str, Any]) -> bool:
    """Whether the namespace and object selectors take in the request; a missing one takes everything."""
    of_namespace, of_object = holder.get("namespaceSelector"), holder.get("objectSelector")
    if of_namespace:
        namespace: Mapping[str, Any] | None = None
        if a.resource == "namespaces":
            namespace = a.obj or a.old
        elif a.kind.namespaced:
            namespace = a.store.get("namespaces", "", a.namespace)
        if (namespace is not None or a.kind.namespaced) and not selects(
            of_namespace, labels_of(namespace or {})
        ):
            return False
    if of_object:
        return any(selects(of_object, labels_of(item)) for item in (a.obj, a.old) if item is not None)
    return True
