"""Policies over one object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from firedrill.world.policy.kyverno.context import Context, request_data, with_values
from firedrill.world.policy.kyverno.exceptions import excepted
from firedrill.world.policy.kyverno.matching import applies
from firedrill.world.policy.kyverno.model import Action, Lookup, Nothing, Policy, Row, Rule, Subject
from firedrill.world.policy.kyverno.validate import Verdict, judge

_PREFIX = "policies.kyverno.io/"
_NOTHING = Nothing()


def evaluate(
    policies: Sequence[Policy],
    subject: Subject,
    lookup: Lookup | None = None,
    exceptions: Sequence[Policy] = (),
    *,
    now_ms: int = 0,
) -> list[Row]:
    """What each rule that is about the object says of it.

    Args:
        policies: as `load` gives them; exceptions among them count as exceptions.
        subject: the object and the request.
        lookup: what policies may ask of the cluster; nothing where it is missing.
        exceptions: PolicyExceptions.
        now_ms: the time that functions see.

    Returns:
        One row per rule that applies, in the order of the policies and their rules.
    """
    allowed = [*exceptions, *(item for item in policies if item.kind == "PolicyException")]
    out: list[Row] = []
    for policy in policies:
        if policy.kind == "PolicyException":
            continue
        if policy.kind.endswith("ValidatingPolicy"):
            from firedrill.world.policy.kyverno.vpol import judge_policy

            row = judge_policy(policy, subject, lookup or _NOTHING, allowed)
            out.extend([row] if row is not None else ())
        else:
            out.extend(_rules(policy, subject, lookup or _NOTHING, allowed, now_ms))
    return out


def _rules(
    policy: Policy, subject: Subject, lookup: Lookup, exceptions: Sequence[Policy], now_ms: int
) -> Iterator[Row]:
    for rule in policy.rules:
        if "validate" not in rule.body or not applies(rule.body, subject, policy.namespace):
            continue
        base = row_of(policy, rule, subject)
        found = excepted(exceptions, policy, rule, subject)
        if found:
            text = f"rule is skipped due to policy exception {found}"
            yield replace(
                base, result="skip", message=text, properties={"exceptions": found.rpartition("/")[2]}
            )
            continue
        verdict = _judged(policy, rule, subject, lookup, now_ms)
        if verdict is not None:
            yield replace(base, result=verdict.result, message=verdict.message, path=verdict.path)
        if policy.spec.get("applyRules") == "One" and verdict is not None and verdict.result != "skip":
            return


def _judged(policy: Policy, rule: Rule, subject: Subject, lookup: Lookup, now_ms: int) -> Verdict | None:
    verdict = _once(policy, rule, subject, lookup, now_ms)
    validate = rule.body.get("validate") or {}
    if verdict is None or verdict.result != "fail" or subject.operation != "UPDATE" or subject.old is None:
        return verdict
    if validate.get("allowExistingViolations") is False or "cel" in validate:
        return verdict
    before = replace(subject, resource=subject.old, old=None)
    earlier = (
        _once(policy, rule, before, lookup, now_ms) if applies(rule.body, before, policy.namespace) else None
    )
    if earlier is not None and earlier.result == "fail":
        return Verdict("skip", "skipping modified resource as validation results have not changed")
    return verdict


def _once(policy: Policy, rule: Rule, subject: Subject, lookup: Lookup, now_ms: int) -> Verdict | None:
    data: dict[str, Any] = request_data(subject)
    values = lookup.variables(policy.name, rule.name, subject.name)
    mocked: frozenset[str] = frozenset()
    if values:
        data, mocked = with_values(data, values)
    return judge(rule, subject, Context(data, lookup, now_ms=now_ms, mocked=mocked))


def row_of(policy: Policy, rule: Rule, subject: Subject) -> Row:
    """A row of the rule without a verdict."""
    notes = policy.annotations
    return Row(
        policy.key,
        rule.name,
        "pass",
        action=action_of(policy, rule, subject),
        category=str(notes.get(f"{_PREFIX}category") or ""),
        severity=severity(notes),
        scored=str(notes.get(f"{_PREFIX}scored") or "").lower() != "false",
        warns=bool(policy.spec.get("emitWarning")),
        fail_open=fail_open(policy),
    )


def severity(notes: Mapping[str, str]) -> str:
    """The severity in a policy's annotations; empty for what is none."""
    text = str(notes.get(f"{_PREFIX}severity") or "").lower()
    return text if text in ("critical", "high", "medium", "low", "info") else ""


def fail_open(policy: Policy) -> bool:
    """Whether a request is let in when the policy cannot be evaluated."""
    configured = policy.spec.get("webhookConfiguration")
    found = configured.get("failurePolicy") if isinstance(configured, Mapping) else None
    return (found or policy.spec.get("failurePolicy")) == "Ignore"


def action_of(policy: Policy, rule: Rule, subject: Subject) -> Action:
    """What a failure of the rule leads to, in the object's namespace."""
    from firedrill.world.policy.kyverno import wildcard
    from firedrill.world.policy.kyverno.matching import chosen

    validate = rule.body.get("validate") or {}
    overrides = validate.get("failureActionOverrides") or policy.spec.get("validationFailureActionOverrides")
    namespace = subject.name if subject.kind == "Namespace" else subject.namespace
    for item in overrides if isinstance(overrides, list) else ():
        if not isinstance(item, Mapping):
            continue
        spaces, selector = item.get("namespaces"), item.get("namespaceSelector")
        if (spaces or selector) and not (
            (not spaces or wildcard.any_match(spaces, namespace))
            and (not selector or chosen(selector, subject.namespace_labels))
        ):
            continue
        if spaces or selector:
            return _action(item.get("action"))
    return _action(validate.get("failureAction") or policy.spec.get("validationFailureAction"))


def _action(value: Any) -> Action:
    return "Enforce" if str(value or "").lower() == "enforce" else "Audit"
