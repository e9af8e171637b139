"""The rules that ship: silent while all is well, and firing for what is wrong, after their time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from firedrill.core.errors import InputError
from firedrill.world import World
from firedrill.world.app.packages import load_package
from firedrill.world.build import apply_manifests, make_world
from firedrill.world.kube import kubelet
from firedrill.world.kube.api import Client
from firedrill.world.kube.objects import Obj, name_of, namespace_of
from firedrill.world.telemetry import Monitoring, labels
from firedrill.world.telemetry.producers import shipped_names, shipped_rules, watch
from firedrill.world.telemetry.rules import Alert

pytestmark = pytest.mark.slow

MINUTE = 60_000
Series = dict[tuple[str, ...], float]
"""Growth of counters by the name of the metric, then names and values of labels in turn."""
STEP = 35_000
"""How late a rule may notice: a scrape of objects every 15 s, an evaluation every 30 s, on a grid of 5 s."""


@pytest.fixture(scope="module")
def shop() -> World:
    """The online boutique, watched with the rules about Kubernetes for ten minutes."""
    world = make_world(5, manifests=load_package("online-boutique").manifests)
    watch(world, shipped_rules())
    world.run_for(10 * MINUTE)
    return world


def firing(world: World) -> dict[str, list[Alert]]:
    """What fires now, by name, but for the one that always does."""
    out: dict[str, list[Alert]] = {}
    for alert in world.cluster.part(Monitoring).rules.all_alerts("firing"):
        out.setdefault(dict(alert.labels)["alertname"], []).append(alert)
    assert len(out.pop("Watchdog")) == 1
    return out


def service(world: World, name: str) -> Obj:
    """A Deployment of the shop."""
    return next(obj for obj in world.cluster.store.list("deployments.apps") if name_of(obj) == name)


def change_container(world: World, name: str, **fields: Any) -> None:
    """Change the first container of a Deployment of the shop."""
    found = service(world, name)
    first = {"name": found["spec"]["template"]["spec"]["containers"][0]["name"], **fields}
    patch = {"spec": {"template": {"spec": {"containers": [first]}}}}
    Client(world, trusted=True).patch("deployments.apps", namespace_of(found), name, patch)


def fires_in_time(world: World, name: str, wait: int, limit: int) -> Alert:
    """Wait for an alert, and see that it was pending for as long as its rule says."""
    end = world.now + limit
    while name not in firing(world):
        assert world.now < end, f"{name} does not fire; {sorted(firing(world))} do"
        world.run_for(15_000)
    alert = firing(world)[name][0]
    assert wait <= alert.fired_ms - alert.since_ms < wait + STEP
    return alert


def test_a_healthy_shop_is_silent_for_hours(shop: World) -> None:
    """Nothing fires and no rule fails while nothing is wrong."""
    world = shop.fork()
    seen: set[str] = set()
    for _ in range(12):
        world.run_for(10 * MINUTE)
        seen |= set(firing(world))
    assert seen == set()
    book = world.cluster.part(Monitoring).rules
    states = {book.health(i, j).state for i, group in enumerate(book.groups) for j in range(len(group.rules))}
    assert states == {"ok"}


def test_a_wrong_image_fires(shop: World) -> None:
    """The new pod waits, is not ready, and the rollout gets stuck; the old pod goes on serving."""
    world = shop.fork()
    begun = world.now
    change_container(world, "frontend", image="registry.example.com/shop/frontend:missing")
    waiting = fires_in_time(world, "KubeContainerWaiting", 5 * MINUTE, 10 * MINUTE)
    assert dict(waiting.labels)["pod"].startswith("frontend-")
    pod = fires_in_time(world, "KubePodNotReady", 5 * MINUTE, 2 * MINUTE)
    assert dict(pod.labels)["pod"].startswith("frontend-")
    assert pod.since_ms - begun < 60_000
    fires_in_time(world, "KubeDeploymentRolloutStuck", 5 * MINUTE, 20 * MINUTE)
    assert "KubeDeploymentReplicasMismatch" not in firing(world)
    image = service(shop, "frontend")["spec"]["template"]["spec"]["containers"][0]["image"]
    change_container(world, "frontend", image=image)
    world.run_for(5 * MINUTE)
    assert firing(world) == {}


def test_a_crash_loop_fires(shop: World) -> None:
    """A program that ends again and again is told of, with the container's name."""
    world = shop.fork()
    found = service(world, "cartservice")
    recreate = {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}}
    Client(world, trusted=True).patch("deployments.apps", namespace_of(found), "cartservice", recreate)
    change_container(world, "cartservice", image="busybox:1.36", command=["sh", "-c", "exit 3"])
    alert = fires_in_time(world, "KubePodCrashLooping", 5 * MINUTE, 12 * MINUTE)
    labels = dict(alert.labels)
    assert labels["pod"].startswith("cartservice-")
    assert labels["severity"] == "warning"
    assert labels["container"] == found["spec"]["template"]["spec"]["containers"][0]["name"]
    late = fires_in_time(world, "KubeDeploymentReplicasMismatch", 15 * MINUTE, 25 * MINUTE)
    assert dict(late.labels)["deployment"] == "cartservice"


