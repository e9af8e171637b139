"""The applications that ship: they start, their users are served for hours, and their switches do what they say."""

from __future__ import annotations

import copy
import json
from functools import cache
from typing import Any

import numpy as np
import pytest

from firedrill.world.app import application_names, load_package, rows, traffic
from firedrill.world.build import make_world
from firedrill.world.kube.api import Client
from firedrill.world.kube.cluster import Settings
from firedrill.world.world import World

pytestmark = pytest.mark.slow

MINUTE = 60_000
SLOW_MS = 400
"""95 of 100 requests of users are faster."""


@cache
def started(name: str) -> World:
    package = load_package(name)
    return make_world(
        11,
        settings=Settings(freeze=True),
        manifests=package.manifests,
        application=package.application,
        age_days=1,
    )


def users_requests(world: World, ticks: int) -> tuple[float, float, int]:
    """(share that failed, 95th percentile in ms, how many) of what users asked in the last ticks."""
    part = world.cluster.part(traffic.Traffic)
    assert part.graph is not None
    kinds, times = [], []
    for number in range(ticks, 0, -1):
        made = traffic.rows_of(world, -number)
        root = (made.parent < 0) & (made.edge < part.graph.entries) & (made.attempt == 0)
        kinds.append(made.kind[root])
        times.append(made.duration[root])
    kind, duration = np.concatenate(kinds), np.concatenate(times)
    return float((kind != rows.OK).mean()), float(np.percentile(duration, 95)) / 1000, len(kind)


@pytest.mark.parametrize("name", application_names())
def test_an_application_starts_and_serves(name: str) -> None:
    world = started(name).fork()
    package = load_package(name)
    pods = world.cluster.store.list("pods", package.application.namespace)
    for pod in pods:
        for status in pod["status"]["containerStatuses"]:
            assert status["ready"], pod["metadata"]["name"]
    world.run_for(10 * MINUTE)
    failed, p95, count = users_requests(world, 120)
    assert failed == 0
    assert p95 < SLOW_MS
    assert count > 1000
    # Every service has something to do.
    part = world.cluster.part(traffic.Traffic)
    assert part.graph is not None
    busy = {
        part.graph.op_names[op][0]
        for number in range(1, 13)
        for op in traffic.sample(world, -number).served.op
    }
    assert busy == {service.name for service in package.application.services}


def switch(world: World, flag: str, variant: str) -> None:
    """Set a flag of the astronomy shop, as an operator would: in the ConfigMap."""
    client = Client(world, trusted=True)
    found = copy.deepcopy(dict(client.get("configmaps", "otel-demo", "flagd-config")))
    value = json.loads(found["data"]["demo.flagd.json"])
    value["flags"][flag]["defaultVariant"] = variant
    found["data"] = {"demo.flagd.json": json.dumps(value)}
    client.update(found)


def outcomes(world: World, service: str, operation: str, ticks: int = 24) -> dict[str, int]:
    part = world.cluster.part(traffic.Traffic)
    assert part.graph is not None
    total: Any = np.zeros(len(rows.KINDS), np.int64)
    for number in range(ticks, 0, -1):
        calls = traffic.sample(world, -number).calls
        for cell, op in enumerate(calls.op):
            if part.graph.op_names[op] == (service, operation):
                total = total + calls.counts[cell]
    return {rows.KINDS[number]: int(count) for number, count in enumerate(total) if count}


def test_a_flag_in_a_mounted_file_comes_on_within_two_minutes_and_goes_off_again() -> None:
    world = started("astronomy-shop").fork()
    switch(world, "paymentFailure", "100%")
    world.run_for(5000)
    assert "failed" not in outcomes(world, "payment", "charge", 1)
    world.run_for(3 * MINUTE)
    assert set(outcomes(world, "payment", "charge", 12)) == {"failed"}
    assert set(outcomes(world, "frontend-proxy", "checkout", 12)) == {"failed"}
    assert set(outcomes(world, "frontend-proxy", "product", 12)) == {"ok"}
    switch(world, "paymentFailure", "off")
    world.run_for(3 * MINUTE)
    assert set(outcomes(world, "payment", "charge", 12)) == {"ok"}


def test_flags_are_off_without_the_service_that_hands_them_out() -> None:
    world = started("astronomy-shop").fork()
    switch(world, "paymentUnreachable", "on")
    world.run_for(3 * MINUTE)
    assert set(outcomes(world, "payment", "charge", 12)) == {"no_dns"}
    client = Client(world, trusted=True)
    found = copy.deepcopy(dict(client.get("deployments.apps", "otel-demo", "flagd")))
    found["spec"]["replicas"] = 0
    client.update(found)
    world.run_for(2 * MINUTE)
    assert set(outcomes(world, "payment", "charge", 6)) == {"ok"}
    assert set(outcomes(world, "flagd", "resolve", 6)) == {"refused"}


def test_messages_pile_up_while_a_consumer_is_slow() -> None:
    world = started("astronomy-shop").fork()
    switch(world, "kafkaQueueProblems", "on")
    world.run_for(8 * MINUTE)
    sample = traffic.sample(world)
    consumers = [call.service for call in sample.graph.edge_call[sample.graph.entries : sample.graph.roots]]
    lag = dict(zip(consumers, sample.lag, strict=True))
    assert (
        lag["fraud-detection"] > 500 > lag["accounting"] or lag["fraud-detection"] > 2 * lag["accounting"] > 0
    )


def test_messages_wait_for_a_consumer_that_is_away_and_are_worked_on_when_it_is_back() -> None:
    world = started("astronomy-shop").fork()
    client = Client(world, trusted=True)

    def scale(count: int) -> None:
        found = copy.deepcopy(dict(client.get("deployments.apps", "otel-demo", "accounting")))
        found["spec"]["replicas"] = count
        client.update(found)

    scale(0)
    world.run_for(5 * MINUTE)
    waiting = float(traffic.sample(world).lag[0])
    assert waiting > 100
    assert set(outcomes(world, "checkout", "place", 12)) == {"ok"}
    scale(1)
    world.run_for(5 * MINUTE)
    assert traffic.sample(world).lag[0] < 20


def test_a_password_that_only_the_store_knows_keeps_callers_out() -> None:
    world = started("astronomy-shop").fork()
    client = Client(world, trusted=True)
    found = copy.deepcopy(dict(client.get("deployments.apps", "otel-demo", "valkey-cart")))
    found["spec"]["template"]["spec"]["containers"][0]["args"] = ["valkey-server", "--requirepass", "secret"]
    client.update(found)
    world.run_for(3 * MINUTE)
    assert set(outcomes(world, "valkey-cart", "hget", 12)) == {"auth_failed"}
    assert "ok" not in outcomes(world, "frontend-proxy", "view_cart", 12)


def test_without_its_cache_a_database_gets_every_request() -> None:
    world = started("hotel-reservation").fork()
    before = sum(outcomes(world, "mongodb-rate", "find").values())
    client = Client(world, trusted=True)
    found = copy.deepcopy(dict(client.get("deployments.apps", "hotel-reservation", "memcached-rate")))
    found["spec"]["replicas"] = 0
    client.update(found)
    world.run_for(3 * MINUTE)
    assert set(outcomes(world, "memcached-rate", "get")) == {"refused"}
    assert sum(outcomes(world, "mongodb-rate", "find").values()) > 10 * before > 0
    assert set(outcomes(world, "frontend", "hotels")) == {"ok"}
