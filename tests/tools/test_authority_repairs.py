"""What an operator would do about each mechanism passes the operator's policy: it must not forbid the cure."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from firedrill import faults
from firedrill.faults import repairing
from firedrill.gateway.kubernetes import Decision
from firedrill.gateway.kubernetes.guarding import Seen, examine
from firedrill.tools.authority import Authority, preset
from firedrill.world.app.packages import load_package
from firedrill.world.build import make_world
from firedrill.world.kube.api import ApiError, User, server
from firedrill.world.world import World

pytestmark = pytest.mark.slow
REPAIRER = User("repairer", ("system:masters",))


@pytest.fixture(scope="module")
def shop() -> World:
    package = load_package("online-boutique")
    space = package.application.namespace
    world = make_world(
        5, nodes=4, manifests=package.manifests, namespace=space, application=package.application
    )
    world.run_for(60_000)
    return world


def test_no_reference_repair_is_forbidden(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    passed = server.handle
    decisions: list[Decision] = []
    authority = Authority(preset("operator"))

    def guarded(world: World, request: Any) -> Any:
        if request.user is REPAIRER:
            asked, _ = examine(world, request, server.find_kind(world, request), Seen(REPAIRER))
            decisions.append(asyncio.run(authority.decide(asked)))
        return passed(world, request)

    monkeypatch.setattr(server, "handle", guarded)
    wrong, tried, questions = [], 0, 0
    for name, fault in faults.library().items():
        if fault.repair is None or fault.fits is None:
            continue
        target = next(iter(fault.fits(shop)), None)
        if target is None:
            continue
        world = shop.fork()
        injection = faults.inject(world, fault, target.args)
        world.run_for(30_000)
        for step in repairing.repair(world, injection) or ():
            decisions.clear()
            with contextlib.suppress(ApiError):  # what it waits for has not gone yet; a repairer tries again
                repairing.apply(world, step, REPAIRER)
            for decision in decisions:
                tried += 1
                questions += decision.asked
                if decision.effect == "deny":
                    wrong.append((name, step.verb, step.resource, step.name, decision.rule, decision.reason))
    assert not wrong, "\n".join(map(str, wrong))
    assert tried > 80
    assert 0 < questions < tried
