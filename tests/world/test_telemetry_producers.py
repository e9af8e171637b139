"""What exporters tell of a world, held against its objects."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedrill.world import World
from firedrill.world.app import traffic
from firedrill.world.app.packages import load_package
from firedrill.world.build import apply_manifests, make_world
from firedrill.world.kube import kubelet
from firedrill.world.kube.api import Client
from firedrill.world.kube.kubelet.state import kubelets
from firedrill.world.kube.objects import name_of, namespace_of
from firedrill.world.telemetry import Monitoring, promql
from firedrill.world.telemetry.producers import families, shipped_rules, watch

pytestmark = pytest.mark.slow


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


def test_a_cluster_that_loses_all_its_nodes_goes_on(shop: World) -> None:
    """The API server's pod goes with its node; its series end, and nobody writes to them any more."""
    world = shop.fork()
    client = Client(world, trusted=True)
    assert ask(world, "count(apiserver_request_total)")
    for name in [node["metadata"]["name"] for node in client.list("nodes")]:
        client.delete("nodes", "", name)
        world.run_for(5_000)
    world.run_for(60_000)
    assert client.list("nodes") == []


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


def test_containers_are_measured(shop: World) -> None:
    """Rates of processor time are what the metrics API tells, memory too, and each run has series of its own."""
    world = shop.fork()
    state = next(one for one in kubelets(world).pods.values() if one.name.startswith("frontend-"))
    picked = f'{{pod="{state.name}",container!=""}}'
    milli, size = next(iter(kubelet.usage(world, state.namespace, state.name).values()))
    (rate,) = ask(world, f"rate(container_cpu_usage_seconds_total{picked}[1m])").values()
    assert 0.5 * milli / 1000 < rate < 2.0 * milli / 1000
    (memory,) = ask(world, f"container_memory_working_set_bytes{picked}").values()
    assert 0.9 * size < memory < 1.1 * size
    (before,) = ask(world, f"container_start_time_seconds{picked}")
    kubelet.nodes.reboot(world, state.node)
    world.run_for(240_000)
    (after,) = ask(world, f"container_start_time_seconds{picked}")
    assert before != after
    lives = ask(world, f"count_over_time(container_cpu_usage_seconds_total{picked}[10m])")
    assert len(lives) == 2
    assert ask(world, "resets(container_cpu_usage_seconds_total[10m]) > 0") == {}


def test_nodes_add_up(shop: World) -> None:
    """The modes of a processor fill its time, and pods that run are counted."""
    seconds = ask(shop, "sum by (node, cpu)(rate(node_cpu_seconds_total[1m]))")
    assert len(seconds) == sum(
        int(obj["status"]["capacity"]["cpu"]) for obj in shop.cluster.store.list("nodes")
    )
    assert all(value == pytest.approx(1.0) for value in seconds.values())
    running = ask(shop, "sum(kubelet_running_pods)")
    assert running == ask(shop, 'sum(kube_pod_status_phase{phase="Running"})')


def test_a_full_volume_is_seen() -> None:
    """What a program writes into a claim is used, and its claim is told of until the pod has gone."""
    world = make_world(1, nodes=2)
    meta = {"name": "data", "namespace": "default"}
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": meta,
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    container = {
        "name": "main",
        "image": "busybox:1.36",
        "command": ["sleep", "infinity"],
        "volumeMounts": [{"name": "disk", "mountPath": "/data"}],
    }
    volume = {"name": "disk", "persistentVolumeClaim": {"claimName": "data"}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta,
        "spec": {"containers": [container], "volumes": [volume]},
    }
    apply_manifests(world, [claim, pod])
    watch(world, shipped_rules())
    world.run_for(60_000)
    left = "kubelet_volume_stats_available_bytes / kubelet_volume_stats_capacity_bytes"
    assert 0.8 < next(iter(ask(world, left).values())) < 1.0
    made = kubelet.execute(
        world, "default", "data", "main", ["dd", "if=/dev/zero", "of=/data/big", "bs=1M", "count=1000"]
    )
    assert made.code == 0, made.stderr
    world.run_for(180_000)
    assert next(iter(ask(world, left).values())) < 0.03
    found = world.cluster.part(Monitoring).rules.all_alerts("firing")
    assert "KubePersistentVolumeFillingUp" in {dict(alert.labels)["alertname"] for alert in found}
    Client(world, trusted=True).delete("pods", "default", "data", grace=0)
    world.run_for(60_000)
    assert ask(world, left) == {}


