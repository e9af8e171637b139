"""What fits is felt: nothing is aimed where others stand in, nobody looks, or nothing changes by it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from firedrill import faults
from firedrill.faults.database_address_mismatch import wrong_address
from firedrill.faults.healing import heal
from firedrill.world import World
from firedrill.world.kube.api import Client
from firedrill.world.kube.objects import dig
from firedrill.world.telemetry.monitoring import Monitoring

pytestmark = pytest.mark.slow
Fresh = Callable[[str], World]
MINUTE = 60_000


def aims(world: World, fault: str) -> set[str]:
    """The names of the workloads that a mechanism fits."""
    return {target.about.rpartition("/")[2] for target in faults.targets(faults.find(fault), world)}


def firing(world: World) -> set[str]:
    alerts = world.cluster.part(Monitoring).rules.all_alerts("firing")
    return {dict(alert.labels)["alertname"] for alert in alerts}


@pytest.mark.parametrize(
    "fault",
    ["workload-deleted", "admission-webhook-unavailable", "pod-security-enforced", "workload-scaled-to-zero"],
)
def test_nobody_misses_one_of_several_behind_a_service(fresh: Fresh, fault: str) -> None:
    found = aims(fresh("book-info"), fault)
    assert {"details-v1", "ratings-v1"} <= found
    assert not {"reviews-v1", "reviews-v2", "reviews-v3"} & found


def test_a_policy_changes_nothing_where_another_one_allows(fresh: Fresh) -> None:
    found = aims(fresh("book-info"), "authorization-policy-wrong-namespace")
    assert "details-v1" in found
    assert not {"productpage-v1", "ratings-v1"} & found


def test_a_gateway_of_a_mesh_asks_for_no_names(fresh: Fresh) -> None:
    found = aims(fresh("book-info"), "egress-policy-blocks-dns")
    assert "productpage-v1" in found
    assert "bookinfo-gateway-istio" not in found


def test_before_the_first_program_only_probes_see_what_becomes_of_requests(fresh: Fresh) -> None:
    assert "frontend" in aims(fresh("online-boutique"), "chaos-http-abort")
    assert "frontend" not in aims(fresh("hotel-reservation"), "chaos-http-abort")


def test_without_a_limit_only_a_crowd_of_threads_that_stays_is_felt(fresh: Fresh) -> None:
    fault = faults.find("chaos-cpu-stress")
    for target in faults.targets(fault, fresh("astronomy-shop")):
        assert target.args["workers"] == 30
        assert target.args["every"] == ""
    assert len({item.args["workers"] for item in faults.targets(fault, fresh("hotel-reservation"))}) > 1


def test_threads_that_wait_are_load_of_the_node_and_those_of_a_bound_group_near_its_limit(
    fresh: Fresh,
) -> None:
    fault = faults.find("chaos-cpu-stress")
    for app, alert, other in (
        ("astronomy-shop", "NodeSystemSaturation", "ContainerCPUNearLimit"),
        ("book-info", "ContainerCPUNearLimit", "NodeSystemSaturation"),
    ):
        world = fresh(app)
        faults.inject(world, fault, faults.targets(fault, world)[-1].args)
        world.run_for(18 * MINUTE)
        assert alert in firing(world)
        assert other not in firing(world)


@pytest.mark.parametrize(
    ("text", "part", "wrong"),
    [
        ("postgres://u:p@db:5432/shop", "port", "postgres://u:p@db:5433/shop"),
        ("mysql://db/shop", "host", "mysql://db-primary:5432/shop"),
        ("Host=db;Username=u;Password=p", "port", "Host=db;Username=u;Password=p;Port=5433"),
        ("Username=u; Server=db; Port=5432;", "port", "Username=u; Server=db; Port=5433;"),
        ("Username=u;Host=db;Database=d", "host", "Username=u;Host=db-primary;Database=d"),
    ],
)
def test_the_settings_of_a_database_get_another_address(text: str, part: str, wrong: str) -> None:
    assert wrong_address(text, part) == wrong


def test_a_database_is_known_by_a_url_or_by_settings(fresh: Fresh) -> None:
    assert aims(fresh("astronomy-shop"), "database-address-mismatch") == {"accounting"}


def test_another_default_deny_has_another_name(fresh: Fresh) -> None:
    world, fault = fresh("hotel-reservation"), faults.find("namespace-default-deny")
    faults.inject(world, fault, faults.targets(fault, world)[0].args)
    again = faults.targets(fault, world)[0].args
    assert faults.inject(world, fault, again).causes == (
        f"{again['namespace']}/NetworkPolicy/default-deny-ingress",
    )


def test_a_node_without_process_numbers_evicts_and_takes_nobody(fresh: Fresh) -> None:
    world, fault = fresh("hotel-reservation"), faults.find("node-pid-pressure")
    node = faults.targets(fault, world)[0].args["node"]
    faults.inject(world, fault, {"node": node})
    world.run_for(MINUTE)
    gone = [pod for pod in world.cluster.store.list("pods") if dig(pod, "status", "reason") == "Evicted"]
    assert len(gone) >= 4
    texts = {str(dig(pod, "status", "message")).partition(". ")[0] for pod in gone}
    assert "The node was low on resource: pids" in texts
    pinned = {"nodeName": node, "containers": [{"name": "c", "image": "nginx:1.27"}]}
    Client(world).create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "late", "namespace": "default"},
            "spec": pinned,
        }
    )
    world.run_for(5_000)
    late = Client(world).get("pods", "default", "late")
    assert late["status"]["message"].endswith("The node had condition: [PIDPressure]. ")


def test_healing_a_workload_clears_its_evicted_pods_away(fresh: Fresh) -> None:
    world, fault = fresh("hotel-reservation"), faults.find("log-spool-fills-volume")
    before = world.fork()
    injection = faults.inject(world, fault, faults.targets(fault, world)[0].args)
    world.run_for(6 * MINUTE)
    assert faults.leftovers(world)
    assert "FailedPodsDetected" in firing(world)
    other = next(c for c in ("frontend", "geo") if c not in injection.causes[0])
    space = injection.args["namespace"]
    fork = world.fork()
    heal(fork, [f"{space}/Deployment/{other}"], before=before, injections=[injection])
    assert faults.leftovers(fork)
    heal(world, injection.causes, before=before, injections=[injection])
    world.run_for(3 * MINUTE)
    assert not faults.leftovers(world)
    assert "FailedPodsDetected" not in firing(world)