def test_a_dead_kubelet_fires(shop: World) -> None:
    """Its scrapes fail, the node is not ready, and all of it ends once the kubelet is back."""
    world = shop.fork()
    kubelet.nodes.stop(world, "worker-01", "kubelet")
    down = fires_in_time(world, "TargetDown", 10 * MINUTE, 12 * MINUTE)
    assert dict(down.labels)["job"] == "kubelet"
    node = fires_in_time(world, "KubeNodeNotReady", 15 * MINUTE, 18 * MINUTE)
    assert dict(node.labels)["node"] == "worker-01"
    fires_in_time(world, "KubeNodeUnreachable", 15 * MINUTE, 2 * MINUTE)
    assert "KubeletDown" not in firing(world)
    kubelet.nodes.start(world, "worker-01", "kubelet")
    world.run_for(8 * MINUTE)
    assert not {"TargetDown", "KubeNodeNotReady", "KubeNodeUnreachable"} & set(firing(world))


def test_components_that_are_gone_fire(shop: World) -> None:
    """A scheduler that is not there is missed."""
    world = shop.fork()
    kubelet.nodes.stop(world, "control-plane", "kube-scheduler")
    fires_in_time(world, "KubeSchedulerDown", 15 * MINUTE, 18 * MINUTE)
    assert "KubeControllerManagerDown" not in firing(world)


def _job(name: str) -> Obj:
    container = {"name": "main", "image": "busybox:1.36", "command": ["sh", "-c", "exit 1"]}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    meta = {"name": name, "namespace": "side"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": meta,
        "spec": {"backoffLimit": 0, "template": template},
    }


def test_jobs_and_quotas_fire(shop: World) -> None:
    """A failed Job, its failed pod, and a quota that is used up."""
    world = shop.fork()
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "few", "namespace": "side"},
        "spec": {"hard": {"count/jobs.batch": "1", "pods": "50"}},
    }
    apply_manifests(world, [quota])
    world.run_for(5_000)
    apply_manifests(world, [_job("broken")])
    alert = fires_in_time(world, "FailedPodsDetected", 2 * MINUTE, 5 * MINUTE)
    assert dict(alert.labels) == {
        "alertname": "FailedPodsDetected",
        "namespace": "side",
        "severity": "critical",
    }
    failed = fires_in_time(world, "KubeJobFailed", 15 * MINUTE, 20 * MINUTE)
    assert dict(failed.labels)["job_name"] == "broken"
    full = fires_in_time(world, "KubeQuotaFullyUsed", 15 * MINUTE, 3 * MINUTE)
    assert dict(full.labels)["resource"] == "count/jobs.batch"


def test_an_autoscaler_at_its_bound_fires(shop: World) -> None:
    """One that may have no more than it has."""
    world = shop.fork()
    space = namespace_of(service(world, "frontend"))
    made = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "front", "namespace": space},
        "spec": {
            "minReplicas": 1,
            "maxReplicas": 1,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "frontend"},
        },
    }
    apply_manifests(world, [made])
    alert = fires_in_time(world, "KubeHpaMaxedOut", 5 * MINUTE, 8 * MINUTE)
    assert dict(alert.labels)["horizontalpodautoscaler"] == "front"


@pytest.mark.parametrize("name", shipped_names())
def test_shipped_files_are_rules(name: str) -> None:
    """Each can be read, says what it is about, and leaves no hole."""
    groups = shipped_rules(name, "store")
    for rule in (rule for group in groups for rule in group.rules):
        assert "@" not in rule.text
        assert rule.record or dict(rule.annotations)["description"]
        assert rule.record or dict(rule.labels)["severity"] in {"none", "info", "warning", "critical"}


def test_shipped_files_are_asked_for_by_name() -> None:
    """What is not there, and what would be no namespace, is refused."""
    with pytest.raises(InputError, match="no shipped rules"):
        shipped_rules("../kubernetes")
    with pytest.raises(InputError, match="namespace"):
        shipped_rules("request-alerts", 'x"} or up{a="')


