"""Documents to policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firedrill.core.errors import InputError
from firedrill.world.policy.kyverno.autogen import derive
from firedrill.world.policy.kyverno.model import Policy, Rule

GROUPS: Mapping[str, str] = {
    "ClusterPolicy": "kyverno.io",
    "Policy": "kyverno.io",
    "PolicyException": "kyverno.io",
    "ValidatingPolicy": "policies.kyverno.io",
    "NamespacedValidatingPolicy": "policies.kyverno.io",
}


def load(document: Mapping[str, Any]) -> Policy:
    """A policy or exception, with the rules derived for what makes pods.

    Raises:
        InputError: the document is none of these; what is wrong inside is for `problems` to say.
    """
    kind = str(document.get("kind") or "")
    group = str(document.get("apiVersion") or "").rpartition("/")[0]
    known = {GROUPS.get(kind), "policies.kyverno.io"} if kind == "PolicyException" else {GROUPS.get(kind)}
    if kind not in GROUPS or group not in known:
        raise InputError(
            f"no policy of Kyverno: {document.get('apiVersion')}, kind {kind or 'missing'}",
            field="kind",
            mend=f"write one of {', '.join(GROUPS)}",
        )
    metadata = document.get("metadata")
    name = str(metadata.get("name") or "") if isinstance(metadata, Mapping) else ""
    space = str(metadata.get("namespace") or "") if isinstance(metadata, Mapping) else ""
    namespaced = kind in ("Policy", "NamespacedValidatingPolicy", "PolicyException")
    policy = Policy(kind, name, (space or "default") if namespaced else "", document)
    if kind not in ("ClusterPolicy", "Policy"):
        return policy
    found = policy.spec.get("rules")
    bodies = [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []
    own = tuple(Rule(str(item.get("name") or ""), item) for item in bodies)
    try:
        derived = derive(bodies, policy.annotations)
    except (AttributeError, KeyError, TypeError, ValueError) as problem:
        raise InputError(
            f"the rules are not of a policy's shape: {problem}",
            field="spec.rules",
            mend="write match, exclude and validate as objects with lists of kinds",
        ) from None
    return Policy(kind, name, policy.namespace, document, (*own, *derived))
