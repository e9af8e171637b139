"""ValidatingPolicies: rules in CEL about resources of the API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from firedrill.world.kube import cel
from firedrill.world.kube.admission.policy import Variables, judge
from firedrill.world.policy.kyverno import wildcard
from firedrill.world.policy.kyverno.autogen import CONTROLLERS
from firedrill.world.policy.kyverno.expressions import functions_of, plural_of, uncompiled, variables_of
from firedrill.world.policy.kyverno.images import TEMPLATES
from firedrill.world.policy.kyverno.matching import chosen
from firedrill.world.policy.kyverno.model import Lookup, Policy, Row, Subject

SOURCE = "KyvernoValidatingPolicy"
_GROUPS: Mapping[str, str] = {"Job": "batch", "CronJob": "batch", "ReplicationController": ""}
_PREFIX = "policies.kyverno.io/"


def judge_policy(
    policy: Policy, subject: Subject, lookup: Lookup, exceptions: Sequence[Policy] = ()
) -> Row | None:
    """The policy's row for an object, or None where it is not about it."""
    template = matched(policy, subject)
    if template is None or (policy.spec.get("evaluation") or {}).get("mode") == "JSON":
        return None
    functions = functions_of(lookup)
    base = variables_of(subject, template)
    spec = policy.spec
    wrong = uncompiled(spec, spec.get("matchConditions") or (), functions)
    if wrong:
        return _row(policy, "error", wrong)
    found, why = _conditions(spec, base, functions)
    if why:
        return _row(policy, "error", why)
    if not found:
        return None
    for exception in exceptions:
        if _frees(exception, policy, base, functions):
            text = f"rule is skipped due to policy exception: {exception.key}"
            return _row(policy, "skip", text)
    bare = {key: value for key, value in spec.items() if key != "matchConditions"}
    for verdict in judge(bare, base, fails=True, functions=functions):
        if "resulted in error" in verdict.message:
            return _row(policy, "error", verdict.message)
        return _row(policy, "fail", verdict.message)
    return _row(policy, "pass", "success")


def matched(policy: Policy, subject: Subject) -> tuple[str, ...] | None:
    """Where the pod lies that the policy looks at, empty for the object itself; None for other objects."""
    constraints = policy.spec.get("matchConstraints")
    if not isinstance(constraints, Mapping) or (policy.namespace and policy.namespace != subject.namespace):
        return None
    template: tuple[str, ...] = ()
    if not _ruled(constraints.get("resourceRules"), subject):
        if subject.kind not in derived_kinds(policy) or not _as_derived(constraints, subject):
            return None
        template = TEMPLATES[subject.kind]
    if _ruled(constraints.get("excludeResourceRules"), subject):
        return None
    selector = constraints.get("namespaceSelector")
    if selector and subject.namespace and not chosen(selector, _labels(subject)):
        return None
    selector = constraints.get("objectSelector")
    return None if selector and not chosen(selector, subject.metadata.get("labels")) else template


def _labels(subject: Subject) -> Mapping[str, str]:
    return {"kubernetes.io/metadata.name": subject.namespace, **subject.namespace_labels}


def _rules(rules: Any) -> Iterator[Mapping[str, Any]]:
    yield from (item for item in (rules if isinstance(rules, list) else ()) if isinstance(item, Mapping))


def _ruled(rules: Any, subject: Subject) -> bool:
    return any(_takes(rule, subject) for rule in _rules(rules))


def _takes(rule: Mapping[str, Any], subject: Subject) -> bool:
    plural = subject.plural or plural_of(subject.kind)
    wanted = f"{plural}/{subject.subresource}" if subject.subresource else plural
    if not _listed(rule.get("apiGroups"), subject.group) or not _listed(
        rule.get("apiVersions"), subject.version
    ):
        return False
    operations = rule.get("operations") or ["*"]
    if "*" not in operations and (subject.operation or "CREATE") not in operations:
        return False
    names = rule.get("resourceNames")
    if names and subject.name not in names:
        return False
    scope = rule.get("scope")
    if scope in ("Namespaced", "Cluster") and (scope == "Namespaced") != bool(subject.namespace):
        return False
    return any(_resource(str(item), wanted, subject.subresource) for item in rule.get("resources") or ())


def _listed(values: Any, given: str) -> bool:
    return isinstance(values, list) and ("*" in values or given in values)


def _resource(pattern: str, wanted: str, subresource: str) -> bool:
    if pattern in ("*/*", wanted):
        return True
    if pattern == "*":
        return not subresource
    return "/" in pattern and wildcard.match(pattern, wanted)


def derived_kinds(policy: Policy) -> tuple[str, ...]:
    """The controllers that the policy is also about, as it is about pods alone."""
    constraints = policy.spec.get("matchConstraints") or {}
    rules = list(_rules(constraints.get("resourceRules")))
    plain = len(rules) == 1 and rules[0].get("resources") == ["pods"]
    if not plain or rules[0].get("resourceNames") or constraints.get("objectSelector"):
        return ()
    if constraints.get("excludeResourceRules"):
        return ()
    asked = ((policy.spec.get("autogen") or {}).get("podControllers") or {}).get("controllers")
    if asked is None:
        return CONTROLLERS
    wanted = {str(item).rstrip("s") for item in asked}
    return tuple(kind for kind in CONTROLLERS if kind.lower() in {item.lower() for item in wanted})


def _as_derived(constraints: Mapping[str, Any], subject: Subject) -> bool:
    operations = next(_rules(constraints.get("resourceRules")), {}).get("operations") or ["*"]
    group = _GROUPS.get(subject.kind, "apps")
    return subject.group == group and ("*" in operations or (subject.operation or "CREATE") in operations)


def _conditions(
    spec: Mapping[str, Any], base: Mapping[str, Any], functions: Mapping[str, Any]
) -> tuple[bool, str]:
    scope = Variables(base, (), functions)
    for item in spec.get("matchConditions") or ():
        try:
            if scope.evaluate(str(item["expression"])) is not True:
                return False, ""
        except (cel.CelError, cel.CelSyntaxError) as problem:
            return False, f"failed to evaluate match condition {item.get('name')}: {problem}"
    return True, ""


def _frees(exception: Policy, policy: Policy, base: Mapping[str, Any], functions: Mapping[str, Any]) -> bool:
    references = exception.spec.get("policyRefs")
    named = any(
        item.get("name") == policy.name and item.get("kind", policy.kind) == policy.kind
        for item in _rules(references)
    )
    return named and _conditions(exception.spec, base, functions) == (True, "")


def _row(policy: Policy, result: Any, message: str) -> Row:
    from firedrill.world.policy.kyverno.engine import severity

    actions = policy.spec.get("validationActions") or ["Audit"]
    notes = policy.annotations
    return Row(
        policy.key,
        "",
        result,
        message,
        action="Enforce" if "Deny" in actions else "Audit",
        source=SOURCE,
        category=str(notes.get(f"{_PREFIX}category") or ""),
        severity=severity(notes),
        scored=str(notes.get(f"{_PREFIX}scored") or "").lower() != "false",
        warns="Warn" in actions,
        fail_open=policy.spec.get("failurePolicy") == "Ignore",
    )
