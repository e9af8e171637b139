"""The tools ``alerts`` and ``wait``: what fires, and letting virtual time pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from firedrill.tools.base import Answer, Paged
from firedrill.tools.live.base import LiveTool
from firedrill.tools.live.desk import from_ms, moment
from firedrill.tools.times import spell

if TYPE_CHECKING:
    from firedrill.tools.live.desk import Desk

STEP_SECONDS = 30
_PASSING = frozenset({"pod", "instance", "uid", "container_id", "id"})
_QUIET = frozenset({"Watchdog", "InfoInhibitor"})
"""Alerts that fire always, by design."""


class AlertsParams(Paged):
    """Parameters of ``alerts``."""

    state: Literal["firing", "pending", "all"] = Field(
        "firing", description="pending: their condition holds, not yet for long enough."
    )
    text: str | None = Field(
        None, max_length=200, description="Only those with this text in a label or in the description."
    )
    rules: bool = Field(
        False, description="Instead of what fires: the alerting rules, with expression and wait."
    )


class WaitParams(Paged):
    """Parameters of ``wait``."""

    seconds: int = Field(ge=1, le=3_600, description="Of virtual time.")
    until_clear: bool = Field(
        False,
        description="Look every 30 s, and come back as soon as no alert fires that you were called for.",
    )


async def ask_alerts(desk: Desk, params: AlertsParams) -> Answer:
    """What fires now."""
    if params.rules:
        return await _rules(desk, params.text)
    told = await desk.ask("prometheus", "/api/v1/alerts")
    clock = await desk.clock()
    called = {meaning(item["labels"]) for item in desk.site.alerts}
    rows = []
    for item in told["data"]["alerts"]:
        labels = item["labels"]
        words = " ".join([*labels.values(), *item.get("annotations", {}).values()]).lower()
        if params.state not in ("all", item["state"]) or (params.text or "").lower() not in words:
            continue
        since = moment(item["activeAt"])
        rows.append(
            (
                labels.get("alertname", "?"),
                item["state"],
                labels.get("severity"),
                f"{since:%H:%M:%S}",
                spell(clock.now - since),
                meaning(labels) in called,
                ", ".join(f"{k}={v}" for k, v in labels.items() if k not in ("alertname", "severity")),
                item.get("annotations", {}).get("description", ""),
            )
        )
    rows.sort(key=lambda row: (row[0] in _QUIET, not row[5], row[3], row[0], row[6]))
    columns = ("alert", "state", "severity", "since", "for", "called_for", "labels", "description")
    return Answer(columns, rows, (f"it is {clock.now:%Y-%m-%dT%H:%M:%SZ}",), width=300)


async def _rules(desk: Desk, text: str | None) -> Answer:
    told = await desk.ask("prometheus", "/api/v1/rules", type="alert")
    rows = [
        (rule["name"], rule["state"], f"{rule.get('duration', 0):g}s", rule["query"])
        for group in told["data"]["groups"]
        for rule in group["rules"]
        if (text or "").lower() in f"{rule['name']} {rule['query']}".lower()
    ]
    return Answer(("rule", "state", "wait", "expression"), rows, width=600)


def meaning(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The labels of an alert without those that change with every new pod."""
    return tuple(sorted((key, item) for key, item in labels.items() if key not in _PASSING))


async def firing(desk: Desk) -> list[Mapping[str, Any]]:
    """Which alerts fire that somebody was called for."""
    told = await desk.ask("prometheus", "/api/v1/alerts")
    called = {meaning(item["labels"]) for item in desk.site.alerts}
    return [
        item
        for item in told["data"]["alerts"]
        if item["state"] == "firing" and meaning(item["labels"]) in called
    ]


async def wait(desk: Desk, params: WaitParams) -> Answer:
    """Let time pass, and say what fires then."""
    started = await desk.site.now()
    end = started + params.seconds * 1_000
    now = started
    left = await firing(desk) if params.until_clear else None
    while (now := await desk.site.now()) < end and (left is None or left):
        step = min(end - now, STEP_SECONDS * 1_000) if params.until_clear else end - now
        before, now = now, await desk.site.wait(step)
        if now <= before:
            break  # the episode's time is up
        left = await firing(desk) if params.until_clear else None
    left = await firing(desk) if left is None else left
    names = sorted({str(item["labels"].get("alertname")) for item in left})
    total = len(desk.site.alerts)
    said = f"{len(left)} of {total} alerts that you were called for fire" if left else "none of them fires"
    if not total:
        said = "you were called for no alert: see for yourself whether users are served"
    at = from_ms(await desk.site.now())
    passed = spell(at - from_ms(started))
    row = (f"{at:%Y-%m-%dT%H:%M:%SZ}", passed, len(left), ", ".join(names))
    return Answer(("now", "passed", "firing", "alerts"), [row], (said,))


ALERTS = LiveTool(
    "alerts",
    "What fires now, with labels, since when, and whether you were called for it; or the alerting rules.",
    AlertsParams,
    ask_alerts,
)
WAIT = LiveTool(
    "wait",
    "Let virtual time pass, for what you changed to take effect; tells which alerts still fire then."
    " Alerts can flicker: look again before you report.",
    WaitParams,
    wait,
)
