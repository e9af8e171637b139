"""How fast an autoscaler may follow its metrics: stabilisation windows and scaling policies.

Source: kube-controller-manager 1.31, `pkg/controller/podautoscaler/horizontal.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from firedrill.world.kube.objects import Obj, dig

_UP: Obj = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
_DOWN: Obj = {
    "stabilizationWindowSeconds": 300,
    "selectPolicy": "Max",
    "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
}
_LONGEST = 3_600_000
Points = tuple[tuple[int, int], ...]
"""(ms, pods) pairs, oldest first."""


class History:
    """What autoscalers have recommended and done, by key."""

    __slots__ = ("down", "recommended", "up")

    def __init__(self) -> None:
        self.recommended: dict[str, Points] = {}
        self.up: dict[str, Points] = {}
        self.down: dict[str, Points] = {}

    def fork(self) -> Self:
        """An independent copy."""
        twin = type(self)()
        twin.recommended, twin.up, twin.down = self.recommended.copy(), self.up.copy(), self.down.copy()
        return twin

    def state(self) -> object:
        """All of it as plain data."""
        return [sorted(part.items()) for part in (self.recommended, self.up, self.down)]

    def forget(self, key: str) -> None:
        """Drop what is known of an autoscaler that is gone."""
        for part in (self.recommended, self.up, self.down):
            part.pop(key, None)


def _rules(spec: Mapping[str, Any], way: str) -> Mapping[str, Any]:
    given = dig(spec, "behavior", way, default={})
    usual = _UP if way == "scaleUp" else _DOWN
    return {**usual, **{key: item for key, item in given.items() if item is not None}}


def stabilised(
    history: History, key: str, spec: Mapping[str, Any], current: int, wanted: int, now: int
) -> tuple[int, str]:
    """The size after a look at what was recommended before, and why it differs (or nothing)."""
    rises = now - 1000 * int(_rules(spec, "scaleUp")["stabilizationWindowSeconds"])
    falls = now - 1000 * int(_rules(spec, "scaleDown")["stabilizationWindowSeconds"])
    known = history.recommended.get(key, ())
    lowest = min([wanted, *(count for when, count in known if when > rises)])
    highest = max([wanted, *(count for when, count in known if when > falls)])
    kept = tuple(item for item in known if item[0] > now - _LONGEST)
    if len(kept) > 1 and kept[-1][1] == kept[-2][1] == wanted:
        kept = kept[:-1]  # a run of equal ones is its first and its last
    history.recommended[key] = (*kept, (now, wanted))
    size = current
    size = max(size, lowest)
    size = min(size, highest)
    if size == wanted:
        return size, ""
    return size, "ScaleUpStabilized" if wanted > current else "ScaleDownStabilized"


def limited(
    history: History, key: str, spec: Mapping[str, Any], current: int, wanted: int, now: int
) -> tuple[int, str, str]:
    """(the size within bounds and policies, the reason and the message of the condition ScalingLimited)."""
    least, most = int(spec.get("minReplicas") or 1), int(spec.get("maxReplicas") or 1)
    if wanted > current:
        limit = max(_limit(history, key, _rules(spec, "scaleUp"), current, now, up=True), current)
        if wanted > min(limit, most):
            if most > limit:
                text = "the desired replica count is increasing faster than the maximum scale rate"
                return limit, "ScaleUpLimit", text
            return most, "TooManyReplicas", "the desired replica count is more than the maximum replica count"
    elif wanted < current:
        limit = min(_limit(history, key, _rules(spec, "scaleDown"), current, now, up=False), current)
        if wanted < max(limit, least):
            if least < limit:
                text = "the desired replica count is decreasing faster than the maximum scale rate"
                return limit, "ScaleDownLimit", text
            return least, "TooFewReplicas", "the desired replica count is less than the minimum replica count"
    elif wanted > most:
        return most, "TooManyReplicas", "the desired replica count is more than the maximum replica count"
    elif wanted < least:
        return least, "TooFewReplicas", "the desired replica count is less than the minimum replica count"
    return wanted, "DesiredWithinRange", "the desired count is within the acceptable range"


def _limit(history: History, key: str, rules: Mapping[str, Any], current: int, now: int, *, up: bool) -> int:
    if rules.get("selectPolicy") == "Disabled":
        return current
    found = []
    for policy in rules.get("policies") or ():
        since = now - 1000 * int(policy.get("periodSeconds") or 15)
        added = sum(count for when, count in history.up.get(key, ()) if when > since)
        removed = sum(count for when, count in history.down.get(key, ()) if when > since)
        base, value = current - added + removed, int(policy.get("value") or 0)
        change = value if policy.get("type") == "Pods" else 0
        if up:
            found.append(base + change if change else -(-base * (100 + value) // 100))
        else:
            found.append(base - change if change else max(base * (100 - value), 0) // 100)
    if not found:
        return current
    widest = max if up else min
    narrowest = min if up else max
    return narrowest(found) if rules.get("selectPolicy") == "Min" else widest(found)


def note_change(history: History, key: str, before: int, after: int, now: int) -> None:
    """Remember that the size has changed."""
    part = history.up if after > before else history.down
    kept = tuple(item for item in part.get(key, ()) if item[0] > now - _LONGEST)
    part[key] = (*kept, (now, abs(after - before)))
