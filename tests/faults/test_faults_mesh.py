"""Mechanisms of meshes and gateways: aimed by what is in the cluster, felt by calls, and taken back."""

from __future__ import annotations

from random import Random

import pytest

from firedrill import faults
from firedrill.faults.base import Fault
from firedrill.faults.showing import seen, shows
from firedrill.world import World
from firedrill.world.app import load_package
from firedrill.world.build import make_world

pytestmark = pytest.mark.slow
FAULTS = tuple(fault for fault in faults.library().values() if fault.family == "mesh")


@pytest.fixture(scope="module")
def pages() -> World:
    package = load_package("book-info")
    return make_world(3, manifests=package.manifests, application=package.application)


@pytest.fixture(scope="module")
def shop() -> World:
    package = load_package("online-boutique")
    return make_world(3, manifests=package.manifests, application=package.application)


def test_the_mechanisms_of_public_scenarios_are_there() -> None:
    assert {
        "disabled-istio-ambient-mode-kubernetes-namespace",
        "strict-mutual-tls-istio-service-mesh-enforcement",
        "traffic-denying-istio-gateway-authorization-policy",
    } <= {fault.id for fault in FAULTS}


def test_where_there_is_no_mesh_nothing_fits(shop: World) -> None:
    for fault in FAULTS:
        assert faults.targets(fault, shop) == ()
        assert faults.misfit(fault, shop)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_a_target_shows_the_symptom_and_recovers(fault: Fault, pages: World) -> None:
    target = Random(fault.id).choice(faults.targets(fault, pages))
    world = pages.fork()
    injection = faults.inject(world, fault, target.args)
    assert seen(world, pages, fault, target.args, fault.within), target
    assert faults.active(world, injection)
    assert faults.propagation(world, injection)
    for step in faults.repair(world, injection) or ():
        faults.apply(world, step)
    for _ in range(12):
        world.run_for(20_000)
        if not shows(world, pages, fault, target.args):
            break
    assert not shows(world, pages, fault, target.args), target
    assert not faults.active(world, injection)
