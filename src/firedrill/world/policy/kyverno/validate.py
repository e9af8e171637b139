"""Validate rules: pattern, anyPattern, deny, foreach, podSecurity and CEL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from firedrill.world.policy.kyverno import conditions
from firedrill.world.policy.kyverno.budget import Exhausted
from firedrill.world.policy.kyverno.context import Context
from firedrill.world.policy.kyverno.model import Result, Rule, Subject
from firedrill.world.policy.kyverno.overlay import Mismatch, Overlay
from firedrill.world.policy.kyverno.query import QueryError

_ELEMENTS = 5_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule says.

    Attributes:
        result: pass, fail, skip or error.
        message: what a person reads.
        path: of the field that is wrong.
    """

    result: Result
    message: str = ""
    path: str = ""


def judge(rule: Rule, subject: Subject, context: Context) -> Verdict | None:
    """What the rule says about the object; None where it has nothing to say (a pattern on a deletion)."""
    body = rule.body
    try:
        context.add(body.get("context") or ())
        met, message = _met(body.get("preconditions"), context)
        if not met:
            return Verdict("skip", message or "preconditions not met")
        validate = body.get("validate") or {}
        if "podSecurity" in validate:
            from firedrill.world.policy.kyverno.podsecurity import judge_pod

            return judge_pod(rule, subject)
        if "cel" in validate:
            from firedrill.world.policy.kyverno.expressions import judge_expressions

            return judge_expressions(rule, subject, context.lookup)
        return _validate(rule, validate, subject, context, None)
    except Unmet as problem:
        return Verdict("error", str(problem))
    except (Exhausted, RecursionError) as problem:
        return Verdict("error", f"evaluation of rule {rule.name} was given up: {problem}")


class Unmet(Exception):
    """Preconditions could not be decided."""


def _met(found: Any, context: Context) -> tuple[bool, str]:
    try:
        return conditions.evaluate(found, context.substitute)
    except QueryError as problem:
        raise Unmet(
            f"failed to evaluate preconditions: failed to substitute variables in preconditions: {problem}"
        ) from None
    except conditions.ConditionError as problem:
        raise Unmet(f"failed to evaluate preconditions: {problem}") from None


def _validate(
    rule: Rule, validate: Mapping[str, Any], subject: Subject, context: Context, element: Any
) -> Verdict | None:
    """One body of validation; `element` is the object in its place inside a loop."""
    if validate.get("deny") is not None:
        return _deny(rule, validate["deny"], context)
    if validate.get("pattern") is not None or validate.get("anyPattern") is not None:
        if element is None and subject.operation == "DELETE":
            return None
        target = subject.resource if element is None else element
        try:
            if validate.get("pattern") is not None:
                return _pattern(rule, target, context.substitute(validate["pattern"]), context)
            return _any_pattern(rule, target, context.substitute(validate["anyPattern"]))
        except QueryError as problem:
            return Verdict("error", f"variable substitution failed: {problem}")
    if validate.get("foreach") is not None:
        return _foreach(rule, validate["foreach"], subject, context, element)
    if validate.get("assert") is not None or validate.get("manifests") is not None:
        return Verdict("error", f"rule {rule.name}: assertions and signed manifests are not supported")
    return None


def _deny(rule: Rule, deny: Mapping[str, Any], context: Context) -> Verdict:
    try:
        refused, told = conditions.evaluate(deny.get("conditions"), context.substitute)
    except QueryError as problem:
        return Verdict(
            "error",
            f"failed to check deny conditions: failed to substitute variables in deny conditions: {problem}",
        )
    except conditions.ConditionError as problem:
        return Verdict("error", f"failed to check deny conditions: {problem}")
    if not refused:
        return Verdict("pass", f"validation rule '{rule.name}' passed.")
    message = "; ".join(filter(None, (_message(rule), told)))
    if not message:
        return Verdict("fail", f"validation error: rule {rule.name} failed")
    try:
        shown = context.substitute(message)
    except QueryError:
        return Verdict("fail", message)
    if isinstance(shown, str):
        return Verdict("fail", shown)
    return Verdict("fail", "the produced message didn't resolve to a string, check your policy definition.")


def _message(rule: Rule) -> str:
    return str((rule.body.get("validate") or {}).get("message") or "")


def _pattern(rule: Rule, target: Any, pattern: Any, context: Context) -> Verdict:
    found = Overlay(context.budget).compare(target, pattern)
    if found is None:
        return Verdict("pass", f"validation rule '{rule.name}' passed.")
    if found.kind == "skip":
        return Verdict("skip", found.message)
    if not found.path:
        return Verdict("error", _failure(rule, found, context))
    return Verdict("fail", _failure(rule, found, context), found.path)


