"""Mechanisms of meshes and gateways: aimed by what is in the cluster, felt by calls, and taken back."""

from __future__ import annotations

import pytest

from firedrill import faults
from firedrill.faults.base import Fault
from firedrill.faults.showing import seen, shows
from firedrill.world import World
from firedrill.world.app import load_package
from firedrill.world.build import make_world

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


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_where_there_is_no_mesh_nothing_fits(fault: Fault, shop: World) -> None:
    assert faults.targets(fault, shop) == ()
    assert faults.misfit(fault, shop)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_every_target_shows_the_symptom_and_recovers(fault: Fault, pages: World) -> None:
    targets = faults.targets(fault, pages)
    assert targets
    for target in (targets[0], targets[-1]):
        world = pages.fork()
        injection = faults.inject(world, fault, target.args)
        assert seen(world, pages, fault, target.args, fault.within), target
        assert faults.active(world, injection)
        assert faults.propagation(world, injection)
        for step in faults.repair(world, injection) or ():
            faults.apply(world, step)
        world.run_for(240_000)
        assert not shows(world, pages, fault, target.args), target
        assert not faults.active(world, injection)
