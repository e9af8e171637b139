"""Kyverno's own rules about policies: kinds, rule bodies, variables, expressions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from firedrill.world.policy.kyverno.autogen import blocks_of, kinds_of
from firedrill.world.policy.kyverno.conditions import OPERATORS
from firedrill.world.policy.kyverno.matching import empty, kind_selector
from firedrill.world.policy.kyverno.model import Policy
from firedrill.world.policy.kyverno.overlay import anchor
from firedrill.world.policy.kyverno.query import QueryError, parse
from firedrill.world.policy.kyverno.rulings_cel import exception, expressions_of, validating
from firedrill.world.policy.kyverno.variables import VARIABLE

Kinds = Callable[[str, str, str], bool]
"""Called with group, version and kind, each with wildcards: whether the API serves such a kind."""

_BODIES = ("validate", "mutate", "generate", "verifyImages")
_CHECKS = ("pattern", "anyPattern", "deny", "foreach", "podSecurity", "cel", "assert", "manifests")
_ALLOWED = re.compile(
    r"(request\b|serviceAccountName|serviceAccountNamespace|element\d*\b|elementIndex\d*\b|@|images\b|target\b|[a-z_0-9]+\()"
)
_USER = re.compile(r"request\.(userInfo|roles|clusterRoles)\b|(?<![\w.])serviceAccountName(space)?\b")
_ALLOWED_TEXT = (
    r"request\.|serviceAccountName|serviceAccountNamespace|element|elementIndex|@|images|images\.|image\.|"
    r"([a-z_0-9]+\()[^{}]"
)
_BACKGROUND = (
    "only select variables are allowed in background mode. "
    "Set spec.background=false to disable background mode for this policy rule"
)
Path = str


def rulings(policy: Policy, kinds: Kinds | None) -> Iterator[str]:
    """What is wrong with a policy whose schema is right."""
    if policy.kind in ("ValidatingPolicy", "NamespacedValidatingPolicy"):
        yield from validating(policy)
    elif policy.kind == "PolicyException":
        yield from exception(policy)
    else:
        yield from _policy(policy, kinds)


def _policy(policy: Policy, kinds: Kinds | None) -> Iterator[str]:
    rules = policy.spec.get("rules") or []
    if not rules:
        yield "spec.rules: Required value: a policy must have at least one rule"
    seen: set[str] = set()
    for at, rule in enumerate(rules):
        name = str(rule.get("name") or "")
        if name in seen:
            yield f"spec.rules[{at}].name: Invalid value: \"{name}\": Duplicate rule name: '{name}'"
        seen.add(name)
        bodies = [key for key in _BODIES if rule.get(key)]
        if not bodies:
            operations = "(supported operations: mutate,validate,generate,verifyImages)"
            yield f"path: spec.rules[{at}]: No operation defined in the rule '{name}'.{operations}"
        elif len(bodies) > 1:
            allowed = "only one operation (mutate,validate,generate,verifyImages) is allowed per rule"
            yield f"path: spec.rules[{at}]: Multiple operations defined in the rule '{name}', {allowed}"
        yield from _matching(policy, rule, at, kinds)
        if rule.get("validate"):
            yield from _validation(rule["validate"], f"spec.rules[{at}].validate")
        yield from _conditions(rule.get("preconditions"), f"spec.rules[{at}].preconditions")
        yield from _variables(policy, rule, at)
        yield from _context(rule.get("context"), f"spec.rules[{at}].context")


def _matching(policy: Policy, rule: Mapping[str, Any], at: int, kinds: Kinds | None) -> Iterator[str]:
    match = rule.get("match") or {}
    if all(empty(block) for block in blocks_of(match)):
        yield f"spec.rules[{at}].match: Required value: match resources must be specified"
        return
    for section in ("match", "exclude"):
        found = rule.get(section) or {}
        if found.get("any") and found.get("all"):
            yield f"spec.rules[{at}].{section}: Forbidden: Can't specify any and all together"
        elif (found.get("any") or found.get("all")) and not empty(
            {key: value for key, value in found.items() if key not in ("any", "all")}
        ):
            where = f"spec.rules[{at}].{section}"
            yield f"{where}: Forbidden: Can't specify any/all together with match resources"
        for block in blocks_of(found):
            yield from _block(policy, block, at, section, kinds)
    for which in ("any", "all"):
        for number, block in enumerate(match.get(which) or ()):
            if not kinds_of(block) and not empty(block) and "resources" in block:
                where = f"spec.rules[{at}].match.{which}[{number}].resources.kinds"
                yield f"{where}: Required value: kinds are missing"
    if rule.get("exclude") and rule.get("exclude") == match:
        yield f"spec.rules[{at}]: Invalid value: Rule is matching an empty set"


def _block(
    policy: Policy, block: Mapping[str, Any], at: int, section: str, kinds: Kinds | None
) -> Iterator[str]:
    given = kinds_of(block)
    if "*" in given and len(given) > 1:
        yield "wildcard policy can not deal with more than one kind"
    elif "*" in given and policy.background and section == "match":
        text = "wildcard policy not allowed in background mode"
        yield f"{text}. Set spec.background=false to disable background mode for this policy rule"
    for text in given:
        group, version, kind, _ = kind_selector(text)
        if kinds is not None and kind != "*" and not kinds(group, version, kind):
            head = f"the kind defined in the {section} resource is invalid"
            yield f"{head}: unable to convert GVK to GVR for kinds {text}"
    if policy.background and any(block.get(key) for key in ("subjects", "roles", "clusterRoles")):
        field = next(key for key in ("roles", "clusterRoles", "subjects") if block.get(key))
        yield f"{_BACKGROUND}: invalid variable used at path: spec/rules[{at}]/{section}/{field}"
    if policy.namespace and (block.get("resources") or {}).get("namespaces"):
        where = f"spec.rules[{at}].{section}.resources.namespaces"
        yield f"{where}: Forbidden: a namespaced policy cannot name namespaces"


def _validation(body: Mapping[str, Any], path: Path, *, loop: bool = False) -> Iterator[str]:
    given = [key for key in _CHECKS if body.get(key) is not None]
    if not given:
        yield f"path: {path}.: one of pattern, anyPattern, deny, foreach must be specified"
    elif len(given) > 1:
        yield f"path: {path}.: only one of pattern, anyPattern, deny, foreach can be specified"
    if body.get("pattern") is not None:
        yield from _pattern(body["pattern"], f"{path}.pattern", "/")
    if body.get("anyPattern") is not None:
        if not isinstance(body["anyPattern"], list):
            yield f"path: {path}.anyPattern: failed to deserialize anyPattern, expect array"
        else:
            for number, item in enumerate(body["anyPattern"]):
                yield from _pattern(item, f"{path}.anyPattern[{number}]", "/")
    if isinstance(body.get("deny"), Mapping):
        yield from _conditions(body["deny"].get("conditions"), f"{path}.deny.conditions")
    if body.get("cel") is not None:
        yield from expressions_of(body["cel"], path)
    loops = body.get("foreach")
    for number, item in enumerate(loops if isinstance(loops, list) else ()):
        if not isinstance(item, Mapping):
            yield f"path: {path}.foreach[{number}]: expected an object"
            continue
        if not item.get("list"):
            yield f"path: {path}.foreach[{number}].: list must be specified"
        yield from _conditions(item.get("preconditions"), f"{path}.foreach[{number}].preconditions")
        yield from _validation(item, f"{path}.foreach[{number}]", loop=True)


def _pattern(pattern: Any, path: Path, here: str) -> Iterator[str]:
    if isinstance(pattern, dict):
        for key, value in pattern.items():
            kind, name = anchor(str(key))
            below = f"{here}{name}/"
            if kind == "+()":
                yield f"path: {path}{here}{key}: Unknown anchor type: +({name})"
            if kind == "^()" and not isinstance(value, list):
                text = f"Existing anchor at {below} must be of type array, found {type(value).__name__}"
                yield f"path: {path}{here}: {text}"
            if kind != "X()":
                yield from _pattern(value, path, below)
    elif isinstance(pattern, list):
        if not pattern:
            yield f"path: {path}{here}: pattern array must not be empty"
        for number, item in enumerate(pattern):
            yield from _pattern(item, path, f"{here}{number}/")


def _conditions(conditions: Any, path: Path) -> Iterator[str]:
    if conditions is None:
        return
    if isinstance(conditions, Mapping):
        wrong = sorted(set(conditions) - {"any", "all"})
        if wrong:
            yield f"{path}: wrong format, expected 'any' or 'all', found '{wrong[0]}'"
        for key in ("any", "all"):
            found = conditions.get(key)
            if found is not None and not isinstance(found, list):
                yield f"{path}.{key}: Invalid value: expected an array"
                continue
            for number, item in enumerate(found or ()):
                yield from _condition(item, f"{path}.{key}[{number}]")
    elif isinstance(conditions, list):
        for number, item in enumerate(conditions):
            if isinstance(item, Mapping) and ("any" in item or "all" in item):
                yield from _conditions(item, f"{path}[{number}]")
            else:
                yield from _condition(item, f"{path}[{number}]")
    else:
        yield f"{path}: Invalid value: expected an object or an array"


def _condition(condition: Any, path: Path) -> Iterator[str]:
    if not isinstance(condition, Mapping):
        yield f"{path}: Invalid value: expected an object"
        return
    wrong = sorted(set(condition) - {"key", "operator", "value", "message"})
    if wrong:
        yield f'{path}: unknown field "{wrong[0]}"'
    if str(condition.get("operator") or "").lower() not in OPERATORS:
        yield f"{path}: entered value of `operator` is invalid: {condition.get('operator')}"
    if condition.get("key") is None:
        yield f"{path}: entered value of `key` is missing"


def _context(entries: Any, path: Path) -> Iterator[str]:
    kinds = ("configMap", "apiCall", "imageRegistry", "variable", "globalReference")
    for number, entry in enumerate(entries or ()):
        given = [key for key in kinds if entry.get(key) is not None]
        if len(given) != 1:
            wanted = f"exactly one of {', '.join(kinds)} is required"
            yield f"{path}[{number}]: {wanted} for context entry `{entry.get('name')}`"
        call = entry.get("apiCall") or {}
        if call and bool(call.get("urlPath")) == bool(call.get("service")):
            yield f"{path}[{number}].apiCall: a urlPath or a service is required"
        variable = entry.get("variable") or {}
        if variable and variable.get("value") is None and not variable.get("jmesPath"):
            yield f"{path}[{number}].variable: a variable must have a value or a jmesPath"


def _variables(policy: Policy, rule: Mapping[str, Any], at: int) -> Iterator[str]:
    names = _context_names(rule)
    for path, text in _texts({key: rule[key] for key in rule if key not in ("match", "exclude")}, ""):
        for found in VARIABLE.finditer(text):
            variable = found[1].strip()
            if VARIABLE.search(variable) or "{{" in variable:
                continue
            yield from _variable(policy, rule, at, path, variable, names)


def _context_names(rule: Any) -> set[str]:
    """Every name that some context entry of a rule brings, at any depth."""
    names: set[str] = set()
    waiting = [rule]
    while waiting:
        here = waiting.pop()
        if isinstance(here, Mapping):
            entries = here.get("context")
            if isinstance(entries, list):
                names |= {str(item.get("name")) for item in entries if isinstance(item, Mapping)}
            waiting.extend(here.values())
        elif isinstance(here, list):
            waiting.extend(here)
    return names


def _variable(
    policy: Policy, rule: Mapping[str, Any], at: int, path: Path, variable: str, names: set[str]
) -> Iterator[str]:
    head = f"policy contains invalid variables: variable substitution failed for rule {rule.get('name')}"
    bare = variable.lstrip("(!&[{ '`\"")
    root = re.match(r"[A-Za-z_0-9-]+", bare)
    known = bool(root and root[0] in names) or variable[:1] in "'`[{" or _ALLOWED.match(bare) is not None
    if not known:
        yield f'{head}: variable {variable} must match regex "{_ALLOWED_TEXT}" or patterns {sorted(names)}'
    elif variable.startswith("element") and "/foreach/" not in path:
        yield f"{head}: variable '{variable}' present outside of foreach at path {path}"
    elif variable != "@":
        try:
            parse(variable)
        except QueryError as problem:
            yield f"{head}: failed to resolve {variable} at path {path}: {problem}"
    if policy.background and _USER.search(variable):
        yield f"{_BACKGROUND}: variable {{{{{variable}}}}} is not allowed"


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        if "{{" in value:
            yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(key, str) and "{{" in key:
                yield path, key
            yield from _texts(item, f"{path}/{key}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _texts(item, f"{path}/{number}")