def test_requests_make_programs_use_more() -> None:
    """With users, their requests are seen in what containers use, and throttling comes from the same model."""
    package = load_package("online-boutique")
    world = make_world(2, manifests=package.manifests, application=package.application)
    watch(world)
    world.run_for(120_000)
    used = ask(world, 'sum by (container)(rate(container_cpu_usage_seconds_total{container!=""}[1m]))')
    record = traffic.record_of(world, -1)
    busy = world.cluster.part(traffic.Traffic).after
    assert busy is not None
    for info, milli in zip(record.inputs.topology.pods, busy.cpu.tolist(), strict=True):
        if milli > 20.0:
            assert used[(info.container,)] > 0.4 * milli / 1000
    throttled = ask(world, "increase(container_cpu_cfs_throttled_periods_total[1m])")
    periods = ask(world, "increase(container_cpu_cfs_periods_total[1m])")
    assert throttled
    assert all(0.0 <= value <= periods[key] for key, value in throttled.items())


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_FIELDS = sorted(
    {
        step
        for groups in families.families().values()
        for group in groups
        for one in group
        for step in one.each
    }
    | {
        "containers",
        "limits",
        "cpu",
        "state",
        "waiting",
        "reason",
        "status",
        "type",
        "phase",
        "name",
        "labels",
    }
)
_OBJECTS = st.recursive(
    _JSON,
    lambda inner: st.dictionaries(st.sampled_from(_FIELDS), inner, max_size=4) | st.lists(inner, max_size=3),
    max_leaves=12,
)


@given(st.sampled_from(sorted(families.families())), st.dictionaries(st.sampled_from(_FIELDS), _OBJECTS))
def test_any_object_has_series(resource: str, obj: dict[str, Any]) -> None:
    """Whatever users write into objects gives finite values under the family's name, and no error."""
    for group in families.families()[resource]:
        for family in group:
            found: dict[Any, float] = {}
            families.fill(family, obj, found)
            assert all(dict(labels)["__name__"] == family.name for labels in found)
            assert all(abs(value) < float("inf") for value in found.values())


def test_samples_do_not_tell_the_future(shop: World) -> None:
    """Until the moment at which something happens, a world has the same samples as one where it does not."""
    world = shop.fork()
    world.run_for(7_000)
    moment = world.now
    kubelet.nodes.stop(world, "worker-01", "kubelet")
    found = next(obj for obj in world.cluster.store.list("deployments.apps") if name_of(obj) == "frontend")
    patch = {"spec": {"replicas": 0}}
    Client(world, trusted=True).patch("deployments.apps", namespace_of(found), "frontend", patch)
    other = shop.fork()
    for one in (world, other):
        one.run_until_ms(moment + 60_000)
    questions = ("sum by (job)(up)", "kube_deployment_spec_replicas", "sum(container_memory_rss)")
    answers = []
    for one in (world, other):
        store = one.cluster.part(Monitoring).store
        moments = range(moment - 30_000, moment + 60_000, 1_000)
        asked = [[(at, repr(promql.instant(store, text, at))) for text in questions] for at in moments]
        answers.append(dict(zip(moments, asked, strict=True)))
    apart = [at for at in answers[0] if answers[0][at] != answers[1][at]]
    assert moment <= min(apart) < moment + 15_000
