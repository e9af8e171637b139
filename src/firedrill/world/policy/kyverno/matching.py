"""Which objects a rule is about: match and exclude."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from firedrill.world.kube.selectors import SelectorError, selects
from firedrill.world.policy.kyverno import wildcard
from firedrill.world.policy.kyverno.model import Subject, User

_VERSION = re.compile(r"v\d+(?:(?:alpha|beta)\d+)?|\*")
_ACCOUNT = "system:serviceaccount:"


@lru_cache(maxsize=4096)
def kind_selector(text: str) -> tuple[str, str, str, str]:
    """Group, version, kind and subresource that a rule asks for; `*` where it does not care.

    `Pod`, `v1/Pod`, `apps/v1/Deployment`, `Pod/exec`, `Pod.status`, `apps/v1/Deployment/scale`, `*/scale`.
    """
    parts = text.split("/")
    if "." in parts[-1] and parts[-1][:1].isupper():
        kind, _, sub = parts[-1].partition(".")
        parts = [*parts[:-1], kind, sub]
    if len(parts) == 1:
        return "*", "*", parts[0], ""
    if len(parts) == 2:
        if parts == ["*", "*"]:
            return "*", "*", "*", "*"
        if _VERSION.fullmatch(parts[0]) and (parts[0] != "*" or parts[1] != parts[1].lower()):
            return "*", parts[0], parts[1], ""
        return "*", "*", parts[0], parts[1]
    if len(parts) == 3:
        if _VERSION.fullmatch(parts[0]) and (parts[0] != "*" or not _VERSION.fullmatch(parts[1])):
            return "*", parts[0], parts[1], parts[2]
        return parts[0], parts[1], parts[2], ""
    return parts[0], parts[1], parts[2], parts[3]


def kind_matches(selectors: Any, subject: Subject) -> bool:
    """Whether one of the selectors takes in the kind and subresource of an object."""
    here = (subject.group, subject.version, subject.kind, subject.subresource)
    return isinstance(selectors, list) and any(_kind_fits(str(text), *here) for text in selectors)


@lru_cache(maxsize=16384)
def _kind_fits(text: str, group: str, version: str, kind: str, subresource: str) -> bool:
    of_group, of_version, of_kind, sub = kind_selector(text)
    if not wildcard.match(of_kind, kind) or not wildcard.match(of_version, version):
        return False
    if not wildcard.match(of_group, group):
        return False
    # Ephemeral containers are part of a pod for whoever asks for pods.
    return wildcard.match(sub, subresource) or (not sub and subresource == "ephemeralcontainers")


def applies(rule: Mapping[str, Any], subject: Subject, policy_namespace: str = "") -> bool:
    """Whether the rule is about this object and this request."""
    if policy_namespace and policy_namespace != subject.namespace:
        return False
    return _included(rule.get("match") or {}, subject) and not _excluded(rule.get("exclude") or {}, subject)


def _blocks(section: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = section.get(key)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def _included(section: Mapping[str, Any], subject: Subject) -> bool:
    if section.get("any"):
        return any(_matched(block, subject) for block in _blocks(section, "any"))
    if section.get("all"):
        return all(_matched(block, subject) for block in _blocks(section, "all"))
    return _matched(section, subject)


def _matched(block: Mapping[str, Any], subject: Subject) -> bool:
    if not subject.user.known:
        block = {"resources": block.get("resources")}
    return not empty(block) and block_matches(block, subject)


def _excluded(section: Mapping[str, Any], subject: Subject) -> bool:
    if section.get("any"):
        return any(_left_out(block, subject) for block in _blocks(section, "any"))
    if section.get("all"):
        return all(_left_out(block, subject) for block in _blocks(section, "all"))
    return _left_out(section, subject)


def _left_out(block: Mapping[str, Any], subject: Subject) -> bool:
    return not empty(block) and block_matches(block, subject)


def empty(block: Mapping[str, Any]) -> bool:
    """Whether a block asks for nothing at all."""
    return not any(block.get(key) for key in ("resources", "subjects", "roles", "clusterRoles"))


def block_matches(block: Mapping[str, Any], subject: Subject) -> bool:
    """Whether an object and who brings it meet every part of a block."""
    what = block.get("resources")
    return _resource(what if isinstance(what, Mapping) else {}, subject) and _who(block, subject.user)


def _resource(what: Mapping[str, Any], subject: Subject) -> bool:
    if what.get("kinds") and not kind_matches(what["kinds"], subject):
        return False
    if what.get("name") and not wildcard.match(str(what["name"]), subject.name):
        return False
    if what.get("names") and not wildcard.any_match(what["names"], subject.name):
        return False
    namespace = subject.name if subject.kind == "Namespace" else subject.namespace
    if what.get("namespaces") and not wildcard.any_match(what["namespaces"], namespace):
        return False
    if what.get("annotations") and not _annotated(what["annotations"], subject):
        return False
    operations = what.get("operations")
    if operations and (subject.operation or "CREATE") not in list(map(str, operations)):
        return False
    if what.get("selector") is not None and not chosen(what["selector"], subject.metadata.get("labels")):
        return False
    selector = what.get("namespaceSelector")
    return selector is None or subject.kind == "Namespace" or chosen(selector, subject.namespace_labels)


def _annotated(wanted: Mapping[str, Any], subject: Subject) -> bool:
    given = subject.metadata.get("annotations")
    there = given if isinstance(given, Mapping) else {}
    return all(
        any(wildcard.match(str(key), name) and wildcard.match(str(text), str(there[name])) for name in there)
        for key, text in wanted.items()
    )


def chosen(selector: Any, labels: Any) -> bool:
    """Whether a label selector, with wildcards in keys and values, takes in the labels."""
    there = {str(key): str(value) for key, value in labels.items()} if isinstance(labels, Mapping) else {}
    if not isinstance(selector, Mapping):
        return False
    for key, text in (selector.get("matchLabels") or {}).items():
        if not any(
            wildcard.match(str(key), name) and wildcard.match(str(text), there[name]) for name in there
        ):
            return False
    try:
        return selects({"matchExpressions": selector.get("matchExpressions") or []}, there)
    except (SelectorError, KeyError, TypeError):
        return False


def _who(block: Mapping[str, Any], user: User) -> bool:
    if block.get("roles") and not any(wildcard.any_match(block["roles"], item) for item in user.roles):
        return False
    wanted = block.get("clusterRoles")
    if wanted and not any(wildcard.any_match(wanted, item) for item in user.cluster_roles):
        return False
    subjects = block.get("subjects")
    return not subjects or any(_is(item, user) for item in subjects if isinstance(item, Mapping))


def _is(subject: Mapping[str, Any], user: User) -> bool:
    name = str(subject.get("name") or "")
    if subject.get("kind") == "ServiceAccount":
        wanted = f"{_ACCOUNT}{subject.get('namespace') or ''}:{name}"
        return wildcard.match(wanted, user.name)
    if subject.get("kind") == "User":
        return wildcard.match(name, user.name)
    return subject.get("kind") == "Group" and any(wildcard.match(name, group) for group in user.groups)
