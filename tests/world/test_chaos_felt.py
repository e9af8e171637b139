"""Every kind of experiment is felt by the requests of an application, and taken back when it is deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

from firedrill.world import World
from firedrill.world.app import load_package, service, traffic
from firedrill.world.app.rows import KINDS as OUTCOMES
from firedrill.world.kube import effects
from firedrill.world.kube.api import Client
from firedrill.world.kube.chaos import API, KINDS, NAMESPACE
from firedrill.world.kube.kubelet.state import find_pod
from firedrill.world.kube.objects import Obj, condition, dig, labels_of, name_of
from firedrill.world.living import make_living
from firedrill.world.telling import requests_of

pytestmark = pytest.mark.slow

SPACE = "otel-demo"


@pytest.fixture(scope="module")
def shop() -> World:
    world = make_living(load_package("astronomy-shop"), 3)
    world.run_for(60_000)
    return world


class Seen(NamedTuple):
    """What the callers of a service saw: outcomes by name, and the 95th percentile in ms."""

    outcomes: dict[str, int]
    p95: float

    @property
    def bad(self) -> float:
        """Share that did not end well."""
        every = sum(self.outcomes.values())
        return 1.0 - self.outcomes.get("ok", 0) / every if every else 0.0


def seen(world: World, name: str, ticks: int = 6) -> Seen:
    graph = world.cluster.part(traffic.Traffic).graph
    assert graph is not None
    own = np.array([owner == name for owner, _ in graph.op_names])
    kinds, durations = [], []
    for number in range(-ticks, 0):
        rows = traffic.rows_of(world, number)
        kinds.append(rows.kind[own[rows.op]])
        durations.append(rows.duration[own[rows.op]])
    kind, duration = np.concatenate(kinds), np.concatenate(durations)
    counts = np.bincount(kind, minlength=len(OUTCOMES))
    found = {OUTCOMES[n]: int(count) for n, count in enumerate(counts) if count}
    return Seen(found, float(np.percentile(duration, 95)) / 1000.0 if len(duration) else 0.0)


def of(name: str) -> Obj:
    return {"namespaces": [SPACE], "labelSelectors": {"app.kubernetes.io/component": name}}


def create(world: World, kind: str, spec: Obj, name: str = "trial") -> Obj:
    body = {"apiVersion": API, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}
    return Client(world).create(body)


def on(name: str, **more: Any) -> Obj:
    return {"mode": "all", "selector": of(name), **more}


def web(name: str, target: str, **more: Any) -> Obj:
    return on(name, target=target, method="POST", path="*", port=8080, **more)


def jvm(action: str, **more: Any) -> Obj:
    where = {"class": "oteldemo.AdService", "method": "getAds"}
    return on("ad", action=action, **(where if action not in ("gc", "stress") else {}), **more)


BYTEMAN = "RULE r\nCLASS AdService\nMETHOD getInstance\nAT ENTRY\nIF true\nDO return null\nENDRULE"
Judge = Callable[[Seen, Seen], bool]


def failing(outcome: str) -> Judge:
    return lambda now, before: now.outcomes.get(outcome, 0) > 0.6 * sum(now.outcomes.values())


def slower(factor: float) -> Judge:
    return lambda now, before: now.p95 > factor * before.p95 and now.bad < 0.1


TO_QUOTE = {"target": {"mode": "all", "selector": of("quote")}, "direction": "to"}
CASES: dict[str, tuple[str, Obj, str, Judge]] = {
    "delay": (
        "NetworkChaos",
        on("product-catalog", action="delay", delay={"latency": "400ms", "jitter": "50ms"}),
        "product-catalog",
        slower(50),
    ),
    "loss": ("NetworkChaos", on("quote", action="loss", loss={"loss": "50"}), "quote", slower(50)),
    "loss of all": (
        "NetworkChaos",
        on("shipping", action="loss", loss={"loss": "100"}, **TO_QUOTE),
        "quote",
        failing("dropped"),
    ),
    "corrupt": (
        "NetworkChaos",
        on("quote", action="corrupt", corrupt={"corrupt": "50"}),
        "quote",
        slower(50),
    ),
    "bandwidth": (
        "NetworkChaos",
        on(
            "product-catalog",
            action="bandwidth",
            bandwidth={"rate": "20kbps", "limit": 20000, "buffer": 10000},
        ),
        "product-catalog",
        slower(50),
    ),
    "partition": (
        "NetworkChaos",
        on("shipping", action="partition", **TO_QUOTE),
        "quote",
        failing("dropped"),
    ),
    "partition from": (
        "NetworkChaos",
        on("shipping", action="partition", **{**TO_QUOTE, "direction": "from"}),
        "quote",
        failing("dropped"),
    ),
    "abort": ("HTTPChaos", web("quote", "Request", abort=True), "quote", failing("reset")),
    "http delay": ("HTTPChaos", web("quote", "Request", delay="2s"), "quote", slower(100)),
    "replace code": (
        "HTTPChaos",
        web("quote", "Response", replace={"code": 500}),
        "quote",
        failing("aborted"),
    ),
    "replace body": (
        "HTTPChaos",
        web("quote", "Response", replace={"body": "ZXJyb3I="}),
        "quote",
        failing("unreadable"),
    ),
    "patch": (
        "HTTPChaos",
        web("quote", "Request", patch={"body": {"type": "JSON", "value": '{"numberOfItems": "x"}'}}),
        "quote",
        failing("failed"),
    ),
    "exception": (
        "JVMChaos",
        jvm("exception", exception='java.io.IOException("BOOM")'),
        "ad",
        failing("failed"),
    ),
    "rule": ("JVMChaos", on("ad", action="ruleData", ruleData=BYTEMAN), "ad", failing("failed")),
    "return": ("JVMChaos", jvm("return", returnValue="null"), "ad", failing("failed")),
    "method latency": ("JVMChaos", jvm("latency", latency=1500), "ad", slower(100)),
    "collections": ("JVMChaos", jvm("gc"), "ad", slower(4)),
    "heap": (
        "JVMChaos",
        jvm("stress", memType="heap"),
        "ad",
        lambda now, _: now.bad > 0.05 and now.p95 > 100,
    ),
    "processors": (
        "StressChaos",
        on("recommendation", stressors={"cpu": {"workers": 30, "load": 100}}),
        "recommendation",
        slower(2),
    ),
    "names": (
        "DNSChaos",
        on("checkout", action="error", patterns=["payment*"]),
        "payment",
        failing("no_dns"),
    ),
    "addresses": (
        "DNSChaos",
        on("shipping", action="random", patterns=["quote.*"]),
        "quote",
        failing("dropped"),
    ),
    "clock": ("TimeChaos", on("payment", timeOffset="26280h"), "payment", failing("failed")),
    "pod failure": ("PodChaos", on("quote", action="pod-failure"), "quote", failing("refused")),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_felt_and_taken_back(shop: World, case: str) -> None:
    kind, spec, name, judge = CASES[case]
    world, before = shop.fork(), seen(shop, name, 12)
    rows = world.cluster.part(effects.Effects).rows
    create(world, kind, spec)
    world.run_for(60_000)
    assert judge(seen(world, name), before), (seen(world, name), before)
    made = Client(world).get(KINDS[kind].resource, NAMESPACE, "trial")
    assert (condition(made, "AllInjected") or {})["status"] == "True"
    Client(world).delete(KINDS[kind].resource, NAMESPACE, "trial")
    world.run_for(60_000)
    assert Client(world).find(KINDS[kind].resource, NAMESPACE, "trial") is None
    assert world.cluster.part(effects.Effects).rows == rows
    after = seen(world, name)
    assert after.bad < 0.02 and after.p95 < 5 * max(before.p95, 1.0), after


def test_duplicates_are_thrown_away_by_whoever_gets_them(shop: World) -> None:
    world = shop.fork()
    create(world, "NetworkChaos", on("cart", action="duplicate", duplicate={"duplicate": "50"}))
    world.run_for(30_000)
    assert seen(world, "cart").bad < 0.02


def test_a_consumer_that_does_not_reach_its_broker_falls_behind(shop: World) -> None:
    world = shop.fork()
    target = {"mode": "all", "selector": of("kafka")}
    create(world, "NetworkChaos", on("fraud-detection", action="partition", direction="to", target=target))
    world.run_for(120_000)
    assert not seen(world, "fraud-detection").outcomes and traffic.sample(world).lag.max() > 20
    Client(world).delete(KINDS["NetworkChaos"].resource, NAMESPACE, "trial")
    world.run_for(60_000)
    assert seen(world, "fraud-detection").outcomes and traffic.sample(world).lag.max() < 20


def own(world: World, name: str) -> Obj:
    pods = world.cluster.store.list("pods", SPACE)
    return next(pod for pod in pods if labels_of(pod).get("app.kubernetes.io/component") == name)


def test_memory_that_a_container_may_not_use_kills_it_and_no_other(shop: World) -> None:
    world = shop.fork()
    create(world, "StressChaos", on("valkey-cart", stressors={"memory": {"workers": 4, "size": "100%"}}))
    world.run_for(20_000)
    (status,) = own(world, "valkey-cart")["status"]["containerStatuses"]
    assert dig(status, "lastState", "terminated", "reason") == "OOMKilled" and status["restartCount"] == 1
    counts = [
        (name_of(pod), item["restartCount"])
        for pod in world.cluster.store.list("pods", SPACE)
        for item in pod["status"]["containerStatuses"]
    ]
    assert sum(count for _, count in counts) == 1, "the new container starts without what filled the old one"


def test_memory_is_given_back(shop: World) -> None:
    world = shop.fork()
    create(
        world,
        "StressChaos",
        on("frontend", stressors={"memory": {"workers": 1, "size": "20MB"}}, duration="20s"),
    )
    world.run_for(10_000)
    pod = own(world, "frontend")
    state = find_pod(world, SPACE, name_of(pod))
    assert state is not None and state.containers["frontend"].health.memory == 20 << 20
    world.run_for(20_000)
    state = find_pod(world, SPACE, name_of(pod))
    assert state is not None and state.containers["frontend"].health.memory == 0


def test_killed_pods_and_containers_come_back(shop: World) -> None:
    world, old = shop.fork(), name_of(own(shop, "quote"))
    create(world, "PodChaos", on("quote", action="pod-kill"), "one")
    create(world, "PodChaos", on("email", action="container-kill", containerNames=["email"]), "two")
    world.run_for(40_000)
    assert (
        name_of(own(world, "quote")) != old
        and (condition(own(world, "quote"), "Ready") or {})["status"] == "True"
    )
    (status,) = own(world, "email")["status"]["containerStatuses"]
    assert status["restartCount"] == 1 and dig(status, "lastState", "terminated", "exitCode") == 137


def test_a_pod_failure_runs_an_image_that_does_nothing(shop: World) -> None:
    world = shop.fork()
    image = own(world, "quote")["spec"]["containers"][0]["image"]
    create(world, "PodChaos", on("quote", action="pod-failure"))
    world.run_for(30_000)
    pod = own(world, "quote")
    assert pod["spec"]["containers"][0]["image"] == "gcr.io/google-containers/pause:latest"
    assert pod["metadata"]["annotations"]["chaos-mesh-trial-pod-failure-quote-normal-image"] == image
    Client(world).delete(KINDS["PodChaos"].resource, NAMESPACE, "trial")
    world.run_for(30_000)
    pod = own(world, "quote")
    assert (
        pod["spec"]["containers"][0]["image"] == image and (condition(pod, "Ready") or {})["status"] == "True"
    )
    told = {e["message"] for e in world.cluster.store.list("events", SPACE) if e["reason"] == "Killing"}
    assert "Container quote definition changed, will be restarted" in told


def test_probes_meet_what_is_in_their_way(shop: World) -> None:
    world = shop.fork()
    create(world, "NetworkChaos", on("frontend", action="delay", delay={"latency": "20s"}))
    world.run_for(60_000)
    probed = own(shop, "frontend")["spec"]["containers"][0].get("readinessProbe")
    ready = (condition(own(world, "frontend"), "Ready") or {})["status"]
    assert (ready == "False") == bool(probed)


def test_what_is_thrown_is_in_the_spans(shop: World) -> None:
    from firedrill.world.telemetry.traces.describe import Describer

    world = shop.fork()
    create(world, "JVMChaos", jvm("exception", exception='java.io.IOException("BOOM")'))
    world.run_for(30_000)
    told = requests_of(world)
    assert told is not None
    tick = told.tick(len(world.cluster.part(traffic.Traffic).history) - 1)
    describer = Describer(told.names)
    failed = np.flatnonzero(tick.rows.server_kind == OUTCOMES.index("failed"))
    found = [describer.failure(tick, int(row), server=True) for row in failed]
    assert found and {(item.type, item.message) for item in found} == {("java.io.IOException", "BOOM")}
    assert all(item.stack[0] == "java.io.IOException: BOOM" for item in found)


def test_forks_agree_while_experiments_run(shop: World) -> None:
    world = shop.fork()
    create(
        world,
        "NetworkChaos",
        on("cart", action="delay", delay={"latency": "100ms"}, mode="one", duration="40s"),
    )
    create(world, "JVMChaos", jvm("gc"), "gc")
    world.run_for(20_000)
    twin = world.fork()
    for one in (world, twin):
        one.run_for(60_000)
    assert world.digest() == twin.digest()


def test_a_healthy_world_keeps_its_promises_with_harmless_experiments_about(shop: World) -> None:
    world = shop.fork()
    start = world.now
    kinds = {name_of(obj) for kind in KINDS.values() for obj in world.cluster.store.list(kind.resource)}
    assert {"echo-latency", "echo-cpu-burn", "legacy-gateway-failure"} <= kinds
    world.run_for(5 * 60_000)
    baseline = service.baseline(world, shop.start, start)
    assert service.slo_minutes_lost(world, baseline, start, world.now) == 0


@pytest.fixture(scope="module")
def bare() -> Iterator[World]:
    yield make_living(load_package("book-info"), 1, chaos=False)


def test_worlds_can_do_without(bare: World) -> None:
    assert bare.cluster.kinds.storage("networkchaos.chaos-mesh.org") is None
    assert Client(bare).find("namespaces", "", NAMESPACE) is None
