"""What users get is counted at the load generator, by operation and minute."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from firedrill.world import World
from firedrill.world.app import load_package, rows, service
from firedrill.world.app.traffic import Traffic, rows_of
from firedrill.world.build import make_world
from firedrill.world.kube.api import Client

MINUTE = 60_000


@pytest.fixture(scope="module")
def shop() -> World:
    package = load_package("online-boutique")
    world = make_world(3, manifests=package.manifests, application=package.application)
    service.begin(world)
    world.run_until_ms((world.now // MINUTE + 12) * MINUTE)
    return world


@pytest.fixture(scope="module")
def usual(shop: World) -> service.Baseline:
    return service.baseline(shop, shop.now - 10 * MINUTE, shop.now)


def test_every_request_of_users_is_counted_once(shop: World) -> None:
    start = shop.now - 3 * MINUTE
    seen = service.minutes(shop, start, shop.now)
    history, graph = shop.cluster.part(Traffic).history, shop.cluster.part(Traffic).graph
    assert graph is not None
    made = good = 0
    for number, record in enumerate(history):
        if record.inputs.moment >= start:
            here = rows_of(shop, number)
            users = (here.parent < 0) & (here.edge < graph.entries)
            made += int(users.sum()) * here.weight
            good += int((users & (here.kind == rows.OK)).sum()) * here.weight
    assert made == sum(item.offered for item in seen) > 500
    assert good == round(sum(item.offered * item.success for item in seen))
    assert {item.start_ms for item in seen} == {start, start + MINUTE, start + 2 * MINUTE}


def test_worlds_that_do_not_count_tell_the_same_and_stay_as_they_were(shop: World) -> None:
    package = load_package("online-boutique")
    plain = make_world(3, manifests=package.manifests, application=package.application)
    plain.run_until_ms((plain.now // MINUTE + 3) * MINUTE)
    before = plain.digest()
    told = service.minutes(plain, plain.now - 2 * MINUTE, plain.now)
    assert told == service.minutes(shop, plain.now - 2 * MINUTE, plain.now) != ()
    assert plain.digest() == before


def test_a_fork_counts_on_by_itself(shop: World) -> None:
    twin, other = shop.fork(), shop.fork()
    twin.run_for(2 * MINUTE)
    other.run_for(2 * MINUTE)
    assert service.minutes(twin, shop.now, twin.now) == service.minutes(other, shop.now, other.now) != ()
    assert service.minutes(shop, shop.now, twin.now) == ()
    assert twin.digest() == other.digest()


def test_a_healthy_shop_is_within_its_bands(shop: World, usual: service.Baseline) -> None:
    assert sum(band.share for band in usual.bands) == pytest.approx(1.0)
    assert service.healthy(shop, usual, shop.now)
    assert service.slo_minutes_lost(shop, usual, shop.now - 10 * MINUTE, shop.now) == 0.0


def test_bands_are_those_of_the_definition(shop: World, usual: service.Baseline) -> None:
    band = usual.bands[0]
    seen = [
        item
        for item in service.minutes(shop, usual.start_ms, usual.end_ms)
        if item.operation == band.operation
    ]
    ratios = np.array([item.success for item in seen])
    assert band.success == pytest.approx(ratios.mean() - max(3 * ratios.std(), 0.005))
    assert band.expected == pytest.approx(np.mean([item.offered for item in seen]))
    fine = seen[0]
    assert usual.outside([fine]) == ()
    assert usual.outside([replace(fine, success=band.success - 0.001)]) == (band.operation,)
    assert usual.outside([replace(fine, p95_ms=band.p95_ms + 1)]) == (band.operation,)
    assert usual.outside([replace(fine, served=0.94)]) == (band.operation,)
    assert usual.bad_share([replace(fine, served=0.94)]) == pytest.approx(band.share)


def test_users_of_a_broken_service_lose_their_share_of_each_minute(
    shop: World, usual: service.Baseline
) -> None:
    world = shop.fork()
    Client(world).patch("deployments.apps", "default", "cartservice", {"spec": {"replicas": 0}})
    begin = world.now
    world.run_for(6 * MINUTE)
    assert not service.healthy(world, usual, world.now)
    bad = service.outside(world, usual, world.now)
    assert "frontend.view_cart" in bad
    lost = service.slo_minutes_lost(world, usual, begin, world.now)
    assert 1.0 < lost <= 6.0
    share = {band.operation: band.share for band in usual.bands}
    assert lost <= 6.0 * sum(share[name] for name in bad) + 1e-9


def test_nobody_being_able_to_ask_is_not_health(shop: World, usual: service.Baseline) -> None:
    world = shop.fork()
    Client(world).patch("deployments.apps", "default", "loadgenerator", {"spec": {"replicas": 0}})
    world.run_for(7 * MINUTE)
    assert service.minutes(world, world.now - MINUTE, world.now)[0].offered == 0
    assert not service.healthy(world, usual, world.now)


def test_a_window_without_traffic_is_no_baseline(shop: World) -> None:
    with pytest.raises(LookupError, match="no minute"):
        service.baseline(shop, 0, MINUTE)
