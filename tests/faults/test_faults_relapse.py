"""A leak comes back after a restart: what only buys time is no cure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pytest

from firedrill import faults
from firedrill.faults.healing import Limits, Trials, interventional
from firedrill.world import World
from firedrill.world.app import load_package, service
from firedrill.world.kube.api import Client
from firedrill.world.living import make_living
from firedrill.world.telemetry.monitoring import Monitoring

pytestmark = pytest.mark.slow
MINUTE = 60_000


class Fired(NamedTuple):
    name: str
    labels: Mapping[str, str]


class Leaking(NamedTuple):
    before: World
    world: World
    injection: faults.Injection
    trials: Trials


@pytest.fixture(scope="module")
def leaking() -> Leaking:
    """The astronomy shop a quarter of an hour after a flag made one of its programs leak."""
    package = load_package("astronomy-shop")
    shop = make_living(package, 4)
    shop.run_until_ms((shop.now // MINUTE + 10) * MINUTE)
    world = shop.fork()
    usual = service.baseline(shop, shop.now - 7 * MINUTE, shop.now)
    flag = {
        "namespace": package.application.namespace,
        "config_map": "flagd-config",
        "file": "demo.flagd.json",
        "flag": "recommendationCacheFailure",
        "state": "on",
    }
    injection = faults.inject(world, faults.find("feature-flag-changed"), flag)
    world.run_for(17 * MINUTE)
    alerts = world.cluster.part(Monitoring).rules.all_alerts("firing")
    fired = [Fired(dict(alert.labels)["alertname"], dict(alert.labels)) for alert in alerts]
    limits = Limits(well=12 * MINUTE, relapse=6 * MINUTE)
    trials = Trials(world, before=shop, injections=[injection], baseline=usual, alerts=fired, limits=limits)
    assert trials.wanted
    return Leaking(shop, world, injection, trials)


def test_a_leak_is_cured_by_its_flag_and_comes_back_after_a_restart(leaking: Leaking) -> None:
    pods = leaking.world.cluster.store.list("pods", "otel-demo")
    pod = next(
        name for name in (str(p["metadata"]["name"]) for p in pods) if name.startswith("recommendation-")
    )
    restarted = f"otel-demo/Pod/{pod}"
    flag = interventional(leaking.trials, ["otel-demo/ConfigMap/flagd-config"])
    assert flag.score == 1.0
    assert "otel-demo/Deployment/flagd" in flag.verdict.healed.restarted
    again = interventional(leaking.trials, [restarted])
    assert (again.score, again.strict, again.verdict.reason) == (0.0, 0.0, "mechanism active")


def test_a_restart_that_buys_time_is_followed_by_a_relapse(leaking: Leaking) -> None:
    """With more memory the leak takes longer: users are well served after a restart, and then no more."""
    world = leaking.before.fork()
    more = [{"name": "recommendation", "resources": {"limits": {"memory": "1Gi"}}}]
    room = {"spec": {"template": {"spec": {"containers": more}}}}
    client = Client(world)
    client.patch("deployments.apps", "otel-demo", "recommendation", room, patch_type="strategic")
    world.run_for(2 * MINUTE)
    before = world.fork()
    faults.inject(world, faults.find("feature-flag-changed"), leaking.injection.args)
    world.run_for(2 * MINUTE)
    baseline = leaking.trials.baseline
    # Who does not know of the mechanism sees by the users alone that it comes back.
    trials = Trials(world, before=before, injections=(), baseline=baseline, alerts=())
    pods = world.cluster.store.list("pods", "otel-demo")
    pod = next(
        name for name in (str(p["metadata"]["name"]) for p in pods) if name.startswith("recommendation-")
    )
    verdict = trials.cures([f"otel-demo/Pod/{pod}"], lift=False)
    assert verdict.healed.replaced == (f"otel-demo/{pod}",)
    assert verdict.reason == "relapse"
    assert 5 * MINUTE <= verdict.well_ms < verdict.at_ms
    assert verdict.outside == ("frontend-proxy.recommendations",)
