"""Watching a world: producers write what is so, it is scraped, and rules are evaluated, every few seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firedrill.world.sim.handlers import find_handler, handler
from firedrill.world.telemetry.monitoring import Monitoring
from firedrill.world.telemetry.producers import apiserver, clusterstate, machines, opencost, podtargets
from firedrill.world.telemetry.producers.gauges import describe
from firedrill.world.telemetry.producers.state import Metering

if TYPE_CHECKING:
    from collections.abc import Iterable

    from firedrill.world.telemetry.rules import Group
    from firedrill.world.world import World

STEP_MS = machines.STEP_MS
"""Targets are scraped every 15 s, each at one of three moments, so that no sample tells the future."""
_LATE = 7
"""Priority: after whatever else happens at the same moment."""


def watch(world: World, rules: Iterable[Group] = ()) -> Monitoring:
    """Let a world be scraped and its rules be evaluated from its next full five seconds on.

    Worlds that nobody watches have no series and cost nothing. Forks of a watched world are watched.

    Args:
        world: where.
        rules: what is evaluated, for instance `shipped_rules()`.

    Raises:
        ValueError: it is watched already.
    """
    part, watched = world.cluster.part(Metering), world.cluster.part(Monitoring)
    if part.on:
        raise ValueError("the world is watched already")
    part.on = True
    watched.rules.add(rules)
    clusterstate.begin(world, watched.store)
    opencost.begin(world, watched.store)
    describe(watched.store)
    world.schedule(STEP_MS - world.now % STEP_MS, "telemetry.step", priority=_LATE)
    return watched


def call_before_scrapes(world: World, name: str) -> None:
    """Let the handler of that name be called as `handler(world)` before each step: every five seconds.

    Raises:
        LookupError: there is no such handler.
    """
    find_handler(name)
    part = world.cluster.part(Metering)
    if name not in part.followers:
        part.followers = (*part.followers, name)


@handler("telemetry.step")
def _step(world: World) -> None:
    part = world.cluster.part(Metering)
    clusterstate.update(world)
    if part.needs("machines"):
        machines.update(world)
    if part.needs("pods") or part.needs("apiserver"):
        podtargets.update(world)
    if part.needs("apiserver"):
        apiserver.update(world)
    for name in part.followers:
        find_handler(name)(world)
    world.cluster.part(Monitoring).advance(world.now)
    world.schedule(STEP_MS - world.now % STEP_MS, "telemetry.step", priority=_LATE)
