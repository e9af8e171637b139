"""What can be done about a suspect, by what kind of object it is and what the evidence says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from firedrill.agents.oncall.moves import cluster, guards, mesh, routes, services, specs, texts, workloads
from firedrill.agents.oncall.steps import Scene, Step

Move = Callable[[Scene, str, str], Iterator[Step]]

MOVES: tuple[Move, ...] = (
    guards.remove,
    workloads.undo,
    specs.mend,
    guards.restore,
    services.mend,
    routes.mend,
    mesh.allow,
    texts.mend,
    cluster.labels,
)
"""In this order: what is surest to be a step back comes first."""


def steps_for(scene: Scene, entity: str, why: str) -> list[Step]:
    """Everything that may mend a suspect, the surest first."""
    return [step for move in MOVES for step in move(scene, entity, why)]
