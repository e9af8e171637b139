"""What hostile or careless users can ask of a world: each is refused, bounded or merely slow, and none ends it."""

from __future__ import annotations

from typing import Any

import pytest

from firedrill.world import Settings, World
from firedrill.world.build import make_world
from firedrill.world.kube import audit, kubelet
from firedrill.world.kube.api import ApiError
from firedrill.world.kube.api.client import Client
from firedrill.world.kube.api.request import User
from firedrill.world.kube.controllers.job_pods import read_indexes, read_runs
from firedrill.world.kube.store import Store

pytestmark = pytest.mark.slow

POD: dict[str, Any] = {"containers": [{"name": "a", "image": "nginx"}]}
_BOOTED: list[World] = []


def booted() -> tuple[World, Client]:
    if not _BOOTED:
        _BOOTED.append(make_world(1))
    world = _BOOTED[0].fork()
    return world, Client(world, User("ann", ("system:masters",)))


def workload(kind: str, **spec: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "x"}}, "spec": POD}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "x", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template, **spec},
    }


SCRIPTS = {
    "doubling": "a=a; while :; do a=$a$a; done",
    "long words": "x=aaaaaaaaaa; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do x=$x$x$x$x$x; done; echo $x",
    "busy": "while :; do :; done",
    "shells in loops": "while :; do sh -c 'while :; do sh -c \"while :; do :; done\"; done'; done",
    "a shell of itself": 'export X=\'timeout 1 sh -c "$X"\'; sh -c "$X"',
    "fork bomb": ":(){ :|:& };:",
    "brackets": "(" * 5000 + ")" * 5000,
    "sum": "echo $((" + "(" * 300 + "1" + ")" * 300 + "))",
    "signs": "echo $((" + "-" * 3000 + "1))",
    "assignments": "echo $((" + "a=" * 3000 + "1))",
    "eval": "eval " * 3000 + "true",
    "timeout": "timeout 1 " * 3000 + "true",
    "pipes": "while :; do " + "true|" * 5000 + "true; done",
    "variables": "while :; do i=$((i+1)); export v$i=1; done",
    "files": "while :; do echo aaaaaaaaaaaaaaa >> /tmp/f; cat /tmp/f /tmp/f >> /tmp/f; done",
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_a_script_uses_up_no_more_than_it_may(script: str) -> None:
    world, client = booted()
    client.create(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"}, "spec": POD}
    )
    world.run_for(30_000)
    done = kubelet.execute(world, "default", "p", "a", ["sh", "-c", script])
    assert len(done.stdout) + len(done.stderr) < 1_000_000
    if script.startswith(("a=a", "x=a")):
        assert "out of memory" in done.stderr
        assert done.code == 2


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_a_million_replicas_come_in_bursts(kind: str) -> None:
    world, client = booted()
    more = {"serviceName": "x", "podManagementPolicy": "Parallel"} if kind == "StatefulSet" else {}
    client.create(workload(kind, replicas=2_000_000_000, **more))
    before = world.cluster.store.count("pods")
    world.run_for(300)
    assert 100 < world.cluster.store.count("pods") - before <= 500
    client.patch(f"{kind.lower()}s.apps", "default", "x", {"spec": {"replicas": 0}})


def test_a_job_of_endless_indexes_runs() -> None:
    world, client = booted()
    template = {"spec": {**POD, "restartPolicy": "Never"}}
    body = {"completions": 2_000_000_000, "parallelism": 3, "completionMode": "Indexed", "template": template}
    rules = {"rules": [{"succeededIndexes": "0-1999999999", "succeededCount": 5}]}
    meta = {"name": "x", "namespace": "default"}
    client.create(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {**body, "successPolicy": rules}}
    )
    world.run_for(10_000)
    assert len(client.list("pods", "default")) == 3


def test_indexes_that_are_no_indexes_are_left_out() -> None:
    assert read_runs("1,3-5,x,7-,-,9-8,99999999999,4294967296-") == [range(1, 2), range(3, 6)]
    assert len(read_indexes("0-1999999999")) == 200_000


def test_a_full_database_takes_nothing_new_until_something_goes() -> None:
    world = World(settings=Settings(database_bytes=3_000_000))
    client = Client(world, User("ann", ("system:masters",)))

    def add(number: int) -> None:
        meta = {"name": f"a{number}", "namespace": ""}
        client.create(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {**meta, "annotations": {"x": "y" * 200_000}},
            }
        )

    with pytest.raises(ApiError) as caught:
        for number in range(40):
            add(number)
    assert (caught.value.code, caught.value.message) == (500, "etcdserver: mvcc: database space exceeded")
    full = world.cluster.store.size
    assert 3_000_000 < full < 3_300_000
    world.cluster.store.remove("namespaces", "", "a0")
    world.cluster.store.remove("namespaces", "", "a1")
    assert world.cluster.store.size < full - 400_000
    add(99)


def test_the_log_of_changes_is_bounded_in_bytes() -> None:
    store = Store()
    for number in range(300):
        meta = {"name": "a", "namespace": "x"}
        store.put("configmaps", {"metadata": meta, "data": {"x": f"{number:07}" + "y" * 1_000_000}})
    held = list(store.since(store.oldest))
    assert 40 < len(held) < 80
    assert 1_000_000 < store.size < 1_001_000
    twin = store.fork()
    twin.remove("configmaps", "x", "a")
    assert (twin.size, store.size > 0) == (0, True)


def test_the_audit_keeps_no_huge_bodies() -> None:
    world, client = booted()
    meta = {"name": "big", "namespace": "default"}
    client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"x": "y" * 200_000}})
    event = list(audit.events(world))[-1]
    assert "requestObject" not in event
    assert event["annotations"]["audit.k8s.io/truncated"] == "true"


def test_events_of_users_go_after_an_hour_too() -> None:
    world, client = booted()
    about = {"kind": "Pod", "name": "x", "namespace": "default"}
    meta = {"generateName": "e-", "namespace": "default"}
    body = {"apiVersion": "v1", "kind": "Event", "metadata": meta, "involvedObject": about, "reason": "X"}
    for stamp in (None, "9999-01-01T00:00:00Z"):
        client.create({**body, **({"lastTimestamp": stamp} if stamp else {})})
    world.run_for(3_590_000)
    assert sum(item["reason"] == "X" for item in client.list("events", "default")) == 2
    world.run_for(20_000)
    assert sum(item["reason"] == "X" for item in client.list("events", "default")) == 0


def test_a_job_survives_a_status_that_is_none() -> None:
    world, client = booted()
    template = {"spec": {**POD, "restartPolicy": "Never"}}
    meta = {"name": "x", "namespace": "default"}
    spec = {"completions": 3, "completionMode": "Indexed", "template": template}
    client.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": spec})
    for text in ("abc", "0-99999999999", "4-"):
        found = client.get("jobs.batch", "default", "x")
        client.update_status(found, {**found.get("status", {}), "completedIndexes": text})
        world.run_for(5_000)
    assert len(client.list("pods", "default")) == 1
