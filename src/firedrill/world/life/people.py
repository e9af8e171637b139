"""Who changes things: pipelines, operators and developers, each with a name and a program of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from firedrill.world.kube.api import Client
from firedrill.world.kube.api.request import User, service_account

if TYPE_CHECKING:
    from firedrill.world.world import World

_SPACE: Final = "delivery"
_DEVELOPERS: Final = ("m.okafor", "j.lindqvist", "p.duarte", "s.iyer", "t.nakamura", "a.kowalska")


def pipeline(world: World) -> Client:
    """What deploys new versions."""
    return Client(world, service_account(_SPACE, "pipeline"), manager="pipeline-deploy")


def operator(world: World) -> Client:
    """What changes numbers of copies by a timetable."""
    return Client(world, service_account(_SPACE, "replica-operator"), manager="replica-operator")


def certificates(world: World) -> Client:
    """What renews certificates."""
    user = service_account(_SPACE, "cert-manager")
    return Client(world, user, manager="cert-manager-certificates-issuing")


def developer(world: World, *name: object, manager: str = "kubectl-edit") -> Client:
    """One of the developers, drawn by a name."""
    who = world.rng.choice(_DEVELOPERS, "life", "developer", *name)
    return Client(world, User(f"{who}@corp.example", ("developers",)), manager=manager)
