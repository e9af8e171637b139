"""Traffic in a cluster: what is broken in the cluster breaks requests, and what requests weigh is seen in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from firedrill.faults import find, inject, revert
from firedrill.world.app import load_package, rows, traffic
from firedrill.world.app.samples import Sample
from firedrill.world.build import make_world
from firedrill.world.kube import effects, kubelet
from firedrill.world.kube.api import Client
from firedrill.world.kube.cluster import Settings
from firedrill.world.kube.kubelet import running
from firedrill.world.kube.kubelet.state import find_pod
from firedrill.world.kube.objects import name_of
from firedrill.world.sim.handlers import handler
from firedrill.world.world import World

pytestmark = pytest.mark.slow

MINUTE = 60_000


@pytest.fixture(scope="module")
def healthy() -> World:
    package = load_package("online-boutique")
    return make_world(
        4,
        settings=Settings(freeze=True),
        manifests=package.manifests,
        application=package.application,
        age_days=1,
    )


@pytest.fixture
def world(healthy: World) -> World:
    return healthy.fork()


class Seen:
    """The requests of some ticks."""

    def __init__(self, world: World, ticks: int = 12) -> None:
        part = world.cluster.part(traffic.Traffic)
        assert part.graph is not None
        self.graph = part.graph
        self.samples: list[Sample] = [traffic.sample(world, -number) for number in range(ticks, 0, -1)]

    def counts(self, service: str, operation: str = "", caller: str = "") -> Mapping[str, int]:
        """Requests to a service by outcome, as callers saw them."""
        total = np.zeros(len(rows.KINDS), np.int64)
        for item in self.samples:
            for cell, op in enumerate(item.calls.op):
                name = self.graph.op_names[op]
                source = self.graph.edge_source[item.calls.edge[cell]]
                by = self.graph.op_names[source][0] if source >= 0 else "users"
                if name[0] == service and operation in ("", name[1]) and caller in ("", by):
                    total += item.calls.counts[cell]
        return {rows.KINDS[number]: int(count) for number, count in enumerate(total) if count}

    def failing(self, service: str, operation: str = "") -> float:
        """Share of the requests that did not succeed."""
        found = self.counts(service, operation)
        return 1 - found.get("ok", 0) / max(sum(found.values()), 1)

    def p95(self, service: str = "frontend") -> float:
        """Upper bound in ms, over all samples."""
        total = np.zeros(17)
        for item in self.samples:
            for cell, op in enumerate(item.calls.op):
                if self.graph.op_names[op][0] == service:
                    total += item.calls.histogram[cell]
        return float(np.append(traffic_bounds(), 1e9)[int(np.argmax(np.cumsum(total) >= 0.95 * total.sum()))])


def traffic_bounds() -> list[float]:
    from firedrill.world.app.samples import BOUNDS_MS

    return [float(item) for item in BOUNDS_MS]


def edit(
    world: World, resource: str, name: str, change: Callable[[Any], Any], namespace: str = "default"
) -> None:
    import copy

    client = Client(world, trusted=True)
    found = copy.deepcopy(dict(client.get(resource, namespace, name)))
    change(found)
    client.update(found)


def scale(world: World, name: str, replicas: int) -> None:
    edit(world, "deployments.apps", name, lambda obj: obj["spec"].update(replicas=replicas))


def pod_of(world: World, app: str) -> str:
    pods = [
        pod
        for pod in world.cluster.store.list("pods", "default")
        if pod["metadata"]["labels"].get("app") == app
    ]
    return str(pods[-1]["metadata"]["name"])


def test_a_healthy_world_serves_its_users(world: World) -> None:
    world.run_for(10 * MINUTE)
    seen = Seen(world, 120)
    assert seen.failing("frontend") == 0
    assert seen.p95() <= 50
    assert sum(seen.counts("frontend").values()) > 8000
    # What is asked of callees is what they were asked: both views have the same counts.
    for item in seen.samples:
        assert item.served.requests.sum() == item.calls.requests.sum()


def test_a_world_without_an_application_has_no_traffic() -> None:
    package = load_package("online-boutique")
    world = make_world(4, manifests=package.manifests, age_days=1)
    world.run_for(MINUTE)
    assert world.cluster.part(traffic.Traffic).state() == []
    with pytest.raises(LookupError):
        traffic.sample(world)


def test_forks_run_on_alike_and_apart(world: World) -> None:
    twin, other = world.fork(), world.fork()
    scale(other, "cartservice", 0)
    for item in (world, twin, other):
        item.run_for(2 * MINUTE)
    assert world.digest() == twin.digest() != other.digest()
    assert Seen(world).failing("frontend") == 0
    assert Seen(other).failing("frontend") > 0.5


def test_old_ticks_are_made_again_as_they_were(world: World) -> None:
    world.run_for(MINUTE)
    kept = traffic.rows_of(world)
    number = len(world.cluster.part(traffic.Traffic).history) - 1
    world.run_for(MINUTE)
    again = traffic.rows_of(world, number)
    for name in ("parent", "kind", "duration", "start", "pod"):
        assert (getattr(kept, name) == getattr(again, name)).all()


_CALLED: list[int] = []


@handler("test.traffic")
def _called(world: World) -> None:
    _CALLED.append(traffic.sample(world).number)


def test_followers_are_called_after_each_tick(world: World) -> None:
    _CALLED.clear()
    traffic.call_after_ticks(world, "test.traffic")
    first = len(world.cluster.part(traffic.Traffic).history)
    world.run_for(MINUTE)
    assert list(range(first, first + 12)) == _CALLED


def test_a_service_scaled_to_zero_refuses_and_what_needs_it_fails(world: World) -> None:
    scale(world, "paymentservice", 0)
    world.run_for(3 * MINUTE)
    seen = Seen(world)
    assert set(seen.counts("paymentservice")) == {"refused"}
    assert seen.failing("frontend", "checkout") == 1
    assert seen.failing("frontend", "product") == 0
    scale(world, "paymentservice", 1)
    world.run_for(3 * MINUTE)
    assert Seen(world).failing("frontend") == 0


def test_a_deleted_service_has_no_name(world: World) -> None:
    Client(world, trusted=True).delete("services", "default", "cartservice")
    world.run_for(2 * MINUTE)
    assert set(Seen(world).counts("cartservice")) == {"no_dns"}


def test_a_wrong_selector_leaves_no_endpoints_and_a_wrong_port_nobody_who_listens(world: World) -> None:
    edit(world, "services", "adservice", lambda obj: obj["spec"].update(selector={"app": "ads"}))
    edit(world, "services", "shippingservice", lambda obj: obj["spec"]["ports"][0].update(targetPort=50099))
    world.run_for(2 * MINUTE)
    seen = Seen(world)
    assert set(seen.counts("adservice")) == set(seen.counts("shippingservice")) == {"refused"}
    assert seen.failing("frontend", "home") == 0
    assert seen.failing("frontend", "view_cart") == 1


def test_a_selector_of_another_program_reaches_the_wrong_one(world: World) -> None:
    def change(obj: Any) -> None:
        obj["spec"]["selector"] = {"app": "emailservice"}
        obj["spec"]["ports"][0]["targetPort"] = 8080

    edit(world, "services", "currencyservice", change)
    world.run_for(2 * MINUTE)
    assert set(Seen(world).counts("currencyservice")) == {"wrong_protocol"}


def test_a_network_policy_lets_requests_time_out(world: World) -> None:
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "closed", "namespace": "default"},
        "spec": {"podSelector": {"matchLabels": {"app": "redis-cart"}}, "policyTypes": ["Ingress"]},
    }
    Client(world, trusted=True).create(policy)
    world.run_for(3 * MINUTE)
    seen = Seen(world)
    # Its pool of connections is soon full of calls that wait.
    assert set(seen.counts("redis-cart")) <= {"dropped", "pool"}
    assert "dropped" in seen.counts("redis-cart")
    assert seen.p95() >= 5000
    Client(world, trusted=True).delete("networkpolicies.networking.k8s.io", "default", "closed")
    world.run_for(3 * MINUTE)
    assert Seen(world, 6).failing("frontend") == 0


def test_a_wrong_address_in_a_variable_matters_when_pods_are_new(world: World) -> None:
    def change(obj: Any) -> None:
        for item in obj["spec"]["template"]["spec"]["containers"][0]["env"]:
            if item["name"] == "CURRENCY_SERVICE_ADDR":
                item["value"] = "currencyservice:7999"

    edit(world, "deployments.apps", "checkoutservice", change)
    world.run_for(3 * MINUTE)
    seen = Seen(world)
    assert set(seen.counts("currencyservice", caller="checkoutservice")) == {"dropped"}
    assert set(seen.counts("currencyservice", caller="frontend")) == {"ok"}


def test_a_missing_variable_keeps_a_program_from_starting(world: World) -> None:
    def change(obj: Any) -> None:
        container = obj["spec"]["template"]["spec"]["containers"][0]
        container["env"] = [item for item in container["env"] if item["name"] != "EMAIL_SERVICE_ADDR"]
        obj["spec"]["strategy"] = {"type": "Recreate"}

    edit(world, "deployments.apps", "checkoutservice", change)
    world.run_for(3 * MINUTE)
    state = find_pod(world, "default", pod_of(world, "checkoutservice"))
    assert state is not None
    assert state.containers["server"].waiting == "CrashLoopBackOff"
    assert set(Seen(world).counts("checkoutservice")) == {"refused"}


def test_names_without_servers_time_out(world: World) -> None:
    edit(world, "deployments.apps", "coredns", lambda obj: obj["spec"].update(replicas=0), "kube-system")
    world.run_for(3 * MINUTE)
    assert "dns_timeout" in Seen(world).counts("frontend")
    assert Seen(world).failing("frontend") == 1


def test_more_users_of_the_load_generator_are_more_load(world: World) -> None:
    before = sum(Seen(world).counts("frontend").values())

    def change(obj: Any) -> None:
        for item in obj["spec"]["template"]["spec"]["containers"][0]["env"]:
            if item["name"] == "USERS":
                item["value"] = "60"

    edit(world, "deployments.apps", "loadgenerator", change)
    world.run_for(2 * MINUTE)
    assert sum(Seen(world).counts("frontend").values()) == pytest.approx(2 * before, rel=0.15)
    scale(world, "loadgenerator", 0)
    world.run_for(MINUTE)
    assert sum(Seen(world, 2).counts("frontend").values()) == 0


def test_load_is_seen_in_the_metrics_and_scales_workloads(world: World) -> None:
    hpa = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "frontend", "namespace": "default"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "frontend"},
            "minReplicas": 1,
            "maxReplicas": 5,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
                }
            ],
        },
    }
    Client(world, trusted=True).create(hpa)
    quiet = kubelet.usage(world, "default", pod_of(world, "frontend"))["server"]
    scale(world, "loadgenerator", 6)
    world.run_for(4 * MINUTE)
    busy = kubelet.usage(world, "default", pod_of(world, "frontend"))["server"]
    assert busy[0] > 1.5 * quiet[0]
    found = world.cluster.store.get("deployments.apps", "default", "frontend")
    assert found is not None
    assert found["spec"]["replicas"] > 1
    # The new pods take their share.
    pods = {item.name for item in traffic.sample(world).pods if item.name.startswith("frontend")}
    assert len(pods) == found["spec"]["replicas"]
    assert Seen(world, 3).failing("frontend") == 0


def test_a_saturated_pod_fails_its_probes(world: World) -> None:
    uid = str(world.cluster.store.get("pods", "default", pod_of(world, "currencyservice"))["metadata"]["uid"])  # type: ignore[index]
    effects.add(world, effects.Effect(f"pod/{uid}", "cpu_steal", 995, "test"))
    scale(world, "loadgenerator", 3)
    world.run_for(4 * MINUTE)
    told = {
        (item["reason"], item["involvedObject"]["name"])
        for item in world.cluster.store.list("events", "default")
    }
    assert ("Unhealthy", pod_of(world, "currencyservice")) in told
    assert Seen(world).failing("frontend", "product") > 0.3
    effects.remove(world, "test")
    world.run_for(6 * MINUTE)
    assert Seen(world, 3).failing("frontend") < 0.05


def test_a_leak_ends_at_the_memory_limit(world: World) -> None:
    name = pod_of(world, "recommendationservice")
    uid = str(world.cluster.store.get("pods", "default", name)["metadata"]["uid"])  # type: ignore[index]
    effects.add(world, effects.Effect(f"pod/{uid}", "mem_leak_mb_s", 3, "test"))
    world.run_for(5 * MINUTE)
    state = find_pod(world, "default", name)
    assert state is not None
    run = state.containers["server"].previous or state.containers["server"].run
    assert run is not None
    assert run.reason == "OOMKilled"


def test_a_slow_network_slows_what_uses_it(world: World) -> None:
    before = Seen(world).p95()
    uid = str(world.cluster.store.get("pods", "default", pod_of(world, "cartservice"))["metadata"]["uid"])  # type: ignore[index]
    effects.add(world, effects.Effect(f"pod/{uid}", "delay_ms", 60, "test"))
    world.run_for(2 * MINUTE)
    assert Seen(world).p95() >= 200 > before
    assert Seen(world).p95("currencyservice") <= 10


def test_a_flag_in_a_variable_does_what_the_graph_says(world: World) -> None:
    def change(obj: Any) -> None:
        obj["spec"]["template"]["spec"]["containers"][0].setdefault("env", []).append(
            {"name": "EXTRA_LATENCY", "value": "1.5s"}
        )

    edit(world, "deployments.apps", "productcatalogservice", change)
    world.run_for(3 * MINUTE)
    assert Seen(world).p95("productcatalogservice") >= 2000


@pytest.mark.parametrize(
    ("fault", "args", "service", "outcomes"),
    [
        (
            "service-selector-mismatch",
            {"namespace": "default", "name": "cartservice"},
            "cartservice",
            {"refused", "no_dns", "dropped"},
        ),
        ("node-network-packet-loss", {"node": "worker-01"}, "", set()),
        ("kube-proxy-unavailable", {"node": "worker-01"}, "", set()),
    ],
)
def test_faults_and_their_repair(
    world: World, fault: str, args: dict[str, Any], service: str, outcomes: set[str]
) -> None:
    done = inject(world, find(fault), args)
    world.run_for(3 * MINUTE)
    if service:
        assert set(Seen(world).counts(service)) & outcomes
    revert(world, done)
    world.run_for(5 * MINUTE)
    assert Seen(world, 6).failing("frontend") == 0


def test_a_program_that_runs_without_what_it_needs_fails_what_it_is_asked() -> None:
    package = load_package("online-boutique")
    services = tuple(
        dataclasses.replace(item, needs=dataclasses.replace(item.needs, env=("TOKEN",), without="errors"))
        if item.name == "adservice"
        else item
        for item in package.application.services
    )
    application = dataclasses.replace(package.application, services=services)
    world = make_world(4, manifests=package.manifests, application=application, age_days=1)
    assert set(Seen(world).counts("adservice")) == {"failed"}
    assert Seen(world).failing("frontend") == 0

    def change(obj: Any) -> None:
        obj["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "TOKEN", "value": "x"})

    edit(world, "deployments.apps", "adservice", change)
    world.run_for(3 * MINUTE)
    assert set(Seen(world).counts("adservice")) == {"ok"}


def test_a_program_that_answers_with_errors_or_not_at_all_is_felt_by_its_callers(world: World) -> None:
    kubelet.set_health(world, "default", pod_of(world, "shippingservice"), "server", status=503)
    kubelet.set_health(world, "default", pod_of(world, "recommendationservice"), "server", latency=700)
    world.run_for(15_000)
    assert set(Seen(world, 2).counts("shippingservice")) <= {"failed", "refused"}
    assert Seen(world, 2).p95("recommendationservice") >= 800


def test_a_pod_that_is_killed_breaks_what_is_under_way_and_one_that_is_asked_to_stop_does_not(
    world: World,
) -> None:
    for name in ("frontend", "currencyservice"):
        scale(world, name, 3)
    world.run_for(2 * MINUTE)
    gentle = world.fork()
    Client(gentle, trusted=True).delete("pods", "default", pod_of(gentle, "currencyservice"))
    gentle.run_for(MINUTE)
    assert "reset" not in Seen(gentle).counts("currencyservice")
    state = find_pod(world, "default", pod_of(world, "currencyservice"))
    assert state is not None
    running.end(world, state, state.containers["server"], 137, "Error")
    world.run_for(5000)
    broken = Seen(world, 1).counts("currencyservice")
    assert 0.03 < broken["reset"] / sum(broken.values()) < 0.2
    world.run_for(MINUTE)
    assert set(Seen(world, 6).counts("currencyservice")) == {"ok"}


def test_the_past_is_made_again_from_what_was_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests of long ago are the same, whether their states were kept or not, in any order of reading."""
    package = load_package("online-boutique")
    plain = make_world(4, manifests=package.manifests, application=package.application)
    sparse = plain.fork()
    monkeypatch.setattr(traffic, "_RECENT", 3)
    monkeypatch.setattr(traffic, "_SPARSE", 10)
    for world in (plain, sparse):
        if world is plain:
            monkeypatch.setattr(traffic, "_RECENT", 10_000)
        else:
            monkeypatch.setattr(traffic, "_RECENT", 3)
        world.run_for(60_000)
        pod = next(one for one in world.cluster.store.list("pods", "default") if "cart" in name_of(one))
        Client(world, trusted=True).delete("pods", "default", name_of(pod))
        world.run_for(120_000)
    part = sparse.cluster.part(traffic.Traffic)
    part._recent.clear()
    part._later = part._last = None
    count = len(part.history)
    for number in [count - 2, count - 30, *range(count - 36, count), 130, count - 1]:
        one, other = traffic.rows_of(plain, number), traffic.rows_of(sparse, number)
        assert (one.duration == other.duration).all()
        assert (one.kind == other.kind).all()
        assert (one.pod == other.pod).all()
        if number % 7 == 0:
            ours, theirs = traffic.sample(plain, number), traffic.sample(sparse, number)
            assert (ours.memory == theirs.memory).all()
