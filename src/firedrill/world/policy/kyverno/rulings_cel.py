"""Kyverno's rules about policies in CEL and about exceptions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from firedrill.world.policy.kyverno.model import Policy

_DECLARED = frozenset(
    {
        *("object", "oldObject", "request", "namespaceObject", "authorizer", "variables", "images", "params"),
        *("int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type", "type"),
    }
)


def expressions_of(body: Mapping[str, Any], path: str) -> Iterator[str]:
    """What is wrong with the CEL of a rule."""
    if not body.get("expressions"):
        yield f"path: {path}.cel: expressions must be specified"
    spec = {
        "variables": body.get("variables") or (),
        "validations": body.get("expressions") or (),
        "auditAnnotations": body.get("auditAnnotations") or (),
        "paramKind": body.get("paramKind"),
    }
    for found in _expressions(spec):
        yield f"{path}.cel.{found.removeprefix('spec.').replace('validations', 'expressions', 1)}"


def _expressions(spec: Mapping[str, Any]) -> Iterator[str]:
    from firedrill.world.kube import cel
    from firedrill.world.policy.kyverno.expressions import functions_of
    from firedrill.world.policy.kyverno.model import Nothing

    extensions = frozenset(functions_of(Nothing()))
    known = _DECLARED | {name.partition(".")[0] for name in extensions}
    for field, key in (
        ("matchConditions", "expression"),
        ("variables", "expression"),
        ("validations", "expression"),
        ("validations", "messageExpression"),
        ("auditAnnotations", "valueExpression"),
    ):
        for number, item in enumerate(spec.get(field) or ()):
            text = item.get(key)
            if not isinstance(text, str) or not text:
                continue
            problem = ""
            try:
                program = cel.compile(text, extensions=extensions)
            except cel.CelSyntaxError as found:
                problem = str(found)
            else:
                for name, at in program.names.items():
                    if name not in known:
                        why = f"undeclared reference to '{name}' (in container '')"
                        problem = str(cel.CelSyntaxError(text, at, why))
            if problem:
                yield f'spec.{field}[{number}].{key}: Invalid value: "{text}": compilation failed: {problem}'


def validating(policy: Policy) -> Iterator[str]:
    """What is wrong with a ValidatingPolicy."""
    spec = policy.spec
    rules = (spec.get("matchConstraints") or {}).get("resourceRules")
    if not rules:
        what = "a matchConstraints with at least one resource rule is required"
        yield f"spec.matchConstraints.resourceRules: Required value: {what}"
    for number, rule in enumerate(rules or ()):
        for key in ("apiGroups", "apiVersions", "operations", "resources"):
            if not rule.get(key):
                yield f"spec.matchConstraints.resourceRules[{number}].{key}: Required value"
    if not spec.get("validations"):
        yield "spec.validations: Required value"
    yield from _expressions(spec)


def exception(policy: Policy) -> Iterator[str]:
    """What is wrong with a PolicyException."""
    spec = policy.spec
    if "policyRefs" in spec:
        if not spec["policyRefs"]:
            yield "spec.policyRefs: Invalid value: null: must specify at least one policy ref"
        yield from _expressions({"matchConditions": spec.get("matchConditions")})
        return
    match = spec.get("match") or {}
    if not match.get("any") and not match.get("all"):
        yield "spec.match: Invalid value: An user or resource must be specified"
    if match.get("any") and match.get("all"):
        yield "spec.match: Invalid value: Can't specify any and all together"
    if not spec.get("exceptions"):
        yield "spec.exceptions: Invalid value: An exception requires at least one policy name and rule name"
    for number, item in enumerate(spec.get("exceptions") or ()):
        if not item.get("ruleNames"):
            yield f"spec.exceptions[{number}].ruleNames: Invalid value: must specify at least one rule name"
