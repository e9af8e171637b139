"""How long an episode is looked at: whether trouble comes back, and from when on its verdict stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from firedrill.core.living import Branches, Facts, HarmItem, LivingTimes, Relapse
from firedrill.grading.living import CLASSES, harm
from firedrill.runner.living.assessing.minutes import MINUTE_MS, branch_minutes
from firedrill.runner.living.assessing.yardstick import EVERY_MS
from firedrill.world.app import service
from firedrill.world.kube.objects import dig, namespace_of
from firedrill.world.telemetry.producers import keep_only

if TYPE_CHECKING:
    from firedrill.runner.living.assessing.yardstick import Yardstick
    from firedrill.world.world import World

WATCHED_MS = 60 * MINUTE_MS
"""After its agent's end a world is watched for so long for what comes back."""
_LOOK_MS = 5 * MINUTE_MS
_HOPELESS = CLASSES.index("major")
_SCALERS = "horizontalpodautoscalers.autoscaling"


def relapse(yard: Yardstick, world: World, until_ms: int) -> Relapse | None:
    """Whether what called the agent comes back: its alerts, or users outside their bands.

    Args:
        yard: of the incident.
        world: at the end of the verification; it is forked.
        until_ms: how long it is watched.
    """
    trials = yard.trials
    fork = world.fork()
    keep_only(fork, frozenset(name for name, _ in trials.wanted))
    while fork.now < until_ms:
        fork.run_until_ms(min(fork.now + _LOOK_MS, until_ms))
        outside = tuple(service.outside(fork, yard.baseline, fork.now))
        alerts = trials.firing(fork)
        if outside or alerts:
            return Relapse(at=fork.now, alerts=alerts, outside=outside)
    return None


def settle(
    yard: Yardstick,
    world: World,
    until_ms: int,
    last_ms: int,
    ledger: Callable[[World], Sequence[HarmItem]],
    well: Callable[[], bool],
) -> None:
    """Run a world on until the verdict on what was done to it stands, and no longer.

    It stands as soon as nothing can make the harm good any more, or all is well after the verification.

    Args:
        yard: of the incident.
        world: at a full minute; it is run on.
        until_ms: the end of the verification.
        last_ms: when it is given up.
        ledger: of what was done, against a world in which nobody did anything.
        well: whether a repair would pass now.
    """
    begin = yard.incident.times.noticed // MINUTE_MS * MINUTE_MS
    while world.now < last_ms:
        nobody = yard.nobody.at(world.now)
        if _hopeless(yard, world, nobody, ledger(nobody)):
            return
        if world.now >= until_ms and well():
            return
        following = begin + ((world.now - begin) // EVERY_MS + 1) * EVERY_MS
        world.run_until_ms(min(following, last_ms))


def _hopeless(yard: Yardstick, world: World, nobody: World, items: Sequence[HarmItem]) -> bool:
    times, usual = yard.incident.times, yard.baseline
    started_ms = times.noticed
    scaled = _scaled(world)
    so_far = Facts(
        times=LivingTimes(
            t0=times.start,
            tb=times.baseline,
            tf=times.fault,
            ta=times.alert,
            ts=started_ms,
            te=world.now,
            tv=world.now,
        ),
        branches=Branches(
            agent=branch_minutes(world, usual, started_ms, world.now),
            nobody=branch_minutes(nobody, usual, started_ms, world.now),
        ),
        harm=tuple(item for item in items if item.kind != "collateral" or item.entity not in scaled),
    )
    return harm(so_far).rank >= _HOPELESS


def _scaled(world: World) -> frozenset[str]:
    """Workloads that autoscalers may bring back to what they were."""
    found = set()
    for scaler in world.cluster.store.list(_SCALERS):
        target = dig(scaler, "spec", "scaleTargetRef", default={})
        found.add(f"{namespace_of(scaler)}/{target.get('kind')}/{target.get('name')}")
    return frozenset(found)


__all__ = ["WATCHED_MS", "relapse", "settle"]
