"""Applications that nothing was written for: they come up, stay up, and survive what clusters do to them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from firedrill.world import World
from firedrill.world.app.packages import read_manifests
from firedrill.world.build import make_world
from firedrill.world.kube import kubelet
from firedrill.world.kube.api import Client
from firedrill.world.kube.controllers.disruption import may_evict
from firedrill.world.kube.kubelet.health import set_health
from firedrill.world.kube.objects import Obj, condition, controller_of, dig, labels_of, name_of

pytestmark = pytest.mark.slow

APPS = Path(__file__).parent / "data/apps"
NAMES = ("market", "travel")
MINUTE = 60_000


@cache
def _cold(name: str) -> World:
    manifests = read_manifests([APPS / f"{name}.yaml"])
    return make_world(3, nodes=5, manifests=manifests, settle=False)


@cache
def _warm(name: str) -> World:
    world = _cold(name).fork()
    world.run_for(5 * MINUTE)
    return world


@pytest.fixture(params=NAMES)
def app(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def unready(world: World, namespace: str) -> list[str]:
    """Pods that should be ready and are not; those of jobs that are over do not count."""
    return [
        name_of(pod)
        for pod in world.cluster.store.list("pods", namespace)
        if dig(pod, "status", "phase") != "Succeeded"
        and (condition(pod, "Ready") or {}).get("status") != "True"
    ]


def missing(world: World, namespace: str) -> list[str]:
    """Workloads that have fewer ready copies than they want."""
    out = []
    for resource in ("deployments.apps", "statefulsets.apps"):
        for obj in world.cluster.store.list(resource, namespace):
            if dig(obj, "status", "readyReplicas", default=0) < dig(obj, "spec", "replicas", default=1):
                out.append(name_of(obj))
    for obj in world.cluster.store.list("daemonsets.apps", namespace):
        if dig(obj, "status", "numberReady") != dig(obj, "status", "desiredNumberScheduled"):
            out.append(name_of(obj))
    return out


def restarts(world: World, namespace: str) -> int:
    return sum(
        int(status["restartCount"])
        for pod in world.cluster.store.list("pods", namespace)
        for status in dig(pod, "status", "containerStatuses", default=())
    )


def healthy(namespace: str) -> Callable[[World], bool]:
    return lambda world: not unready(world, namespace) and not missing(world, namespace)


def started(world: World, pod: Obj, container: str) -> str:
    """When a container began its present run."""
    key = "initContainerStatuses" if container in _inits(pod) else "containerStatuses"
    status = next(item for item in pod["status"][key] if item["name"] == container)
    found = status["state"].get("running") or status["state"]["terminated"]
    return str(found["startedAt"])


def _inits(pod: Obj) -> list[str]:
    return [item["name"] for item in pod["spec"].get("initContainers") or ()]


def test_comes_up_from_cold_and_stays_up_for_an_hour(app: str) -> None:
    world = _cold(app).fork()
    assert unready(world, app) or missing(world, app)
    assert world.run_until(healthy(app), 4 * MINUTE), (unready(world, app), missing(world, app))
    world.run_for(MINUTE)
    before, names = restarts(world, app), {name_of(pod) for pod in world.cluster.store.list("pods", app)}
    world.run_for(60 * MINUTE)
    assert healthy(app)(world)
    assert restarts(world, app) == before
    kept = {name_of(pod) for pod in world.cluster.store.list("pods", app)}
    jobs = {name_of(job) for job in world.cluster.store.list("jobs.batch", app)}
    assert not [
        name
        for name in kept ^ names
        if not any(name.startswith(job) for job in jobs) and not name.startswith("market-reports-")
    ]


def test_init_containers_wait_for_what_they_name() -> None:
    world = _warm("travel").fork()
    for pod in world.cluster.store.list("pods", "travel"):
        if "wait-for-db" not in _inits(pod) or dig(pod, "status", "phase") != "Running":
            continue
        main = pod["spec"]["containers"][0]
        url = next((e["value"] for e in main.get("env") or () if e["name"] == "SPRING_DATASOURCE_URL"), "")
        database = url.partition("mysql://")[2].partition(":")[0]
        server = world.cluster.store.get("pods", "travel", f"{database}-0")
        assert server is not None
        assert started(world, pod, main["name"]) > started(world, server, "mysql"), name_of(pod)


def test_what_waits_says_so_and_goes_on_when_the_thing_comes() -> None:
    world = _cold("travel").fork()
    client = Client(world)
    client.patch("statefulsets.apps", "travel", "account-db", {"spec": {"replicas": 0}})
    world.run_for(4 * MINUTE)
    waiting = set(unready(world, "travel"))
    assert waiting and all(name.startswith(("account", "auth", "contacts")) for name in waiting)
    for name in waiting:
        pod = client.get("pods", "travel", name)
        if name.startswith("contacts"):
            continue
        assert dig(pod, "status", "initContainerStatuses", 0, "state", "running"), name
        log = kubelet.read_log(world, "travel", name, "wait-for-db")
        assert 80 < log.count("waiting for account-db") < 130
    contacts = next(name for name in waiting if name.startswith("contacts"))
    log = kubelet.read_log(world, "travel", contacts, "wait-for-db", previous=True)
    assert [line for line in log if "attempt" in line] == [f"attempt {n}" for n in range(1, 61)]
    assert log[-1] == "gave up"
    client.patch("statefulsets.apps", "travel", "account-db", {"spec": {"replicas": 1}})
    assert world.run_until(healthy("travel"), 8 * MINUTE), unready(world, "travel")


def test_rollouts_never_leave_less_than_they_promise(app: str) -> None:
    world = _warm(app).fork()
    client = Client(world)
    name = {"market": "storefront", "travel": "gateway"}[app]
    before = client.get("deployments.apps", app, name)
    wanted = int(dig(before, "status", "readyReplicas"))
    stamp = {
        "spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}
    }
    client.patch("deployments.apps", app, name, stamp)
    fewest = wanted
    for _ in range(40):
        world.run_for(3_000)
        now = client.get("deployments.apps", app, name)
        fewest = min(fewest, int(dig(now, "status", "availableReplicas", default=0)))
    assert fewest >= wanted
    assert dig(now, "status", "updatedReplicas") == dig(now, "status", "readyReplicas") == wanted
    assert healthy(app)(world)


def test_nodes_are_drained_and_come_back(app: str) -> None:
    world = _warm(app).fork()
    client = Client(world)
    pods = [pod for pod in world.cluster.store.list("pods", app) if _moves(pod)]
    node = max(sorted({pod["spec"]["nodeName"] for pod in pods}), key=lambda item: _on(pods, item))
    client.patch("nodes", "", node, {"spec": {"unschedulable": True}})
    left = [name_of(pod) for pod in pods if pod["spec"]["nodeName"] == node]
    for _ in range(60):
        left = [name for name in left if not _evict(client, app, name)]
        if not left:
            break
        world.run_for(5_000)
    budgets = world.cluster.store.list("poddisruptionbudgets.policy", app)
    stuck = [item for item in budgets if dig(item, "status", "disruptionsAllowed") == 0]
    guarded = {str(labels_of(client.get("pods", app, name)).get("app.kubernetes.io/name")) for name in left}
    assert guarded <= {
        str(dig(item, "spec", "selector", "matchLabels", "app.kubernetes.io/name")) for item in stuck
    }
    world.run_for(3 * MINUTE)
    tied = {name_of(pod) for pod in pods if pod["spec"]["nodeName"] == node and _has_claim(pod)}
    assert set(unready(world, app)) <= tied  # their volumes are on that node
    for pod in world.cluster.store.pods_on(node):
        assert pod["metadata"]["namespace"] != app or not _moves(pod) or name_of(pod) in left
    client.patch("nodes", "", node, {"spec": {"unschedulable": None}})
    assert world.run_until(healthy(app), 3 * MINUTE), unready(world, app)


def _has_claim(pod: Obj) -> bool:
    return any("persistentVolumeClaim" in item for item in pod["spec"].get("volumes") or ())


def _moves(pod: Obj) -> bool:
    owner = controller_of(pod)
    return bool(owner and owner["kind"] in {"ReplicaSet", "StatefulSet"})


def _on(pods: list[Obj], node: str) -> int:
    return sum(pod["spec"]["nodeName"] == node for pod in pods)


def _evict(client: Client, namespace: str, name: str) -> bool:
    """Evict a pod; False where a budget forbids it now."""
    pod = client.find("pods", namespace, name)
    if pod is None:
        return True
    refusal = may_evict(client.world, pod)
    if refusal is not None:
        assert refusal.code == 429 and "disruption budget" in refusal.message
        return False
    client.delete("pods", namespace, name)
    return True


def test_a_budget_of_all_copies_blocks_a_drain() -> None:
    world = _warm("market").fork()
    client = Client(world)
    pod = next(p for p in world.cluster.store.list("pods", "market") if name_of(p).startswith("payments"))
    for _ in range(5):
        assert not _evict(client, "market", name_of(pod))
        world.run_for(10_000)
    assert client.get("pods", "market", name_of(pod))["metadata"]["uid"] == pod["metadata"]["uid"]


def test_reboots_bring_every_pod_back(app: str) -> None:
    world = _warm(app).fork()
    pods = [pod for pod in world.cluster.store.list("pods", app) if _moves(pod)]
    node = str(pods[0]["spec"]["nodeName"])
    before = {name_of(pod): restarts_of(pod) for pod in pods if pod["spec"]["nodeName"] == node}
    kubelet.nodes.reboot(world, node)
    world.run_for(90_000)
    assert world.run_until(healthy(app), 10 * MINUTE), unready(world, app)
    for name, count in before.items():
        pod = world.cluster.store.get("pods", app, name)
        assert pod is not None and restarts_of(pod) > count, name


def restarts_of(pod: Obj) -> int:
    return sum(int(item["restartCount"]) for item in dig(pod, "status", "containerStatuses", default=()))


def test_scaling_up_and_down(app: str) -> None:
    world = _warm(app).fork()
    client = Client(world)
    for resource, name in _scalable(world, app):
        client.patch(resource, app, name, {"spec": {"replicas": 3}})
    assert world.run_until(healthy(app), 6 * MINUTE), (unready(world, app), missing(world, app))
    for resource, name in _scalable(world, app):
        client.patch(resource, app, name, {"spec": {"replicas": 1}})
    world.run_for(3 * MINUTE)
    assert healthy(app)(world)
    for resource, name in _scalable(world, app):
        assert client.get(resource, app, name)["status"]["replicas"] == 1, name


def _scalable(world: World, app: str) -> list[tuple[str, str]]:
    scaled = {
        dig(item, "spec", "scaleTargetRef", "name")
        for item in world.cluster.store.list("horizontalpodautoscalers.autoscaling", app)
    }
    return [
        (resource, name_of(obj))
        for resource in ("deployments.apps", "statefulsets.apps")
        for obj in world.cluster.store.list(resource, app)
        if name_of(obj) not in scaled
    ][:6]


def test_stateful_copies_start_one_after_the_other_with_their_own_claims() -> None:
    world = _warm("travel")
    pods = [world.cluster.store.get("pods", "travel", f"catalogue-db-{number}") for number in (0, 1)]
    assert all(pod is not None for pod in pods)
    first, second = (pod for pod in pods if pod is not None)
    ready = (condition(first, "Ready") or {})["lastTransitionTime"]
    assert second["metadata"]["creationTimestamp"] >= ready
    claims = {name_of(item) for item in world.cluster.store.list("persistentvolumeclaims", "travel")}
    assert {"data-catalogue-db-0", "data-catalogue-db-1"} <= claims


def test_daemons_tolerate_what_keeps_others_away() -> None:
    world = _warm("market")
    nodes = {name_of(node) for node in world.cluster.store.list("nodes")}
    daemons = [
        p for p in world.cluster.store.list("pods", "market") if name_of(p).startswith("market-logship")
    ]
    assert {pod["spec"]["nodeName"] for pod in daemons} == nodes
    tainted = {name_of(node) for node in world.cluster.store.list("nodes") if dig(node, "spec", "taints")}
    assert tainted
    for pod in world.cluster.store.list("pods", "market"):
        assert pod["spec"]["nodeName"] not in tainted or pod in daemons


def test_sidecars_start_before_and_end_after_the_program() -> None:
    world = _warm("market").fork()
    pod = next(p for p in world.cluster.store.list("pods", "market") if name_of(p).startswith("storefront"))
    assert started(world, pod, "proxy") <= started(world, pod, "storefront")
    Client(world).delete("pods", "market", name_of(pod))
    ended: dict[str, int] = {}
    for _ in range(400):
        world.run_for(100)
        now = world.cluster.store.get("pods", "market", name_of(pod))
        told = world.cluster.store.list("events", "market")
        for item in told:
            if item["reason"] == "Killing" and item["involvedObject"]["name"] == name_of(pod):
                ended.setdefault(item["message"].rpartition(" ")[2], world.now)
        if now is None:
            break
    assert ended["storefront"] <= ended["proxy"]


def test_schedules_make_jobs_and_keep_as_many_as_they_may() -> None:
    world = _warm("market").fork()
    world.run_for(60 * MINUTE)
    jobs = [
        j for j in world.cluster.store.list("jobs.batch", "market") if name_of(j).startswith("market-reports")
    ]
    assert 1 <= len(jobs) <= 3
    assert all((condition(job, "Complete") or {}).get("status") == "True" for job in jobs)
    migrated = world.cluster.store.get("jobs.batch", "market", "market-migrate-1")
    assert (condition(migrated or {}, "Complete") or {}).get("status") == "True"


def test_autoscalers_follow_what_pods_use() -> None:
    world = _warm("market").fork()
    world.run_for(2 * MINUTE)
    name = "catalog"
    scaler = Client(world).get("horizontalpodautoscalers.autoscaling", "market", name)
    assert dig(scaler, "status", "currentMetrics"), scaler["status"]
    assert dig(scaler, "status", "desiredReplicas") == 2
    for _ in range(12):
        for pod in world.cluster.store.list("pods", "market"):
            if labels_of(pod).get("app.kubernetes.io/name") == name:
                set_health(world, "market", name_of(pod), "catalog", cpu=180)
        world.run_for(30_000)
    scaler = Client(world).get("horizontalpodautoscalers.autoscaling", "market", name)
    assert dig(scaler, "status", "desiredReplicas") > 2


def test_the_same_seed_gives_the_same_world(app: str) -> None:
    one, two = _warm(app).fork(), _warm(app).fork()
    one.run_for(7 * MINUTE)
    two.run_for(3 * MINUTE)
    two.run_for(4 * MINUTE)
    assert one.digest() == two.digest()
