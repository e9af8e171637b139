"""Policies of Kyverno, with expressions in CEL, from what is demanded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from firedrill.agents.clerk.model import Condition, Demand
from firedrill.agents.clerk.words import Words

_ALL = (
    "(object.spec.containers + object.spec.?initContainers.orValue([])"
    " + object.spec.?ephemeralContainers.orValue([]))"
)


def policy(words: Words, demands: Sequence[Demand], name: str = "clerk") -> dict[str, Any]:
    """A ClusterPolicy that reports, or blocks where the words ask for that."""
    rule: dict[str, Any] = {
        "name": "demands",
        "match": {"any": [{"resources": {"kinds": ["Pod"]}}]},
        "validate": {
            "message": "This is not as the rules for pods want it.",
            "cel": {"expressions": [{"expression": expression(item)} for item in demands]},
        },
    }
    if words.exempt:
        rule["exclude"] = {"any": [{"resources": {"namespaces": list(words.exempt)}}]}
    return {
        "apiVersion": "kyverno.io/v1",
        "kind": "ClusterPolicy",
        "metadata": {"name": name},
        "spec": {"validationFailureAction": action(words), "background": True, "rules": [rule]},
    }


def action(words: Words) -> str:
    """What is to become of what breaks the rule."""
    lower = words.lower
    quiet = any(item in lower for item in ("blocks nothing", "denies nothing", "does not block"))
    asked = any(item in lower for item in ("is denied", "are denied", "blocks", "refuse", "reject"))
    return "Enforce" if asked and not quiet else "Audit"


def expression(demand: Demand) -> str:
    """A demand in CEL, about a pod."""
    item = "object.spec" if demand.scope == "pod" else "i" if demand.scope in ("port", "volume") else "c"
    fine = " || ".join(_condition(one, item) for one in demand.fine)
    never = "".join(f" && !({_condition(one, item)})" for one in demand.never)
    holds = f"({fine}){never}"
    if demand.scope == "container":
        return f"{_ALL}.all(c, {holds})"
    if demand.scope == "port":
        return f"{_ALL}.all(c, c.?ports.orValue([]).all(i, {holds}))"
    return f"object.spec.?volumes.orValue([]).all(i, {holds})" if demand.scope == "volume" else holds


def _condition(one: Condition, item: str) -> str:
    field = item + "".join(f".?{step}" for step in one.path)
    if one.inherited:
        field = f"{field}.or(object.spec{''.join(f'.?{step}' for step in one.path)})"
    if one.operator == "set":
        return f"{field}.hasValue()"
    if one.operator == "none-in" and not one.values:
        return f"!{field}.hasValue()"
    values = json.dumps(list(one.values))
    tests = {
        "in": f"{field}.value() in {values}",
        "above": f"{field}.value() > {one.values[0] if one.values else 0}",
        "at-most": f"{field}.value() <= {one.values[0] if one.values else 0}",
        "all-in": f"{field}.value().all(v, v in {values})",
        "none-in": f"{field}.value().all(v, !(v in {values}))",
        "has": f"{values}.all(v, v in {field}.value())",
    }
    return f"({field}.hasValue() ? {tests[one.operator]} : {str(one.absent).lower()})"


__all__ = ["action", "expression", "policy"]
