"""Policies over one object."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from firedrill.world.policy.kyverno import wildcard
from firedrill.world.policy.kyverno.autogen import blocks_of, kinds_of
from firedrill.world.policy.kyverno.context import Context, request_data, with_values
from firedrill.world.policy.kyverno.exceptions import excepted, freed_controls
from firedrill.world.policy.kyverno.matching import applies, chosen, empty, kind_matches
from firedrill.world.policy.kyverno.model import Action, Lookup, Nothing, Policy, Row, Rule, Subject
from firedrill.world.policy.kyverno.validate import Verdict, judge

_PREFIX = "policies.kyverno.io/"
_NOTHING = Nothing()
_NOBODY: frozenset[str] = frozenset()


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
    given = _Given(subject, lookup or _NOTHING, now_ms)
    out: list[Row] = []
    for policy in policies:
        if policy.kind == "PolicyException":
            continue
        if policy.kind.endswith("ValidatingPolicy"):
            from firedrill.world.policy.kyverno.vpol import judge_policy

            out.extend(_validating(policy, given, allowed, judge_policy))
        else:
            out.extend(_rules(policy, given, allowed))
    return out


MALFORMED = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What comes of policies that admission would refuse, and of objects that no API server has seen."""


def _validating(
    policy: Policy,
    given: _Given,
    exceptions: Sequence[Policy],
    judge_policy: Callable[[Policy, Subject, Lookup, Sequence[Policy]], Row | None],
) -> list[Row]:
    try:
        row = judge_policy(policy, given.subject, given.lookup, exceptions)
    except MALFORMED as problem:
        text = f"policy {policy.name} or the object is malformed: {problem}"
        return [Row(policy.key, "", "error", text, source="KyvernoValidatingPolicy")]
    return [] if row is None else [row]


class _Given:
    """What the rules about one object share."""

    __slots__ = ("_data", "lookup", "now_ms", "subject")

    def __init__(self, subject: Subject, lookup: Lookup, now_ms: int) -> None:
        self.subject = subject
        self.lookup = lookup
        self.now_ms = now_ms
        self._data: dict[str, Any] | None = None

    def context(self, policy: Policy, rule: Rule) -> Context:
        """The data that a rule starts with."""
        if self._data is None:
            self._data = request_data(self.subject)
        data, mocked = self._data, _NOBODY
        values = self.lookup.variables(policy.name, rule.name, self.subject.name)
        if values:
            data, mocked = with_values(data, values)
        return Context(data, self.lookup, now_ms=self.now_ms, mocked=mocked)


@lru_cache(maxsize=8192)
def _candidates(policy: Policy, group: str, version: str, kind: str, subresource: str) -> tuple[Rule, ...]:
    """The rules that may be about objects of a kind."""
    probe = Subject({"apiVersion": f"{group}/{version}" if group else version, "kind": kind})
    probe = replace(probe, subresource=subresource)
    return tuple(
        rule
        for rule in policy.rules
        if "validate" in rule.body
        and any(
            not kinds_of(block) or kind_matches(kinds_of(block), probe)
            for block in blocks_of(rule.body.get("match"))
            if not empty(block)
        )
    )


@lru_cache(maxsize=8192)
def _by_kind_alone(rule: Rule) -> bool:
    """Whether the kind of an object settles that the rule is about it."""
    match = rule.body.get("match")
    if rule.body.get("exclude") or not isinstance(match, Mapping) or set(match) != {"any"}:
        return False
    blocks = match["any"]
    return isinstance(blocks, list) and all(
        isinstance(block, Mapping)
        and set(block) == {"resources"}
        and isinstance(block["resources"], Mapping)
        and set(block["resources"]) == {"kinds"}
        for block in blocks
    )


def _rules(policy: Policy, given: _Given, exceptions: Sequence[Policy]) -> Iterator[Row]:
    subject = given.subject
    here = (subject.group, subject.version, subject.kind, subject.subresource)
    one = policy.spec.get("applyRules") == "One"
    for rule in _candidates(policy, *here):
        row = _row(policy, rule, given, exceptions)
        if row is not None:
            yield row
            if one and row.result != "skip":
                return


