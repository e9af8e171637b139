"""A handful of mechanisms from end to end; all of them are held to it by `bench/mechanisms.py`."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from firedrill import faults
from firedrill.faults import fitting
from firedrill.faults.showing import seen, shows
from firedrill.world import World
from firedrill.world.kube import effects
from firedrill.world.kube.api import Client
from firedrill.world.kube.objects import condition, dig, name_of

Fresh = Callable[[str], World]
MINUTE = 60_000
pytestmark = pytest.mark.slow
_QUICK = [
    fault.id for fault in faults.library().values() if fault.within <= 5 * MINUTE and fault.family != "mesh"
]
HANDFUL = sorted(Random(20).sample(_QUICK, 8))


@pytest.mark.parametrize("fault", HANDFUL)
def test_what_it_causes_is_seen_and_it_can_be_taken_back(fresh: Fresh, fault: str) -> None:
    mechanism = faults.find(fault)
    world = fresh("online-boutique")
    found = faults.targets(mechanism, world)
    if not found:
        pytest.skip(faults.misfit(mechanism, world))
    target = Random(fault).choice(found)
    healthy = world.fork()
    assert not shows(world, healthy, mechanism, target.args), "seen before it happened"
    injection = faults.inject(world, mechanism, target.args)
    assert seen(world, healthy, mechanism, injection.args, mechanism.within), target
    faults.revert(world, injection)
    assert soon(world, _whole, 15), _unready(world)
    assert soon(world, lambda now: _sources(now) <= _sources(healthy), 1)


def soon(world: World, holds: Callable[[World], bool], minutes: int) -> bool:
    """Whether something holds within so many minutes."""
    for _ in range(minutes * 6):
        if holds(world):
            return True
        world.run_for(10_000)
    return holds(world)


def _sources(world: World) -> set[str]:
    """Where what acts on pods and nodes comes from: harmless experiments too."""
    return {row.source for row in world.cluster.part(effects.Effects).rows}


def _unready(world: World) -> list[str]:
    out = []
    for space in (*fitting.namespaces(world), "kube-system"):
        for pod in world.cluster.store.list("pods", space):
            ready = (condition(pod, "Ready") or {}).get("status") == "True"
            if dig(pod, "status", "phase") not in {"Succeeded", "Failed"} and not ready:
                out.append(name_of(pod))
    for node in world.cluster.store.list("nodes"):
        if (condition(node, "Ready") or {}).get("status") != "True":
            out.append(name_of(node))
    return out


def _whole(world: World) -> bool:
    if _unready(world):
        return False
    return all(
        dig(owner, "status", part, default=0) >= dig(owner, "spec", "replicas", default=1)
        for owner in fitting.workloads(world)
        for part in ("readyReplicas", "updatedReplicas")
    )


def test_the_client_of_the_library_is_a_person_with_a_terminal(fresh: Fresh) -> None:
    world = fresh("online-boutique")
    faults.inject(world, faults.find("invalid-command"), {"namespace": "default", "name": "adservice"})
    owner = Client(world).get("deployments.apps", "default", "adservice")
    managers = {item["manager"] for item in owner["metadata"]["managedFields"]}
    assert managers <= {"kubectl", "kubectl-client-side-apply", "kube-controller-manager"}


def test_a_workload_made_anew_has_new_pods_alone(fresh: Fresh) -> None:
    world = fresh("online-boutique")
    old = {name_of(pod) for pod in world.cluster.store.list("pods", "default")}
    args = {"namespace": "default", "name": "cartservice", "then": "replace"}
    injection = faults.inject(world, faults.find("incorrect-image-reference"), args)
    world.run_for(2 * MINUTE)
    pods = [p for p in world.cluster.store.list("pods", "default") if name_of(p).startswith("cartservice")]
    assert len(pods) == 1 and name_of(pods[0]) not in old
    for step in faults.repair(world, injection) or ():
        faults.apply(world, step)
    assert soon(world, _whole, 5)
    assert not faults.active(world, injection)


def test_a_repair_takes_back_what_is_left_and_spares_what_others_did(fresh: Fresh) -> None:
    world = fresh("online-boutique")
    args = {"namespace": "default", "name": "adservice", "memory": "7Mi"}
    injection = faults.inject(world, faults.find("oom-killed"), args)
    mended = {"name": "server", "resources": {"limits": {"memory": "512Mi"}}}
    patch = {"spec": {"template": {"spec": {"containers": [mended]}}}}
    client = Client(world)
    client.patch("deployments.apps", "default", "adservice", patch, patch_type="strategic")
    assert not faults.active(world, injection)
    for step in faults.repair(world, injection) or ():
        faults.apply(world, step)
    container = client.get("deployments.apps", "default", "adservice")["spec"]["template"]["spec"][
        "containers"
    ][0]
    assert container["resources"]["limits"]["memory"] == "512Mi"
    assert container["resources"]["requests"]["memory"] == "180Mi"


def test_a_fault_of_a_node_touches_the_workloads_there_and_their_callers(fresh: Fresh) -> None:
    world = fresh("online-boutique")
    node, _ = next(fitting.nodes(world))
    injection = faults.inject(world, faults.find("kubelet-unavailable"), {"node": node})
    hops = faults.propagation(world, injection)
    there = {
        fitting.entity(owner) for owner in fitting.workloads(world) if node in fitting.nodes_of(world, owner)
    }
    assert there == {hop.target for hop in hops if hop.source == f"cluster/Node/{node}"}
    assert any(hop.target == "default/Service/frontend" for hop in hops)
