"""What logs and traces are handed: the requests of the traffic, under their names."""

from __future__ import annotations

import pytest

from firedrill.world.app import load_package, rows, traffic
from firedrill.world.app.requests import WorldRequests
from firedrill.world.build import make_world
from firedrill.world.telemetry.traces import Traces
from firedrill.world.telemetry.traces.requests import Requests
from firedrill.world.world import World

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world() -> World:
    package = load_package("astronomy-shop")
    return make_world(5, manifests=package.manifests, application=package.application, age_days=1)


def test_names_say_what_numbers_mean(world: World) -> None:
    requests: Requests = WorldRequests(world)
    names = requests.names
    assert names is WorldRequests(world.fork()).names
    assert names.outcomes == rows.KINDS
    assert names.services[-1].name == "load-generator"
    by_name = {item.name: item for item in names.services}
    assert by_name["cart"].version == "2.1.3-cart"
    assert by_name["valkey-cart"].database == "redis"
    called = {(names.services[names.operations[item.target].service].name, item.host) for item in names.calls}
    assert {("shipping", "shipping"), ("postgresql", "postgresql"), ("frontend", "frontend")} <= called
    queues = [(item.queue, item.consumer) for item in names.calls if item.queue]
    assert sorted(queues) == [("orders", False), ("orders", True), ("orders", True)]


def test_ticks_are_found_by_time(world: World) -> None:
    requests = WorldRequests(world)
    count = len(world.cluster.part(traffic.Traffic).history)
    assert requests.until <= world.now < requests.until + traffic.TICK_MS
    first = requests.tick(0).start
    assert requests.ticks(first - 100_000, world.now + 100_000) == range(count)
    assert requests.ticks(first + 5000, first + 10_000) == range(1, 2)
    assert requests.ticks(first + 4999, first + 5001) == range(2)
    assert requests.ticks(world.now + 5000, world.now + 9000) == range(count, count)
    assert not requests.ticks(first, first)
    with pytest.raises(LookupError):
        requests.tick(count)


def test_a_tick_has_its_rows_and_pods(world: World) -> None:
    requests = WorldRequests(world)
    tick = requests.tick(10)
    names = requests.names
    assert tick.start == requests.tick(9).start + tick.length
    made = tick.rows
    here = made.arrived.nonzero()[0]
    # The pod that served a request belongs to the service whose operation was asked for.
    for row in here[:200]:
        pod = tick.pods[made.pod[row]]
        assert pod.service == names.operations[made.op[row]].service
        assert pod.name.startswith(names.services[pod.service].workload)
        assert pod.container


def test_a_world_without_traffic_has_no_requests() -> None:
    with pytest.raises(LookupError):
        WorldRequests(make_world(1, nodes=1, age_days=1))


def test_traces_and_samples_count_the_same(world: World) -> None:
    requests = WorldRequests(world)
    first, last = requests.tick(20).start, requests.tick(40).start
    told = {(link.parent, link.child): link.calls for link in Traces(requests).dependencies(first, last)}
    counted: dict[tuple[str, str], int] = {}
    for number in requests.ticks(first, last):
        sample = traffic.sample(world, number)
        for cell, edge in enumerate(sample.calls.edge):
            source = sample.graph.edge_source[edge]
            if source >= 0 and sample.calls.pod[cell] >= 0:
                pair = (sample.graph.op_names[source][0], sample.graph.op_names[sample.calls.op[cell]][0])
                counted[pair] = counted.get(pair, 0) + int(sample.calls.requests[cell])
    for pair in (("checkout", "cart"), ("frontend", "product-catalog"), ("recommendation", "flagd")):
        assert told[pair] == counted[pair] > 0
