"""PolicyExceptions: objects that a rule does not concern."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from firedrill.world.policy.kyverno import wildcard
from firedrill.world.policy.kyverno.conditions import ConditionError, evaluate
from firedrill.world.policy.kyverno.context import Context, request_data
from firedrill.world.policy.kyverno.matching import applies
from firedrill.world.policy.kyverno.model import Nothing, Policy, Rule, Subject
from firedrill.world.policy.kyverno.query import QueryError


def excepted(exceptions: Sequence[Policy], policy: Policy, rule: Rule, subject: Subject) -> str:
    """The exception that frees the object from the rule, as `namespace/name`; empty where there is none."""
    for exception in exceptions:
        if not _names(exception, policy, rule.name):
            continue
        if subject.operation == "" and exception.spec.get("background") is False:
            continue
        if exception.spec.get("podSecurity"):
            continue  # frees from single controls only
        if applies({"match": exception.spec.get("match")}, subject) and _holds(exception, subject):
            return exception.key
    return ""


def freed_controls(
    exceptions: Sequence[Policy], policy: Policy, rule: Rule, subject: Subject
) -> list[Mapping[str, object]]:
    """The controls of pod security that exceptions free the object from."""
    return [
        control
        for exception in exceptions
        if exception.spec.get("podSecurity")
        and _names(exception, policy, rule.name)
        and applies({"match": exception.spec.get("match")}, subject)
        and _holds(exception, subject)
        for control in exception.spec["podSecurity"]
    ]


def _names(exception: Policy, policy: Policy, rule: str) -> bool:
    found = exception.spec.get("exceptions")
    for item in found if isinstance(found, list) else ():
        if not isinstance(item, Mapping):
            continue
        wanted, rules = str(item.get("policyName") or ""), item.get("ruleNames")
        if wildcard.match(wanted, policy.key) and wildcard.any_match(rules, rule):
            return True
    return False


def _holds(exception: Policy, subject: Subject) -> bool:
    conditions = exception.spec.get("conditions")
    if conditions is None:
        return True
    context = Context(request_data(subject), Nothing())
    try:
        return evaluate(conditions, context.substitute)[0]
    except (QueryError, ConditionError):
        return False
