"""What ValidatingAdmissionPolicies add to the audit of a request.

Source: `k8s.io/apiserver/pkg/admission/plugin/policy/validating`; what was noted first is not overwritten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from firedrill.world.kube import cel
from firedrill.world.kube.admission.base import Attributes
from firedrill.world.kube.objects import Obj, dig, name_of

FAILURE = "validation.policy.admission.k8s.io/validation_failure"
_LONGEST_VALUE = 10 * 1024


def note_failure(a: Attributes, policy: Obj, binding: Obj, index: int, message: str) -> None:
    """Note a validation that does not hold, for a binding with the action Audit."""
    entry = {
        "message": message,
        "policy": name_of(policy),
        "binding": name_of(binding),
        "expressionIndex": index,
        "validationActions": dig(binding, "spec", "validationActions", default=[]),
    }
    a.notes.setdefault(FAILURE, orjson.dumps([entry]).decode())


def note_values(a: Attributes, policy: Obj, evaluate: Callable[[str], Any]) -> None:
    """Note the `auditAnnotations` of a policy whose conditions the request meets.

    Args:
        a: the request.
        policy: whose annotations are meant.
        evaluate: gives the value of an expression.
    """
    spec: Mapping[str, Any] = policy["spec"]
    try:
        if any(evaluate(item["expression"]) is not True for item in spec.get("matchConditions") or ()):
            return
    except (cel.CelError, cel.CelSyntaxError):
        return
    for item in spec.get("auditAnnotations") or ():
        key = f"{name_of(policy)}/{item['key']}"
        try:
            value = evaluate(item["valueExpression"])
        except (cel.CelError, cel.CelSyntaxError):
            continue  # the request is refused for it elsewhere, where the policy says so
        if not isinstance(value, str) or not value.strip():
            continue
        text, known = value.strip()[:_LONGEST_VALUE], a.notes.get(key, "")
        if not known:
            a.notes[key] = text
        elif text not in known.split(", "):
            a.notes[key] = f"{known}, {text}"
