"""Ages that kubectl works out itself, by a clock that is not the world's.

`kubectl get` prints the ages of the server's tables. `describe` and `events` print how long ago events were,
and `describe node` how old pods are, counted from the clock of the machine that they run on. So that they say
what the world's clock says, these commands are told other times: as long ago by their clock as it was here.
Times that are printed as such are left as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

_OF_EVENTS = (
    "firstTimestamp",
    "lastTimestamp",
    "eventTime",
    "deprecatedFirstTimestamp",
    "deprecatedLastTimestamp",
)
_COMMANDS: Mapping[str, frozenset[str]] = {
    "kubectl describe": frozenset({"events", "events.events.k8s.io", "pods"}),
    "kubectl events": frozenset({"events", "events.events.k8s.io"}),
}
_MICRO = 6
"""Digits behind the point of a `MicroTime`, which has to have as many."""


def retold(answer: Any, command: str, resource: str, now_ms: int, wall_seconds: float) -> Any:
    """A list as a command is told it, or the answer itself where it is none of these.

    Args:
        answer: of the API, which is left as it is.
        command: what kubectl says of itself, as in `kubectl describe`.
        resource: as in `pods`.
        now_ms: the world's moment.
        wall_seconds: the moment by the wall's clock, since the Unix epoch.
    """
    if resource not in _COMMANDS.get(command, ()) or not isinstance(answer.get("items"), list):
        return answer
    later = round(wall_seconds * 1000) - now_ms
    return {**answer, "items": [_moved(item, resource, later) for item in answer["items"]]}


def _moved(item: Mapping[str, Any], resource: str, later_ms: int) -> dict[str, Any]:
    meta = item.get("metadata") or {}
    out = {**item, "metadata": {**meta, **_times(meta, ("creationTimestamp",), later_ms)}}
    if resource == "pods":
        return out
    series = item.get("series")
    if isinstance(series, Mapping):
        out["series"] = {**series, **_times(series, ("lastObservedTime",), later_ms)}
    return {**out, **_times(item, _OF_EVENTS, later_ms)}


def _times(holder: Mapping[str, Any], names: tuple[str, ...], later_ms: int) -> dict[str, str]:
    found = {}
    for name in names:
        text = holder.get(name)
        if isinstance(text, str) and text:
            found[name] = _later(text, later_ms)
    return found


def _later(text: str, ms: int) -> str:
    """A time some ms later, to the millisecond: whole seconds would be one off as often as not."""
    micro = len(text.partition(".")[2].rstrip("Z")) == _MICRO
    moment = datetime.fromisoformat(text).timestamp() * 1000 + ms
    spelled = datetime.fromtimestamp(moment / 1000, UTC).isoformat(
        timespec="microseconds" if micro else "milliseconds"
    )
    return spelled.replace("+00:00", "Z")


__all__ = ["retold"]
