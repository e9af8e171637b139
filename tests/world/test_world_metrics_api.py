"""The metrics API: who is in it, when it is refused."""

from typing import Any

import pytest

from firedrill.world.build import make_world
from firedrill.world.kube import quantity
from firedrill.world.kube.api import ApiError, Client
from firedrill.world.kube.api.request import ADMIN, Request
from firedrill.world.kube.api.server import handle
from firedrill.world.kube.cluster import Settings
from firedrill.world.kube.objects import name_of
from firedrill.world.world import World


def ask(world: World, plural: str, name: str = "", namespace: str = "") -> dict[str, Any]:
    where: dict[str, Any] = {"group": "metrics.k8s.io", "version": "v1beta1", "plural": plural}
    verb: Any = "get" if name else "list"
    return handle(world, Request(verb=verb, **where, namespace=namespace, name=name, user=ADMIN)).obj


@pytest.fixture(scope="module")
def base() -> World:
    return make_world(3, nodes=2, settings=Settings(freeze=True))


def test_nodes_use_at_least_what_their_pods_use(base: World) -> None:
    pods = {name_of(item): item for item in ask(base, "pods")["items"]}
    nodes = ask(base, "nodes")["items"]
    assert len(nodes) == 2
    for node in nodes:
        here = [pods[name_of(pod)] for pod in base.cluster.store.pods_on(name_of(node))]
        for what in ("cpu", "memory"):
            own = sum(quantity.milli(box["usage"][what]) for pod in here for box in pod["containers"])
            assert 0 < own < quantity.milli(node["usage"][what])


def test_a_single_pod_and_a_missing_one(base: World) -> None:
    found = ask(base, "pods", "etcd-control-plane", "kube-system")
    assert [box["name"] for box in found["containers"]] == ["etcd"]
    with pytest.raises(ApiError) as caught:
        ask(base, "pods", "nothing", "kube-system")
    assert caught.value.code == 404


def test_without_the_metrics_server_the_api_is_unavailable(base: World) -> None:
    world = base.fork()
    Client(world).patch("deployments.apps", "kube-system", "metrics-server", {"spec": {"replicas": 0}})
    world.run_for(60_000)
    with pytest.raises(ApiError) as caught:
        ask(world, "nodes")
    assert caught.value.code == 503
    assert caught.value.message.endswith("(get nodes.metrics.k8s.io)")
