"""From what artefacts collected to facts: the part that clusters and hosts have in common."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from firedrill.core.compliance import TWIN, VISIBLE, Judged, Stage
from firedrill.suites.compliance.model import Variant
from firedrill.world.policy.rego import Module, Outcome, Rego, RegoError, Undefined, Value, findings, verdict

POLICY = "policy.rego"
COLLECTED = "collected_data.json"
_RESULT, _VIOLATIONS = "data.check.result", "data.check.violations"
_MOST_NAMED = 1_000
_PASSING = frozenset(
    {"uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "selfLink", "status"}
)
"""Members of objects that differ between two clusters of the same objects."""
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*")


@dataclass(frozen=True)
class Collected:
    """What a collector brought back from one variant.

    Attributes:
        variant: which.
        data: what it collected; None where there is nothing that can be judged.
        reason: why not.
    """

    variant: Variant
    data: Any = None
    reason: str = ""


def read_collected(raw: bytes | None) -> tuple[Any, str]:
    """Collected data, or why they are none."""
    if raw is None:
        return None, f"it leaves no {COLLECTED}"
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError):
        return None, f"{COLLECTED} is no JSON"
    return (data, "") if data not in (None, {}, [], "") else (None, f"{COLLECTED} is empty")


def engine(text: str | None) -> tuple[Stage, str]:
    """Whether a policy compiles and has what is asked for, and the version of Rego that it is written in."""
    if text is None:
        return Stage(reason=f"no {POLICY} was handed in"), ""
    checked = Rego().check([Module(POLICY, text)])
    errors = [item for item in findings(checked, "check", "result", POLICY) if item.severity == "error"]
    if errors:
        first = errors[0]
        place = f"line {first.line}: " if first.line else ""
        return Stage(reason=f"{place}{first.message}"), f"v{checked.version}"
    return Stage(ok=True), f"v{checked.version}"


def judge_collected(text: str, found: Sequence[Collected]) -> list[Judged]:
    """What a policy says of what was collected."""
    modules = [Module(POLICY, text)]
    inputs = [item.data for item in found if item.data is not None]
    rego = Rego()
    results = iter(rego.evaluate_many(modules, _RESULT, inputs) if inputs else ())
    named = iter(rego.evaluate_many(modules, _VIOLATIONS, inputs) if inputs else ())
    judged = []
    for item in found:
        if item.data is None:
            judged.append(_judged(item.variant, "none", None, item.reason))
            continue
        result, violations = next(results), next(named)
        got, reason = _said(result)
        judged.append(_judged(item.variant, got, _names(violations), reason))
    return judged


def _judged(variant: Variant, got: str, named: tuple[str, ...] | None, reason: str) -> Judged:
    return Judged(
        name=variant.name,
        trap=variant.trap,
        compliant=variant.compliant,
        got=got,
        violating=variant.violating,
        named=named,
        reason=reason[:300],
    )


def _said(outcome: Outcome) -> tuple[str, str]:
    said = verdict(outcome)
    if said is not None:
        return ("pass" if said else "fail"), ""
    if isinstance(outcome, RegoError):
        return ("timeout" if outcome.code == "time" else "error"), outcome.text()
    if isinstance(outcome, Undefined):
        return "undefined", "result is undefined"
    return "error", "result is no boolean"


def _names(outcome: Outcome) -> tuple[str, ...] | None:
    if not isinstance(outcome, Value) or not isinstance(outcome.value, list):
        return None
    return tuple(sorted({item for item in outcome.value if isinstance(item, str)}))[:_MOST_NAMED]


def evidence(found: Sequence[Collected]) -> Stage:
    """Whether there are data of V0, other than those of its twin."""
    by_name = {item.variant.name: item for item in found}
    broken, healed = by_name[VISIBLE], by_name[TWIN]
    if broken.data is None:
        return Stage(reason=broken.reason)
    if healed.data is not None and lasting(broken.data) == lasting(healed.data):
        return Stage(reason="the same is collected whether the requirement is broken or not")
    return Stage(ok=True)


def lasting(value: Any) -> Any:
    """Collected data without what differs from one moment to the next."""
    if isinstance(value, Mapping):
        return {key: lasting(item) for key, item in value.items() if key not in _PASSING}
    if isinstance(value, list):
        return [lasting(item) for item in value]
    return _MOMENT.sub("", value) if isinstance(value, str) else value


__all__ = [
    "COLLECTED",
    "POLICY",
    "Collected",
    "engine",
    "evidence",
    "judge_collected",
    "lasting",
    "read_collected",
]
