"""Flags, releases, stores and scanners: mechanisms that act through what programs do."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest

from firedrill import faults
from firedrill.core.errors import InputError
from firedrill.faults._releases import next_tag
from firedrill.faults.feature_flag_changed import switched
from firedrill.world import World
from firedrill.world.app import load_package, rows, service
from firedrill.world.app.traffic import sample
from firedrill.world.kube.api import Client
from firedrill.world.kube.api.pressure import Pressure, delay
from firedrill.world.kube.kubelet import read_log
from firedrill.world.kube.objects import dig, labels_of, name_of
from firedrill.world.kube.programs.asking import requests_per_second
from firedrill.world.living import make_living
from firedrill.world.telemetry.monitoring import Monitoring

pytestmark = pytest.mark.slow

MINUTE = 60_000
SHOP = "otel-demo"


@cache
def _shop() -> World:
    world = make_living(load_package("astronomy-shop"), 5)
    world.run_for(4 * MINUTE)
    return world


@pytest.fixture
def shop() -> World:
    """The astronomy shop in use."""
    return _shop().fork()


def calls_of(world: World, name: str, ticks: int = 24) -> tuple[int, int]:
    """(requests, failures) of an operation in the last two minutes."""
    requests = failures = 0
    for number in range(-ticks, 0):
        calls = sample(world, number).calls
        names = sample(world, number).graph.op_names
        here = [n for n, op in enumerate(calls.op) if ".".join(names[op]) == name]
        requests += int(calls.counts[here].sum())
        failures += int(calls.counts[here].sum() - calls.counts[here][:, rows.OK].sum())
    return requests, failures


def slow(world: World) -> set[str]:
    """Services of which alerts say that they are slow."""
    found = [dict(alert.labels) for alert in world.cluster.part(Monitoring).rules.all_alerts()]
    return {item["service_name"] for item in found if item["alertname"] == "HighRequestLatency"}


def aimed(world: World, fault: str, **wanted: str) -> faults.Injection:
    mechanism = faults.find(fault)
    found = [
        target
        for target in faults.targets(mechanism, world)
        if all(target.args.get(key) == value for key, value in wanted.items())
    ]
    return faults.inject(world, mechanism, found[0].args)


def mend(world: World, injection: faults.Injection) -> None:
    for step in faults.repair(world, injection) or ():
        faults.apply(world, step)


TEXT = '{\n  "flags": {\n    "a": {"variants": {"on": true, "off": false}, "defaultVariant": "off"},\n    "b": {"variants": {"on": 1}, "defaultVariant": "on"}\n  }\n}\n'


def test_only_the_default_of_one_flag_is_written_anew() -> None:
    made = switched(TEXT, "a", "on")
    assert made == TEXT.replace('"defaultVariant": "off"', '"defaultVariant": "on"', 1)
    assert json.loads(switched(TEXT.replace('"defaultVariant": "off"', '"state": "ENABLED"'), "a", "on"))


@pytest.mark.parametrize(
    ("text", "flag", "state"), [("no", "a", "on"), ("[]", "a", "on"), (TEXT, "c", "on"), (TEXT, "a", "maybe")]
)
def test_what_is_no_flag_is_refused(text: str, flag: str, state: str) -> None:
    with pytest.raises(InputError) as wrong:
        switched(text, flag, state)
    assert wrong.value.mend


def test_the_shop_offers_every_flag_that_does_something(shop: World) -> None:
    graph_flags = {flag.name for flag in load_package("astronomy-shop").application.flags}
    found = faults.targets(faults.find("feature-flag-changed"), shop)
    assert {target.args["flag"] for target in found} == graph_flags


def test_a_flag_is_felt_once_the_file_has_reached_the_pods(shop: World) -> None:
    injection = aimed(shop, "feature-flag-changed", flag="paymentFailure", state="100%")
    shop.run_for(5_000)
    assert calls_of(shop, "payment.charge", 1)[1] == 0
    shop.run_for(4 * MINUTE)
    requests, failures = calls_of(shop, "payment.charge")
    assert requests == failures > 20
    mend(shop, injection)
    shop.run_for(4 * MINUTE)
    assert calls_of(shop, "payment.charge")[1] == 0


def test_a_flood_comes_to_one_page(shop: World) -> None:
    before = {name: calls_of(shop, name)[0] for name in ("frontend.home", "frontend.product")}
    aimed(shop, "feature-flag-changed", flag="loadGeneratorFloodHomepage")
    shop.run_for(4 * MINUTE)
    assert calls_of(shop, "frontend.home")[0] > 100 * before["frontend.home"]
    assert calls_of(shop, "frontend.product")[0] < 1.1 * before["frontend.product"]
    assert slow(shop) >= {"frontend", "frontend-proxy"}


def test_images_that_load_slowly_come_late_but_come(shop: World) -> None:
    aimed(shop, "feature-flag-changed", flag="imageSlowLoad", state="10sec")
    shop.run_for(4 * MINUTE)
    (told,) = [
        item
        for item in service.minutes(shop, shop.now - MINUTE, shop.now)
        if item.operation == "frontend-proxy.image"
    ]
    assert told.success == 1.0
    assert 10_000 < told.p95_ms < 10_200
    assert slow(shop) == {"frontend-proxy"}


def test_a_store_that_is_written_full_is_killed_and_starts_empty(shop: World) -> None:
    aimed(shop, "valkey-workload-out-of-memory")
    shop.run_for(3 * MINUTE)
    pods = [pod for pod in shop.cluster.store.list("pods", SHOP) if "valkey" in name_of(pod)]
    status = dig(pods[0], "status", "containerStatuses", 0)
    assert status["restartCount"] >= 1
    assert dig(status, "lastState", "terminated", "reason") == "OOMKilled"


def test_clients_of_a_store_with_a_password_are_turned_away(shop: World) -> None:
    injection = aimed(shop, "valkey-workload-changed-password")
    shop.run_for(3 * MINUTE)
    requests, failures = calls_of(shop, "cart.get")
    assert failures == requests > 0
    told = shop.fork()
    key = {"secretKeyRef": {"name": "valkey-cart-credentials", "key": "password"}}
    item = {"name": "cart", "env": [{"name": "VALKEY_PASSWORD", "valueFrom": key}]}
    change = {"spec": {"template": {"spec": {"containers": [item]}}}}
    Client(told).patch("deployments.apps", SHOP, "cart", change, patch_type="strategic")
    told.run_for(4 * MINUTE)
    assert calls_of(told, "cart.get")[1] == 0
    mend(shop, injection)
    shop.run_for(4 * MINUTE)
    assert calls_of(shop, "cart.get")[1] == 0


def test_a_step_says_what_is_wrong_with_its_configuration(shop: World) -> None:
    injection = aimed(shop, "crashing-kubernetes-workload-init-container", name="recommendation")
    shop.run_for(MINUTE)
    wanted = labels_of(shop.cluster.store.get("deployments.apps", SHOP, "recommendation") or {})
    pods = [
        pod
        for pod in shop.cluster.store.list("pods", SHOP)
        if labels_of(pod).get("opentelemetry.io/name") == wanted["opentelemetry.io/name"]
        and dig(pod, "spec", "initContainers")
    ]
    told = read_log(shop, SHOP, name_of(pods[0]), "worker", previous=True)
    assert any("Expecting property name" in line for line in told)
    assert injection.causes == (
        f"{SHOP}/Deployment/recommendation",
        f"{SHOP}/ConfigMap/recommendation-config",
    )


def test_a_scanner_slows_the_api_server_for_all(shop: World) -> None:
    assert delay(shop) == 0
    injection = aimed(shop, "kubernetes-api-server-request-surge")
    shop.run_for(14 * MINUTE)
    assert delay(shop) > 500
    firing = {dict(a.labels)["alertname"] for a in shop.cluster.part(Monitoring).rules.all_alerts("firing")}
    assert "KubeAPILatencyHigh" in firing
    mend(shop, injection)
    shop.run_for(2 * MINUTE)
    assert delay(shop) == 0
    assert shop.cluster.part(Pressure).rate == 0


@pytest.mark.parametrize(
    ("argv", "files", "cores", "wanted"),
    [
        (["/bin/sh", "-c", "while true; do kubectl get pods -A; done"], {}, 1000, 5),
        (["python3", "/s.py"], {"/s.py": "while True: api.list_pod_for_all_namespaces()"}, 1000, 5),
        (["python3", "/s.py"], {"/s.py": "print(1)"}, 1000, 0),
        (["/bin/sh", "-c", "while true; do kubectl get pods -A; done"], {}, 2, 1),
        (["kubectl", "get", "pods"], {}, 1000, 0),
    ],
)
def test_scripts_tell_how_often_they_ask(
    argv: list[str], files: dict[str, str], cores: int, wanted: int
) -> None:
    assert requests_per_second(argv, {}, files, cores) == wanted
    more = requests_per_second(argv, {"RPS": "300"}, files, 1000)
    assert more == (300 if wanted else 0)


@pytest.mark.parametrize(
    ("tag", "after"),
    [
        ("v0.10.3", "v0.10.4"),
        ("2.1.3-cart", "2.1.4-cart"),
        ("1.20", "1.21"),
        ("latest", "latest-2"),
        ("7", "8"),
    ],
)
def test_the_tag_of_the_next_release(tag: str, after: str) -> None:
    assert next_tag(tag) == after


@pytest.mark.parametrize("fault", ["release-needs-new-setting", "release-needs-more-memory"])
def test_a_release_that_cannot_start_is_rolled_back(shop: World, fault: str) -> None:
    injection = aimed(shop, fault, name="currency", then="replace")
    shop.run_for(3 * MINUTE)
    requests, failures = calls_of(shop, "currency.convert", 12)
    assert requests and failures == requests
    mend(shop, injection)
    shop.run_for(4 * MINUTE)
    assert calls_of(shop, "currency.convert", 12)[1] == 0
    assert np.isfinite(sample(shop).cpu).all()
