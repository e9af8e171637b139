"""What exporters tell of a world, held against its objects."""

from __future__ import annotations

from typing import Any

import pytest

from firedrill.world import World
from firedrill.world.app.packages import load_package
from firedrill.world.build import make_world
from firedrill.world.kube.api import Client
from firedrill.world.telemetry import Monitoring, promql
from firedrill.world.telemetry.producers import watch


@pytest.fixture(scope="module")
def shop() -> World:
    """The online boutique, watched for two minutes."""
    world = make_world(3, manifests=load_package("online-boutique").manifests)
    watch(world)
    world.run_for(120_000)
    return world


def ask(world: World, text: str) -> dict[tuple[str, ...], float]:
    """The answer to a query: values by the values of the labels that are left, in order of their names."""
    found: Any = promql.instant(world.cluster.part(Monitoring).store, text, world.now)
    return {
        tuple(value for key, value in labels if key != "__name__"): value
        for labels, value in zip(found.labels, found.values.tolist(), strict=True)
    }


def test_each_object_is_told_of(shop: World) -> None:
    """Counts of series are counts of objects."""
    store = shop.cluster.store
    assert ask(shop, "count(kube_pod_info)") == {(): float(store.count("pods"))}
    assert ask(shop, "count(kube_node_info)") == {(): float(store.count("nodes"))}
    assert ask(shop, "count(kube_deployment_created)") == {(): float(store.count("deployments.apps"))}
    assert ask(shop, "count(kube_service_info)") == {(): float(store.count("services"))}
    assert ask(shop, 'sum by (phase)(kube_pod_status_phase{phase="Running"})') == {
        ("Running",): float(store.count("pods"))
    }


def test_changes_are_followed(shop: World) -> None:
    """What changes an object changes its series, and what ends it ends them."""
    world = shop.fork()
    client = Client(world, trusted=True)
    found = next(
        obj for obj in world.cluster.store.list("deployments.apps") if obj["metadata"]["name"] == "frontend"
    )
    space = found["metadata"]["namespace"]
    picked = f'{{deployment="frontend",namespace="{space}"}}'
    client.patch("deployments.apps", space, "frontend", {"spec": {"replicas": 3}})
    world.run_for(60_000)
    assert list(ask(world, f"kube_deployment_spec_replicas{picked}").values()) == [3.0]
    assert list(ask(world, f"kube_deployment_status_replicas_available{picked}").values()) == [3.0]
    client.delete("deployments.apps", space, "frontend")
    world.run_for(120_000)
    assert ask(world, f"kube_deployment_spec_replicas{picked}") == {}
    assert ask(world, 'kube_pod_info{pod=~"frontend-.*"}') == {}
    assert list(ask(shop, f"kube_deployment_spec_replicas{picked}").values()) == [1.0]


def test_forks_are_watched_and_equal(shop: World) -> None:
    """Two copies have the same future, digests of series included."""
    one, other = shop.fork(), shop.fork()
    one.run_for(90_000)
    other.run_for(90_000)
    assert one.digest() == other.digest()
    assert one.digest() != shop.digest()


def test_the_log_may_be_too_short(shop: World) -> None:
    """Where changes cannot be followed, everything is read anew."""
    world = shop.fork()
    client = Client(world, trusted=True)
    gone = world.cluster.store.list("pods")[0]["metadata"]
    client.delete("pods", gone["namespace"], gone["name"], grace=0)
    world.cluster.store.forget_log()
    world.run_for(30_000)
    there = {
        (obj["metadata"]["namespace"], obj["metadata"]["name"]) for obj in world.cluster.store.list("pods")
    }
    assert set(ask(world, "sum by (namespace, pod)(kube_pod_info)")) == there


def test_nobody_watches_by_default() -> None:
    """A world without `watch` keeps nothing; one cannot be watched twice."""
    world = make_world(1, nodes=1)
    world.run_for(60_000)
    assert "Monitoring" not in [name for name, _ in world.cluster.parts()]
    watch(world)
    with pytest.raises(ValueError, match="already"):
        watch(world)
