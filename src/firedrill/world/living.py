"""Worlds with everything: a cluster, an application with its users, and whoever watches them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from firedrill.world.build import make_world
from firedrill.world.rulebook import rules_for
from firedrill.world.sim.clock import EPOCH_MS

if TYPE_CHECKING:
    from firedrill.world.app import Package
    from firedrill.world.kube.cluster import Settings
    from firedrill.world.telemetry.rules import Group
    from firedrill.world.world import World


def make_living(
    package: Package,
    seed: int = 0,
    *,
    nodes: int | Sequence[str] = 4,
    settings: Settings | None = None,
    start: int = EPOCH_MS,
    rules: Sequence[Group] | None = None,
    chaos: bool = True,
) -> World:
    """A running cluster with an application in use, scraped and watched from its start on.

    Args:
        package: the application.
        seed: of every draw.
        nodes: how many, or their names.
        settings: version and other constants.
        start: when the world begins for whoever looks at it, in ms since the Unix epoch.
        rules: what is evaluated; by default `rules_for(package)`.
        chaos: the cluster has Chaos Mesh, and harmless experiments as a team has them lying about.

    Raises:
        InputError: an object is refused by the API, or the graph is wrong.
    """
    from firedrill.world.app import service
    from firedrill.world.kube.chaos import mesh_objects
    from firedrill.world.telemetry.producers import watch, watch_application

    around = mesh_objects(package.application.namespace) if chaos else []
    world = make_world(
        seed,
        nodes=nodes,
        settings=settings,
        manifests=[*package.manifests, *around],
        start=start,
        application=package.application,
    )
    service.begin(world)
    watch(world, rules_for(package) if rules is None else rules)
    watch_application(world)
    return world


__all__ = ["make_living", "rules_for"]