def _fired(names: Sequence[str], series: Series, minutes: int) -> dict[str, int]:
    """Which alerts of a file fire, and after how long, while counters grow by so much each 15 s."""
    watched = Monitoring()
    for name in names:
        watched.rules.add(shipped_rules(name, "store"))
    start = now = 1_767_603_600_000
    watched.store.add_target("lab", {"job": "lab"}, now)
    made = [
        labels.make({"namespace": "store", **dict(zip(k[1::2], k[2::2], strict=True))}, k[0]) for k in series
    ]
    block = watched.store.block("lab", made, now)
    out: dict[str, int] = {}
    while now < start + minutes * MINUTE:
        now += 15_000
        watched.store.values(block)[:] += list(series.values())
        watched.advance(now)
        for alert in watched.rules.all_alerts("firing"):
            out.setdefault(dict(alert.labels)["alertname"], alert.fired_ms - alert.since_ms)
    return out


def test_failing_and_slow_requests_fire() -> None:
    """Errors, silence and long durations, each after its time; a service that does well is not told of."""
    calls = ("traces_span_metrics_calls_total", "service_name")
    bucket = ("traces_span_metrics_duration_milliseconds_bucket", "service_name", "cart", "le")
    good: Series = {
        (*calls, "cart", "status_code", "STATUS_CODE_UNSET"): 30.0,
        (*bucket, "100"): 30.0,
        (*bucket, "2000"): 30.0,
        (*bucket, "+Inf"): 30.0,
    }
    assert _fired(["request-alerts", "queue-alerts"], good, 15) == {}
    bad: Series = {
        **good,
        (*bucket, "100"): 20.0,
        (*calls, "frontend", "status_code", "STATUS_CODE_ERROR"): 1.0,
        (*calls, "email", "status_code", "STATUS_CODE_UNSET"): 0.0,
        ("kafka_consumer_group_lag_sum_ratio",): 9.0,
        ("kafka_consumer_group_members",): 0.0,
    }
    found = _fired(["request-alerts", "queue-alerts"], bad, 15)
    waits = {
        "HighRequestErrorRate": 3,
        "HighRequestLatency": 3,
        "NoRequestsReceived": 5,
        "HighKafkaConsumerLag": 5,
        "KafkaConsumerGroupInactive": 2,
    }
    assert set(found) == set(waits)
    assert all(waits[name] * MINUTE <= wait < waits[name] * MINUTE + 30_000 for name, wait in found.items())


def test_slow_answers_to_some_users_fire_when_they_go_on() -> None:
    """A few in a hundred that take over a second, and none that takes much longer."""
    bucket = ("traces_span_metrics_duration_milliseconds_bucket", "service_name", "frontend")
    server = (*bucket, "span_kind", "SPAN_KIND_SERVER", "le")
    for slow, wanted in ((0.5, set()), (1.2, {"LatencyBudgetBurn"})):
        made: Series = {(*server, "1000"): 30.0 - slow, (*server, "1400"): 30.0, (*server, "+Inf"): 30.0}
        found = _fired(["request-alerts"], made, 13)
        assert set(found) == wanted
        assert all(10 * MINUTE <= wait < 10 * MINUTE + 30_000 for wait in found.values())


def test_a_mesh_is_watched() -> None:
    """Answers with errors, and sources that open no connections."""
    pair = ("source_workload_namespace", "store", "source_canonical_service", "gateway")
    good: Series = {("istio_requests_total", *pair, "response_code", "200"): 5.0}
    assert _fired(["mesh-alerts"], good, 12) == {}
    bad: Series = {
        ("istio_requests_total", *pair, "response_code", "503"): 5.0,
        ("istio_tcp_connections_opened_total", *pair): 0.0,
        ("request_result_total", "destination_app", "productpage", "response_code", "200"): 0.0,
    }
    assert set(_fired(["mesh-alerts"], bad, 12)) == {
        "HighRequestErrorRate",
        "NoRequestsOpened",
        "NoRequestsReceived",
    }


def test_idle_programs_are_wasteful(shop: World) -> None:
    """Without users nothing needs the processors that it asks for."""
    world = shop.fork()
    monitoring = world.cluster.part(Monitoring)
    monitoring.rules.add(shipped_rules("spending"))
    world.run_for(5 * MINUTE)
    wasted = firing(world)["CPUEfficiency"]
    assert "server" in {dict(alert.labels)["container"] for alert in wasted}
    assert all(0 <= alert.value < 65 for alert in wasted)
