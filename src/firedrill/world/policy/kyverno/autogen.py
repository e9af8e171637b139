"""Rules about pods, derived for what makes pods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from firedrill.world.policy.kyverno.images import TEMPLATES
from firedrill.world.policy.kyverno.matching import kind_selector
from firedrill.world.policy.kyverno.model import Rule

ANNOTATION = "pod-policies.kyverno.io/autogen-controllers"
CONTROLLERS = (
    "CronJob",
    "DaemonSet",
    "Deployment",
    "Job",
    "ReplicaSet",
    "ReplicationController",
    "StatefulSet",
)
_SHORT = ("spec", "template")
_LONG = TEMPLATES["CronJob"]
_NAME = 63


def kinds_of(block: Any) -> list[str]:
    """The selectors of kinds in one block of match or exclude."""
    what = block.get("resources") if isinstance(block, Mapping) else None
    found = what.get("kinds") if isinstance(what, Mapping) else None
    return [str(item) for item in found] if isinstance(found, list) else []


def blocks_of(section: Any) -> list[Mapping[str, Any]]:
    """All blocks of match or exclude: those of any and all, and the section itself."""
    if not isinstance(section, Mapping):
        return []
    listed = [item for key in ("any", "all") for item in section.get(key) or () if isinstance(item, Mapping)]
    return [section, *listed]


def _bare(selector: str) -> str:
    return kind_selector(selector)[2]


def _fit(block: Mapping[str, Any]) -> bool:
    what = block.get("resources")
    if not isinstance(what, Mapping):
        return True
    if what.get("name") or what.get("names") or what.get("selector") is not None:
        return False
    if what.get("annotations") is not None:
        return False
    kinds = kinds_of(block)
    return len(kinds) <= 1 or not any(_bare(item) == "Pod" for item in kinds)


def supported(rules: Sequence[Mapping[str, Any]]) -> bool:
    """Whether rules can be derived for a policy: all of it, or nothing."""
    needed = False
    for rule in rules:
        if rule.get("generate") or (rule.get("mutate") or {}).get("patchesJson6902"):
            return False
        for block in (*blocks_of(rule.get("match")), *blocks_of(rule.get("exclude"))):
            if not _fit(block):
                return False
            needed = needed or any(_bare(item) in ("Pod", *CONTROLLERS) for item in kinds_of(block))
    return needed


def controllers(rules: Sequence[Mapping[str, Any]], annotations: Mapping[str, str]) -> tuple[str, ...]:
    """The controllers that rules are derived for."""
    if not supported(rules):
        return ()
    asked = annotations.get(ANNOTATION)
    if not isinstance(asked, str) or asked == "all":
        return CONTROLLERS
    wanted = {item.strip() for item in asked.split(",")}
    return tuple(item for item in CONTROLLERS if item in wanted)


def derive(rules: Sequence[Mapping[str, Any]], annotations: Mapping[str, str]) -> tuple[Rule, ...]:
    """The derived rules of a policy, in order."""
    wanted = controllers(rules, annotations)
    short = [item for item in wanted if item != "CronJob"]
    out: list[Rule] = []
    for rule in rules:
        name = str(rule.get("name") or "")
        if name.startswith("autogen-") or not _about_pods(rule) or not rule.get("validate"):
            continue
        if short:
            out.append(_derived(f"autogen-{name}"[:_NAME], rule, short, _SHORT))
        if "CronJob" in wanted:
            out.append(_derived(f"autogen-cronjob-{name}"[:_NAME], rule, ["CronJob"], _LONG))
    return tuple(out)


def _about_pods(rule: Mapping[str, Any]) -> bool:
    matched = [_bare(item) for block in blocks_of(rule.get("match")) for item in kinds_of(block)]
    excluded = [_bare(item) for block in blocks_of(rule.get("exclude")) for item in kinds_of(block)]
    return "Pod" in matched and (not excluded or "Pod" in excluded)


def _derived(name: str, rule: Mapping[str, Any], kinds: list[str], template: tuple[str, ...]) -> Rule:
    body = dict(rule)
    body["name"] = name
    for key in ("match", "exclude"):
        if isinstance(body.get(key), Mapping):
            body[key] = _rekinded(body[key], kinds)
    validate = dict(body["validate"])
    if validate.get("pattern") is not None:
        validate["pattern"] = _wrapped(validate["pattern"], template)
    elif isinstance(validate.get("anyPattern"), list):
        validate["anyPattern"] = [_wrapped(item, template) for item in validate["anyPattern"]]
    body["validate"] = validate
    if "cel" not in validate and "podSecurity" not in validate:
        matching: dict[str, Any] = {key: body.pop(key) for key in ("match", "exclude") if key in body}
        body = {**_texts(body, _shifted(template)), **matching}
    return Rule(name, body, template)


def _rekinded(section: Mapping[str, Any], kinds: list[str]) -> dict[str, Any]:
    out = dict(section)
    listed = False
    for key in ("any", "all"):
        if section.get(key):
            listed = True
            out[key] = [
                _with_kinds(item, kinds) if "Pod" in map(_bare, kinds_of(item)) else item
                for item in section[key]
            ]
    if not listed and kinds_of(section):
        return _with_kinds(section, kinds)
    return out


def _with_kinds(block: Mapping[str, Any], kinds: list[str]) -> dict[str, Any]:
    return {**block, "resources": {**block["resources"], "kinds": list(kinds)}}


def _wrapped(pattern: Any, template: tuple[str, ...]) -> Any:
    for step in reversed(template):
        pattern = {step: pattern}
    return pattern


def _shifted(template: tuple[str, ...]) -> Callable[[str], str]:
    path = ".".join(template)

    def shift(text: str) -> str:
        for name in ("request.object", "request.oldObject"):
            if name in text:
                text = text.replace(f"{name}.spec", f"{name}.\0")
                text = text.replace(f"{name}.metadata", f"{name}.{path}.metadata")
                text = text.replace(f"{name}.\0", f"{name}.{path}.spec")
        return text

    return shift


def _texts(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {
            change(key) if isinstance(key, str) else key: _texts(item, change) for key, item in value.items()
        }
    if isinstance(value, list):
        return [_texts(item, change) for item in value]
    return value