def _failure(rule: Rule, found: Mismatch, context: Context) -> str:
    end = f"failed at path {found.path}" if found.path else f"execution error: {found.message}"
    message = _message(rule)
    if not message:
        return f"validation error: rule {rule.name} {end}"
    try:
        shown = context.substitute(message)
    except QueryError:
        head = f"validation error: variables substitution error in rule {rule.name}"
        return f"{head} execution error: {found.message}"
    text = shown if isinstance(shown, str) else message
    return f"validation error: {text if text.endswith('.') else text + '.'} rule {rule.name} {end}"


def _any_pattern(rule: Rule, target: Any, patterns: Any) -> Verdict:
    if not isinstance(patterns, list):
        return Verdict("error", "failed to deserialize anyPattern, expected type array")
    failed: list[str] = []
    skipped: list[str] = []
    for at, pattern in enumerate(patterns):
        found = Overlay().compare(target, pattern)
        if found is None:
            return Verdict("pass", f"validation rule '{rule.name}' anyPattern[{at}] passed.")
        if found.kind == "skip":
            skipped.append(f"rule {rule.name}[{at}] skipped: {found.message}")
        elif found.path:
            failed.append(f"rule {rule.name}[{at}] failed at path {found.path}")
        else:
            failed.append(f"rule {rule.name}[{at}] failed: {found.message}")
    if skipped and not failed:
        return Verdict("skip", " ".join(skipped))
    if not failed:
        return Verdict("pass", _message(rule))
    message = _message(rule)
    head = (message if message.endswith(".") else f"{message}.") + " " if message else ""
    return Verdict("fail", f"validation error: {head}{' '.join(failed)}")


def _foreach(
    rule: Rule, loops: Any, subject: Subject, context: Context, outer: Any, depth: int = 0
) -> Verdict | None:
    applied = 0
    for loop in loops if isinstance(loops, list) else ():
        try:
            listed = context.substitute(str(loop.get("list") or ""))
            found = context.query(listed) if isinstance(listed, str) else listed
        except QueryError:
            continue  # a list that is not there has no elements
        elements = found if isinstance(found, list) else [found]
        verdict, count = _elements(rule, loop, elements, subject, context, outer, depth)
        if verdict is not None:
            return verdict
        applied += count
    if not applied:
        return Verdict("skip", "rule skipped")
    return Verdict("pass", "rule passed")


def _elements(
    rule: Rule,
    loop: Mapping[str, Any],
    elements: Sequence[Any],
    subject: Subject,
    context: Context,
    outer: Any,
    depth: int,
) -> tuple[Verdict | None, int]:
    applied = 0
    if len(elements) > _ELEMENTS:
        raise Exhausted(f"a list has more than {_ELEMENTS} elements")
    for at, element in enumerate(elements):
        if element is None:
            continue
        verdict = _element(rule, loop, element, at, subject, context, outer, depth)
        if verdict is None or verdict.result == "skip":
            continue
        if verdict.result == "pass":
            applied += 1
        elif verdict.result != "error" or at == len(elements) - 1:
            return Verdict(verdict.result, f"validation failure: {verdict.message}", verdict.path), applied
    return None, applied


def _element(
    rule: Rule,
    loop: Mapping[str, Any],
    element: Any,
    at: int,
    subject: Subject,
    context: Context,
    outer: Any,
    depth: int,
) -> Verdict | None:
    scoped = loop.get("elementScope")
    if scoped is None:
        scoped = isinstance(element, dict)
    if scoped and not isinstance(element, dict):
        text = "cannot use elementScope=true foreach rules for elements that are not maps"
        text += f", expected type=map got type={type(element).__name__}"
        return Verdict("error", f"failed to process foreach: {text}")
    # What is no map has no fields of its own: patterns look at what it lies in.
    target = element if scoped and element else subject.resource if outer is None else outer
    here = context.inner(
        **{"element": element, f"element{depth}": element, "elementIndex": at, f"elementIndex{depth}": at}
    )
    here.add(loop.get("context") or ())
    try:
        met, _ = _met(loop.get("preconditions"), here)
    except Unmet as problem:
        return Verdict("error", str(problem))
    if not met:
        return Verdict("skip", "preconditions not met")
    if loop.get("foreach") is not None and not any(key in loop for key in ("deny", "pattern", "anyPattern")):
        return _foreach(rule, loop["foreach"], subject, here, target, depth + 1)
    return _validate(rule, loop, subject, here, target)
