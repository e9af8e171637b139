"""Mechanisms that act through Chaos Mesh: on a schedule or once, told in ITBench's words, and cured."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from firedrill import faults
from firedrill.core.errors import InputError
from firedrill.faults.showing import seen
from firedrill.world import World
from firedrill.world.kube import effects
from firedrill.world.kube.api import Client
from firedrill.world.kube.chaos import KINDS, SCHEDULES
from firedrill.world.kube.objects import dig, name_of

pytestmark = pytest.mark.slow
Fresh = Callable[[str], World]
MINUTE = 60_000
OURS = [fault.id for fault in faults.library().values() if fault.family == "chaos"]
_LOSS = {
    "type": "NetworkChaos",
    "networkChaos": {
        "action": "loss",
        "direction": "to",
        "duration": "55s",
        "loss": {"correlation": "0", "loss": "100"},
        "mode": "all",
        "selector": {
            "labelSelectors": {"app.kubernetes.io/component": "checkout"},
            "namespaces": ["otel-demo"],
            "podPhaseSelectors": ["Running"],
        },
        "target": {
            "mode": "all",
            "selector": {
                "labelSelectors": {"app.kubernetes.io/component": "payment"},
                "namespaces": ["otel-demo"],
            },
        },
    },
}


def told(name: str, spec: object) -> tuple[str, dict[str, object]]:
    kind = {"apiVersion": "chaos-mesh.org/v1alpha1", "kind": "Schedule"}
    meta = {"name": name, "namespace": "chaos-mesh"}
    given = {"kubernetesObject": {**kind, "metadata": meta}, "scheduleSpec": spec}
    return faults.from_itbench("scheduled-chaos-mesh-experiment", given)


def test_every_kind_and_action_that_is_felt_has_a_mechanism() -> None:
    assert len(OURS) == 28
    assert {KINDS[kind].kind for kind in KINDS} == {
        *("NetworkChaos", "PodChaos", "StressChaos", "HTTPChaos"),
        *("JVMChaos", "IOChaos", "DNSChaos", "TimeChaos"),
    }


def test_itbench_tells_of_a_schedule_and_its_deletion_cures(fresh: Fresh) -> None:
    world = fresh("astronomy-shop")
    healthy = world.fork()
    mechanism, args = told("checkout-payment-network-loss", _LOSS)
    injection = faults.inject(world, faults.find(mechanism), args)
    assert injection.causes == ("chaos-mesh/Schedule/checkout-payment-network-loss",)
    made = Client(world).get(SCHEDULES, "chaos-mesh", "checkout-payment-network-loss")
    wanted = {"schedule": "* * * * *", "concurrencyPolicy": "Forbid", "historyLimit": 1, **_LOSS}
    assert made["spec"] == wanted
    assert seen(world, healthy, faults.find(mechanism), {**args, "name": "checkout"}, 5 * MINUTE)
    (step,) = faults.repair(world, injection) or ()
    assert step.verb == "delete" and "checkout-payment-network-loss" in step.command()
    faults.apply(world, step)
    world.run_for(MINUTE)
    assert not faults.active(world, injection)
    assert not [row for row in world.cluster.part(effects.Effects).rows if "checkout" in row.source]
    assert not [
        obj
        for obj in world.cluster.store.list(KINDS["NetworkChaos"].resource)
        if name_of(obj).startswith("checkout")
    ]


def test_a_restart_helps_only_until_the_next_round(fresh: Fresh) -> None:
    world = fresh("astronomy-shop")
    mechanism, args = told("checkout-payment-network-loss", _LOSS)
    faults.inject(world, faults.find(mechanism), args)
    world.run_for(MINUTE + 10_000)
    old = {row.on for row in world.cluster.part(effects.Effects).rows if "checkout" in row.source}
    step = faults.Step("try", "restart", "deployments.apps", "otel-demo", "checkout")
    faults.apply(world, step)
    world.run_for(2 * MINUTE)
    new = {row.on for row in world.cluster.part(effects.Effects).rows if "checkout" in row.source}
    assert old and new and old != new


@pytest.mark.parametrize("spec", ["x", {}, {"type": "NetworkChaos"}, {"type": "Weather", "weather": {}}])
def test_specs_of_nothing_are_refused(fresh: Fresh, spec: object) -> None:
    world = fresh("astronomy-shop")
    with pytest.raises(InputError) as refused:
        faults.inject(world, faults.find("scheduled-chaos-mesh-experiment"), {"name": "x", "spec": spec})
    assert refused.value.field == "spec" and refused.value.mend


def test_it_spreads_to_the_workload_and_its_callers(fresh: Fresh) -> None:
    world = fresh("astronomy-shop")
    fault = faults.find("chaos-http-abort")
    target = next(target for target in faults.targets(fault, world) if target.args["name"] == "quote")
    injection = faults.inject(world, fault, target.args)
    hops = faults.propagation(world, injection)
    assert hops[0].source == injection.causes[0] and hops[0].target == "otel-demo/Deployment/quote"
    assert {"otel-demo/Service/shipping", "otel-demo/Service/frontend"} <= {hop.target for hop in hops}


def test_worlds_without_chaos_mesh_offer_no_target(fresh: Fresh) -> None:
    world = fresh("market")
    for fault in OURS:
        assert faults.targets(faults.find(fault), world) == ()
        assert "Chaos Mesh" in faults.misfit(faults.find(fault), world)


def test_harmless_experiments_look_like_harmful_ones(fresh: Fresh) -> None:
    world = fresh("astronomy-shop")
    kinds = {obj["kind"] for kind in KINDS.values() for obj in world.cluster.store.list(kind.resource)}
    assert {"NetworkChaos", "StressChaos", "PodChaos"} <= kinds
    schedules = world.cluster.store.list(SCHEDULES)
    assert any(
        "otel-demo" in dig(obj, "spec", "networkChaos", "selector", "namespaces", default=())
        for obj in schedules
    )
