"""Healthy worlds that cases begin with, and how they go on where nothing breaks.

Cases whose worlds are the same until something breaks share the simulation up to there.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from firedrill.core.errors import InputError
from firedrill.suites.living.case import HEALTHY_MS, WARM_MS, Case
from firedrill.suites.living.incident import meaning, tells
from firedrill.suites.living.observing import MINUTE_MS, Observer
from firedrill.suites.living.waiters import wait
from firedrill.world.app import Package, load_package
from firedrill.world.kube.objects import Obj, thaw

if TYPE_CHECKING:
    from firedrill.world.telemetry.rules import Alert
    from firedrill.world.world import World

_PREPARE_MS = 5 * 60_000
_KINDS = {"deployments.apps": "Deployment", "statefulsets.apps": "StatefulSet"}


class Twin:
    """A world in which nothing is ever broken, at every moment that is asked for.

    Args:
        world: right before anything could break; it is not run on itself.
        seen: what was seen until then.
    """

    def __init__(self, world: World, seen: Observer) -> None:
        self._kept = [world]
        self._seen = seen

    def at(self, moment: int) -> World:
        """A fork from that moment. Moments may come in any order; late ones are cheap.

        Raises:
            ValueError: it is before the first one.
        """
        number = bisect_right(self._kept, moment, key=lambda item: item.now) - 1
        if number < 0:
            raise ValueError("the world began later")
        world = self._kept[number].fork()
        self._seen.run(world, moment)
        if moment > self._kept[-1].now:
            self._kept.append(world.fork())
        return world

    def seen_until(self, moment: int) -> Observer:
        """What was seen of it, at least until that moment."""
        if moment > self._kept[-1].now:
            self.at(moment)
        return self._seen

    def fires(self, alert: Alert, moment: int, since: int) -> bool:
        """Whether somebody is called for the same thing in this world between `since` and that moment."""
        wanted = meaning(alert)
        return any(
            tells(other) and meaning(other) == wanted
            for minute in self.seen_until(moment).minutes
            if since - MINUTE_MS <= minute.at <= moment
            for other in minute.alerts
        )


class Worlds:
    """The healthy worlds of cases; the last few are kept.

    Args:
        keep: how many, each of about 100 MB.
    """

    def __init__(self, keep: int = 2) -> None:
        self._find = lru_cache(maxsize=keep)(_Healthy)

    def healthy(self, case: Case) -> Twin:
        """The world of a case as long as nothing breaks.

        Raises:
            InputError: the case names no application that is known, or something else is wrong with it.
        """
        bare = replace(case, faults=(), modalities=())
        return self._find(bare.world_key, _Bare(bare)).twin


class _Bare:
    """A case that does not take part in comparing keys."""

    def __init__(self, case: Case) -> None:
        self.case = case

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Bare)

    def __hash__(self) -> int:
        return 0


class _Healthy:
    def __init__(self, _: tuple[object, ...], bare: _Bare) -> None:
        self.twin = begin(bare.case)


def begin(case: Case) -> Twin:
    """Make the world of a case and let it run until something may break."""
    from firedrill.world.app import service
    from firedrill.world.living import make_living

    world = make_living(package_of(case), case.seed, nodes=case.nodes, start=case.start)
    service.begin(world)
    start, seen = world.now, Observer()
    _live(world, case)
    if case.prepare:
        world.run_until_ms(start + _PREPARE_MS)
        wait(world, case.prepare)
    world.run_until_ms(start + WARM_MS)
    seen.run(world, start + HEALTHY_MS)
    return Twin(world, seen)


def _live(world: World, case: Case) -> None:
    from firedrill.world.life import begin as live

    live(world, case.life, case.red_herrings, world.now + HEALTHY_MS)


def package_of(case: Case) -> Package:
    """The application of a case, with as many users as it says.

    Raises:
        InputError: there is no such application, or its users are not a number.
    """
    package = load_package(case.package)
    if case.load == 1.0 and not case.users:
        return package
    load = package.application.load
    kind, name = _KINDS.get(load.workload[0], ""), load.workload[1]
    users = case.users
    changed = []
    for obj in package.manifests:
        if obj.get("kind") != kind or obj["metadata"]["name"] != name:
            changed.append(obj)
            continue
        other = thaw(obj)
        _set_users(other, load.container, load.users_variable, load.users, case.load, users)
        changed.append(other)
    return replace(package, manifests=tuple(changed))


def _set_users(obj: Obj, container: str, variable: str, usual: int, factor: float, users: int) -> None:
    for item in obj["spec"]["template"]["spec"]["containers"]:
        if item["name"] != container:
            continue
        env = item.setdefault("env", [])
        entry = next((entry for entry in env if entry.get("name") == variable), None)
        if entry is None:
            entry = {"name": variable}
            env.append(entry)
        try:
            before = int(entry.get("value", usual))
        except ValueError:
            raise InputError(f"{variable} is no number of users", field="load") from None
        entry["value"] = str(users or max(1, round(before * factor)))


__all__ = ["Twin", "Worlds", "begin", "package_of"]
