"""Background life: it happens, is seen as such things are, hurts nobody, and is the same each time."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from firedrill.core.errors import InputError
from firedrill.world import World, life
from firedrill.world.app import application_names, load_package, rows, service, traffic
from firedrill.world.build import make_world
from firedrill.world.kube.api import Client
from firedrill.world.kube.kubelet.history import runs
from firedrill.world.kube.kubelet.lines import MS, lines_of
from firedrill.world.kube.objects import Obj, condition, dig, name_of
from firedrill.world.life import application, neighbours
from firedrill.world.life.application import next_tag
from firedrill.world.life.noise import _speak, listen
from firedrill.world.living import make_living
from firedrill.world.telemetry.monitoring import Monitoring
from firedrill.world.telemetry.promql.engine import over_range

pytestmark = pytest.mark.slow

MINUTE = 60_000
TELLTALE = re.compile(r"innocent|herring|firedrill|background.life|harmless|simulat", re.IGNORECASE)


@pytest.mark.parametrize(
    ("tag", "newer"),
    [
        ("v0.10.2", "v0.10.3"),
        ("2.1.3-cart", "2.1.4-cart"),
        ("8.1-alpine", "8.2-alpine"),
        ("1.9", "1.10"),
        ("latest", "latest-r2"),
        ("alpine", "alpine-r2"),
    ],
)
def test_the_next_version_of_an_image(tag: str, newer: str) -> None:
    assert next_tag(tag) == newer


@pytest.fixture(scope="module")
def shop() -> World:
    package = load_package("online-boutique")
    world = make_world(6, manifests=package.manifests, application=package.application)
    service.begin(world)
    world.run_for(5 * MINUTE)
    return world


@pytest.fixture(scope="module")
def lively(shop: World) -> World:
    """The shop after half an hour among busy teams."""
    world = shop.fork()
    life.begin(world, 3)
    world.run_for(25 * MINUTE)
    return world


@pytest.fixture
def moved_in(shop: World) -> World:
    """The shop with neighbours, of whom nobody does anything by himself."""
    world = shop.fork()
    neighbours.move_in(world)
    world.run_for(3 * MINUTE)
    return world


def test_without_a_level_there_is_none(shop: World) -> None:
    world, twin = shop.fork(), shop.fork()
    life.begin(world, 0)
    assert world.digest() == twin.digest()


@pytest.mark.parametrize(
    ("level", "herrings", "around"), [(4, 0, None), (-1, 0, None), (1, -1, None), (1, 2, 0)]
)
def test_what_cannot_be_asked_for(shop: World, level: int, herrings: int, around: int | None) -> None:
    with pytest.raises(InputError):
        life.begin(shop.fork(), level, herrings, around)


def test_it_begins_once(lively: World) -> None:
    with pytest.raises(ValueError, match="begun"):
        life.begin(lively.fork(), 1)


def test_much_is_changed_by_many(lively: World) -> None:
    told = life.changes(lively)
    assert len(told) >= 12
    assert [change.at for change in told] == sorted(change.at for change in told)
    spaces = {change.entity.partition("/")[0] for change in told}
    assert {"default", "intranet", "reporting", "cluster"} <= spaces
    assert sum(change.what.startswith("new version") for change in told) >= 2
    assert {change.entity.split("/")[1] for change in told} >= {"Deployment", "ConfigMap", "Secret"}


def test_changes_leave_the_traces_that_such_changes_leave(lively: World) -> None:
    store = lively.cluster.store
    rolled = {
        change.entity.split("/", 2)[2]
        for change in life.changes(lively)
        if change.what.startswith("new version") and change.entity.startswith("default/")
    }
    assert rolled
    for name in rolled:
        obj = store.get("deployments.apps", "default", name)
        assert obj is not None
        assert int(obj["metadata"]["annotations"]["deployment.kubernetes.io/revision"]) > 1
        assert re.match(
            r"pipeline \d+: deploy ", obj["metadata"]["annotations"]["kubernetes.io/change-cause"]
        )
        managers = {item["manager"] for item in obj["metadata"]["managedFields"]}
        assert "pipeline-deploy" in managers
        assert dig(obj, "status", "readyReplicas") == dig(obj, "spec", "replicas")
        sets = [item for item in store.list("replicasets.apps", "default") if name_of(item).startswith(name)]
        assert len(sets) > 1
    users = {entry[8] for entry in lively.cluster.audit}
    assert "system:serviceaccount:delivery:pipeline" in users
    assert any(user.endswith("@corp.example") for user in users)


def test_nothing_gives_it_away(lively: World) -> None:
    for resource in lively.cluster.store.resources():
        for obj in lively.cluster.store.list(resource):
            assert not TELLTALE.search(repr(obj)), name_of(obj)


def test_users_do_not_notice(shop: World, lively: World) -> None:
    usual = service.baseline(lively, shop.now - 5 * MINUTE, shop.now)
    assert service.slo_minutes_lost(lively, usual, shop.now, lively.now) < 0.5
    assert service.healthy(lively, usual, lively.now)


def test_it_is_the_same_each_time_and_in_forks(shop: World) -> None:
    first, second = shop.fork(), shop.fork()
    for world in (first, second):
        life.begin(world, 3, 2, world.now + 4 * MINUTE)
    first.run_for(3 * MINUTE)
    twin = first.fork()
    second.run_for(5 * MINUTE)
    for world in (first, twin):
        world.run_for(2 * MINUTE)
    assert first.digest() == twin.digest() == second.digest()
    assert life.changes(first) == life.changes(second)


def test_what_users_ask_for_does_not_depend_on_it() -> None:
    package = load_package("book-info")
    world = make_world(2, manifests=package.manifests, application=package.application)
    busy = world.fork()
    life.begin(busy, 2)
    offered = []
    for each in (world, busy):
        each.run_for(3 * MINUTE)
        records = service.minutes(each, each.now - 2 * MINUTE, each.now)
        offered.append([record.offered for record in records])
    assert offered[0] == offered[1]


def test_red_herrings_come_right_before_the_moment(shop: World) -> None:
    world = shop.fork()
    around = world.now + 20 * MINUTE
    life.begin(world, 0, red_herrings=5, around_ms=around)
    world.run_until_ms(around)
    told = life.changes(world)
    assert len(told) >= 5
    assert all(around - 10 * MINUTE <= change.at < around for change in told)
    assert all(change.entity.startswith("default/") for change in told)
    assert len({change.what.partition(" ")[0] for change in told}) >= 4


def test_nobody_deploys_into_trouble(shop: World) -> None:
    world = shop.fork()
    neighbours.move_in(world)
    Client(world).patch("deployments.apps", "default", "paymentservice", {"spec": {"replicas": 0}})
    world.run_for(2 * MINUTE)
    acts: tuple[Callable[[World, int], bool], ...] = (
        application.rollout,
        application.tune,
        application.scale,
    )
    assert [act(world, 3) for act in acts] == [False] * 3


def pods_of(world: World, space: str, name: str) -> list[Obj]:
    return [pod for pod in world.cluster.store.list("pods", space) if name_of(pod).startswith(f"{name}-")]


def reasons(world: World, space: str) -> set[str]:
    return {str(item["reason"]) for item in world.cluster.store.list("events", space)}


@pytest.mark.parametrize(("grace", "broken"), [(30, False), (0, True)])
def test_connections_break_where_a_pod_is_killed_not_where_it_is_asked_to_stop(
    shop: World, grace: int, broken: bool
) -> None:
    world = shop.fork()
    Client(world).patch("deployments.apps", "default", "frontend", {"spec": {"replicas": 2}})
    world.run_for(2 * MINUTE + 1_700 - world.now % 5_000)
    pod = pods_of(world, "default", "frontend")[0]
    Client(world).delete("pods", "default", name_of(pod), grace=grace)
    outcomes = []
    for _ in range(12):
        world.run_for(5_000)
        outcomes += traffic.rows_of(world, -1).kind.tolist()
    assert (rows.RESET in outcomes) == broken


def test_an_image_that_comes_late_heals(moved_in: World) -> None:
    assert neighbours.push_late(moved_in, 0)
    moved_in.run_for(20_000)
    spaces = ("intranet", "reporting")
    assert any("Failed" in reasons(moved_in, space) for space in spaces)
    moved_in.run_for(5 * MINUTE)
    for space in spaces:
        for item in moved_in.cluster.store.list("deployments.apps", space):
            assert dig(item, "status", "readyReplicas") == dig(item, "spec", "replicas")


def test_a_prober_fails_once_and_the_pod_stays_ready(moved_in: World) -> None:
    assert neighbours.slow_probe(moved_in, 0)
    moved_in.run_for(30_000)
    assert "Unhealthy" in reasons(moved_in, "intranet")
    pods = moved_in.cluster.store.list("pods", "intranet")
    assert {(condition(pod, "Ready") or {}).get("status") for pod in pods} == {"True"}


@pytest.mark.slow
def test_an_autoscaler_acts_and_takes_it_back(moved_in: World) -> None:
    assert neighbours.burden(moved_in, 0)
    moved_in.run_for(5 * MINUTE)
    assert len(pods_of(moved_in, "intranet", "directory")) > 2
    moved_in.run_for(20 * MINUTE)
    assert len(pods_of(moved_in, "intranet", "directory")) == 2
    assert "SuccessfulRescale" in reasons(moved_in, "intranet")


def test_a_job_that_fails_leaves_no_failed_pod_behind(lively: World) -> None:
    assert "BackoffLimitExceeded" in reasons(lively, "reporting")
    phases = [dig(pod, "status", "phase") for pod in lively.cluster.store.list("pods", "reporting")]
    assert "Failed" not in phases


def test_others_give_up_what_has_gone(moved_in: World) -> None:
    twin = moved_in.fork()
    life.begin(twin, 3)
    Client(twin).delete("namespaces", "", "intranet")
    twin.run_for(2 * MINUTE)
    since = twin.now
    twin.run_for(40 * MINUTE)
    assert twin.cluster.store.get("namespaces", "", "intranet") is None
    later = [one for one in life.changes(twin) if one.at > since]
    assert later
    assert not [one for one in later if one.entity.startswith("intranet/")]


def test_programs_complain_of_nothing_now_and_then(lively: World) -> None:
    listen()
    records = [item for item in runs(lively).records.values() if item.namespace == "default"]
    end = lively.now * MS
    noisy = [record for record in records if _speak(lively, record, 0, end)]
    assert len(noisy) > len(records) // 2
    lines = _speak(lively, noisy[0], 0, end)
    middle = lines[len(lines) // 2][0]
    assert lines == [*_speak(lively, noisy[0], 0, middle), *_speak(lively, noisy[0], middle, end)]
    at, text = lines[-1]
    seen = lines_of(lively, noisy[0], at - 1000, at + 1000)
    assert (at, text) in seen


@pytest.mark.slow
@pytest.mark.parametrize("name", application_names())
def test_at_its_busiest_it_breaks_nothing(name: str) -> None:
    world = make_living(load_package(name), 4)
    life.begin(world, 3, 3)
    start = world.now
    world.run_for(10 * MINUTE)
    usual = service.baseline(world, start, world.now)
    begun = world.now
    world.run_for(25 * MINUTE)
    assert service.slo_minutes_lost(world, usual, begun, world.now) < 0.5
    store = world.cluster.part(Monitoring).store
    firing = over_range(store, 'ALERTS{alertstate="firing",severity="critical"}', begun, world.now, MINUTE)
    assert [dict(item.labels) for item in firing.series] == []
