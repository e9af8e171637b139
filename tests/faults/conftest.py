"""Worlds that the tests of the fault library share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from firedrill.world import World
from firedrill.world.app import load_package
from firedrill.world.app.packages import read_manifests
from firedrill.world.build import make_world
from firedrill.world.living import make_living

MINUTE = 60_000
APPS = Path(__file__).parent.parent / "world/data/apps"
LIVING = ("online-boutique", "astronomy-shop", "book-info", "hotel-reservation")
FOREIGN = ("market", "travel")
"""Applications that nobody uses, and of which nothing is known but their manifests."""


@cache
def _world(app: str) -> World:
    if app in FOREIGN:
        return make_world(5, nodes=5, manifests=read_manifests([APPS / f"{app}.yaml"]), namespace=app)
    world = make_living(load_package(app), 5)
    world.run_for(30_000)
    return world


@cache
def _used(app: str) -> World:
    world = _world(app).fork()
    world.run_until_ms((world.now // MINUTE + 12) * MINUTE)
    return world


@pytest.fixture(scope="session")
def used() -> Callable[[str], World]:
    """The same, in use for twelve minutes, so that something is known of what is usual."""
    return lambda app: _used(app).fork()


@pytest.fixture(scope="session")
def fresh() -> Callable[[str], World]:
    """A healthy world with an application: one of those that ship, or a foreign one."""
    return lambda app: _world(app).fork()
