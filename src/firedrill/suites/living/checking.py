"""What a scenario has to be before it is kept: healthy before, noticed in time, lasting, and seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from firedrill.suites.living.incident import tells
from firedrill.world.app import service

if TYPE_CHECKING:
    from collections.abc import Mapping

    from firedrill.suites.living.incident import Incident
    from firedrill.suites.living.truth import Told


@dataclass(frozen=True, slots=True)
class Checked:
    """How a check came out.

    Attributes:
        refused: why the scenario is not kept; empty where it is.
        found: what was measured, for the scenario's file.
    """

    refused: str
    found: Mapping[str, Any] = field(default_factory=dict)


def check(incident: Incident, told: Told, difficulty: str = "") -> Checked:
    """Point 1 of a certificate: all well in the baseline, an alert in time, a symptom that lasts.

    Args:
        incident: that was simulated.
        told: its truth.
        difficulty: that it shall have; empty for any.
    """
    from firedrill import faults

    times, usual = incident.times, incident.baseline
    if not service.healthy(incident.before, usual, times.fault):
        return Checked("users are not well served before the fault")
    calm = [item for item in incident.minutes if item.at <= times.fault]
    if calm and any(tells(alert) for alert in calm[-1].alerts):
        return Checked("an alert fires before the fault")
    if times.alert is None:
        return Checked("no alert in time")
    lasting = [item for item in incident.alerts if item.ended is None]
    harmed = service.outside(incident.world, usual, times.end)
    if not lasting and not harmed:
        return Checked("the symptom does not last")
    if not all(faults.active(incident.world, item) for item in incident.injections):
        return Checked("a fault ended by itself")
    if difficulty and told.difficulty != difficulty:
        return Checked(f"it is {told.difficulty}, not {difficulty}")
    lost = service.slo_minutes_lost(incident.world, usual, times.fault, times.end)
    found = {
        "noticed_after": (times.noticed - times.fault) / 1000,
        "alerts": len(incident.alerts),
        "users_harmed": bool(harmed),
        "slo_minutes_lost": round(lost, 2),
    }
    return Checked("", found)


__all__ = ["Checked", "check"]