def _row(policy: Policy, rule: Rule, given: _Given, exceptions: Sequence[Policy]) -> Row | None:
    try:
        return _said(policy, rule, given, exceptions)
    except MALFORMED as problem:
        return Row(policy.key, rule.name, "error", f"rule {rule.name} or the object is malformed: {problem}")


def _said(policy: Policy, rule: Rule, given: _Given, exceptions: Sequence[Policy]) -> Row | None:
    subject = given.subject
    by_kind_alone = not policy.namespace and _by_kind_alone(rule)
    if not by_kind_alone and not applies(rule.body, subject, policy.namespace):
        return None
    found = excepted(exceptions, policy, rule, subject) if exceptions else ""
    if found:
        verdict = Verdict("skip", f"rule is skipped due to policy exception {found}")
        return row_of(policy, rule, subject, verdict, {"exceptions": found.rpartition("/")[2]})
    judged = _judged(policy, _freed(rule, exceptions, policy, subject), given)
    return None if judged is None else row_of(policy, rule, subject, judged)


def _freed(rule: Rule, exceptions: Sequence[Policy], policy: Policy, subject: Subject) -> Rule:
    """The rule without the controls of pod security that exceptions free the object from."""
    validate = rule.body["validate"]
    if not exceptions or not isinstance(validate.get("podSecurity"), Mapping):
        return rule
    controls = freed_controls(exceptions, policy, rule, subject)
    if not controls:
        return rule
    security = validate["podSecurity"]
    security = {**security, "exclude": [*(security.get("exclude") or ()), *controls]}
    return replace(rule, body={**rule.body, "validate": {**validate, "podSecurity": security}})


def _judged(policy: Policy, rule: Rule, given: _Given) -> Verdict | None:
    subject = given.subject
    verdict = judge(rule, subject, given.context(policy, rule))
    if verdict is None or verdict.result != "fail" or subject.operation != "UPDATE" or subject.old is None:
        return verdict
    validate = rule.body.get("validate") or {}
    if validate.get("allowExistingViolations") is False or "cel" in validate:
        return verdict
    before = replace(subject, resource=subject.old, old=None, operation="CREATE")
    if not applies(rule.body, before, policy.namespace):
        return verdict
    earlier = judge(rule, before, _Given(before, given.lookup, given.now_ms).context(policy, rule))
    if earlier is not None and earlier.result == "fail":
        return Verdict("skip", "skipping modified resource as validation results have not changed")
    return verdict


_NO_PROPERTIES: Mapping[str, str] = MappingProxyType({})


def row_of(
    policy: Policy,
    rule: Rule,
    subject: Subject,
    verdict: Verdict,
    properties: Mapping[str, str] = _NO_PROPERTIES,
) -> Row:
    """A verdict with what reports say beside it."""
    category, level, scored, warns, lenient = _beside(policy)
    return Row(
        policy.key,
        rule.name,
        verdict.result,
        verdict.message,
        verdict.path,
        _steady_action(policy, rule) or action_of(policy, rule, subject),
        "kyverno",
        category,
        level,
        scored,
        warns,
        lenient,
        properties,
    )


@lru_cache(maxsize=2048)
def _beside(policy: Policy) -> tuple[str, str, bool, bool, bool]:
    notes = policy.annotations
    return (
        str(notes.get(f"{_PREFIX}category") or ""),
        severity(notes),
        str(notes.get(f"{_PREFIX}scored") or "").lower() != "false",
        bool(policy.spec.get("emitWarning")),
        fail_open(policy),
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


@lru_cache(maxsize=8192)
def _steady_action(policy: Policy, rule: Rule) -> Action | None:
    """What a failure leads to where no namespace has its own way."""
    validate = rule.body.get("validate") or {}
    if validate.get("failureActionOverrides") or policy.spec.get("validationFailureActionOverrides"):
        return None
    return _action(validate.get("failureAction") or policy.spec.get("validationFailureAction"))


def action_of(policy: Policy, rule: Rule, subject: Subject) -> Action:
    """What a failure of the rule leads to, in the object's namespace."""
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
