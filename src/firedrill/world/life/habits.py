"""When things happen by themselves: each habit at moments of its own, drawn by its name and number."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from firedrill.core.errors import InputError
from firedrill.world.kube.api import ApiError
from firedrill.world.life import application, neighbours
from firedrill.world.life.application import Act
from firedrill.world.life.state import Life
from firedrill.world.sim.handlers import handler
from firedrill.world.sim.tables import table

if TYPE_CHECKING:
    from firedrill.world.world import World

LEVELS: Final = 3
_MINUTE = 60_000
_FIRST_MS = 30_000
_HABITS: Mapping[str, Act] = {
    "rollout": application.rollout,
    "scale": application.scale,
    "edit": application.edit,
    "query": neighbours.query,
    "pressure": neighbours.press,
    "neighbour_rollout": neighbours.rollout,
    "neighbour_push": neighbours.push_late,
    "neighbour_pod": neighbours.delete_pod,
    "neighbour_edit": neighbours.edit,
    "neighbour_job": neighbours.start_job,
    "neighbour_probe": neighbours.slow_probe,
    "neighbour_load": neighbours.burden,
    "certificate": neighbours.renew,
    "leader": neighbours.elect,
}
_HERRINGS: tuple[Act, ...] = (
    application.rollout,
    application.tune,
    application.open_network,
    application.scale,
    application.widen,
    application.budget,
    application.edit,
)
_SPAN = (60_000, 540_000)
"""Red herrings come so long before the moment that they are to distract from."""
_LATER = 900_000


def begin(world: World, level: int, red_herrings: int = 0, around_ms: int | None = None) -> None:
    """Let background life begin now.

    Args:
        world: where.
        level: 0 for none, 1 quiet, 2 usual, 3 busy.
        red_herrings: conspicuous innocent changes near the users' way, besides.
        around_ms: the moment before which these come, in ms of virtual time; by default in a quarter of an
            hour.

    Raises:
        InputError: there is no such level, or too little time before the moment.
        ValueError: life has begun before.
    """
    if not 0 <= level <= LEVELS:
        raise InputError(f"there is no level {level} of life", field="level", mend="take 0 to 3")
    if red_herrings < 0:
        raise InputError("fewer than no red herrings", field="red_herrings", mend="take 0 or more")
    around = world.now + _LATER if around_ms is None else around_ms
    if red_herrings and around - _SPAN[0] <= world.now:
        raise InputError(
            "the moment comes too soon for anything to happen before it",
            field="around_ms",
            mend="let life begin ten minutes before it",
        )
    if not level and not red_herrings:
        return
    part = world.cluster.part(Life)
    if part.since:
        raise ValueError("life has begun before")
    part.level, part.since = level, world.now
    neighbours.move_in(world)
    for name in _HABITS:
        _plan(world, name, 0)
    for number in range(red_herrings):
        early = world.rng.integer(*_SPAN, "life", "herring", number)
        moment = max(around - early, world.now + 1000 * (number + 1))
        world.schedule(moment - world.now, "life.herring", number, around)


@cache
def _means() -> Mapping[str, Any]:
    return table("firedrill.world.life", "habits.yaml")  # type: ignore[no-any-return]


def _plan(world: World, name: str, number: int) -> None:
    level = world.cluster.part(Life).level
    mean = float(_means()[name][level - 1]) if level else 0.0
    if mean:
        share = 0.4 + 1.2 * world.rng.uniform("life", "when", name, number)
        if number == 0:  # it has been going on: the next one of a habit may be near
            share = world.rng.uniform("life", "when", name, number)
        world.schedule(_FIRST_MS + int(mean * _MINUTE * share), "life.act", name, number)


@handler("life.act")
def _act(world: World, name: str, number: int) -> None:
    _try(_HABITS[name], world, number)
    _plan(world, name, number + 1)


def _try(act: Act, world: World, number: int) -> bool:
    try:
        return act(world, number)
    except (ApiError, LookupError):
        return False  # people shrug, and try another time


@handler("life.herring")
def _herring(world: World, number: int, around: int) -> None:
    """The first kind that can be done here, beginning with a drawn one."""
    first = world.rng.integer(0, len(_HERRINGS) - 1, "life", "herring.kind", number // len(_HERRINGS))
    for place in range(len(_HERRINGS)):
        act = _HERRINGS[(first + number + place) % len(_HERRINGS)]
        if _try(act, world, 10_000 + number):
            return
