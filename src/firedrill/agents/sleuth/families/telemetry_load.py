"""Components that got slow or fail for no reason seen, and loads that grew from outside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from firedrill.agents.sleuth.case import Case
from firedrill.agents.sleuth.families.telemetry_profile import (
    EFFECTS,
    MOST_EXPLAINED,
    scene_of,
    suspicion,
    together,
)
from firedrill.agents.sleuth.model import Hypothesis

_FELT = (*sorted(EFFECTS), "cpu", "throttling")
_CAUSES = (
    "cpu",
    "throttling",
    "memory",
    "network",
    "own_latency",
    "own_errors",
    "network_loss",
    "latency",
    "errors",
)


def slowdowns(case: Case) -> Iterator[Hypothesis]:
    """Latency or errors that nothing below the component accounts for."""
    if not case.signals:
        return
    scene = scene_of(case)
    for profile in scene.workloads():
        slow, failing = profile.get("latency"), profile.get("errors")
        if not (slow or failing):
            continue
        power = together(*(signal.strength for signal in (slow, failing) if signal))
        power *= 0.8 * (1.0 - 0.6 * scene.blamed_below(profile.entity, *_CAUSES))
        if power >= 0.2:
            top = max((s for s in (slow, failing) if s), key=lambda signal: signal.strength)
            yield suspicion(
                scene, profile.entity, "telemetry_slowdown",
                f"nothing that it calls is worse off: {top.text}", power, top, slow, failing,
            )  # fmt: skip


def load_surge(case: Case) -> Iterator[Hypothesis]:
    """Many more requests from outside: traffic grew where nobody inside calls."""
    if not case.signals:
        return
    scene = scene_of(case)
    busier = [p for p in scene.workloads() if p.power("traffic", direction="up") >= 0.3]
    for profile in busier:
        above = [scene.profiles[c] for c in scene.callers.get(profile.entity, ()) if c in scene.profiles]
        if any(other.power("traffic", direction="up") >= 0.3 for other in above):
            continue
        below = sum(1 for other in busier if other is not profile) / max(len(scene.profiles), 1)
        grown = profile.get("traffic", direction="up")
        felt = max(profile.power(*EFFECTS - {"traffic"}), profile.power("cpu", "throttling"))
        power = together(grown.strength if grown else 0.0) * (0.4 + 0.3 * felt + 0.3 * min(1.0, 3 * below))
        if power >= 0.2 and grown:
            found = suspicion(
                scene, profile.entity, "telemetry_load", f"it gets more requests than before: {grown.text}",
                power, grown, profile.get("cpu"), profile.get("latency"),
            )  # fmt: skip
            # load hurts whom it reaches, not who calls
            reached = [c for c in scene.below(profile.entity) if scene.profiles[c].power(*_FELT) > 0.2]
            yield replace(found, explains=tuple(dict.fromkeys((*found.explains, *reached)))[:MOST_EXPLAINED])
