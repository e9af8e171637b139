"""What users got in each minute, in one branch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firedrill.core.living import BranchMinute
from firedrill.world.app import service

if TYPE_CHECKING:
    from firedrill.world.world import World

MINUTE_MS = service.MINUTE_MS
_DUE = 10.0
"""Requests per minute in the baseline whose absence says something."""


def branch_minutes(
    world: World, usual: service.Baseline, start_ms: int, end_ms: int
) -> tuple[BranchMinute, ...]:
    """The minutes of a window, from that in which it begins on.

    Args:
        world: that lived through them.
        usual: what users usually get.
        start_ms, end_ms: the window, in ms since the Unix epoch.
    """
    first = start_ms // MINUTE_MS * MINUTE_MS
    seen: dict[int, list[service.ServiceMinute]] = {}
    for item in service.minutes(world, first, end_ms):
        seen.setdefault(item.start_ms, []).append(item)
    due = sum(band.expected for band in usual.bands) >= _DUE
    return tuple(
        _minute(world, usual, at, seen.get(at, []), due=due)
        for at in range(first, end_ms - MINUTE_MS + 1, MINUTE_MS)
    )


def _minute(
    world: World, usual: service.Baseline, at: int, seen: list[service.ServiceMinute], *, due: bool
) -> BranchMinute:
    offered = sum(item.offered for item in seen)
    good = sum(round(item.success * item.offered) for item in seen)
    silent = 0.0 if due else 1.0
    return BranchMinute(
        at=at,
        bad=round(usual.bad_share(seen), 9) if seen else float(due),
        success=round(good / offered, 9) if offered else silent,
        offered=offered,
        failed=offered - good,
        healthy=service.healthy(world, usual, at + MINUTE_MS),
    )


__all__ = ["MINUTE_MS", "branch_minutes"]
