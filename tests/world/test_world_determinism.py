"""The same seed and the same calls give the same world: in any process, and in any fork."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firedrill.world.build import make_world
from firedrill.world.kube.api import ApiError, Client
from firedrill.world.kube.cluster import Settings
from firedrill.world.kube.objects import Obj
from firedrill.world.world import World

pytestmark = pytest.mark.slow

_PROCESSES: list[dict[str, str]] = [
    {"PYTHONHASHSEED": "0"},
    {"PYTHONHASHSEED": "1"},
    {"PYTHONHASHSEED": "777", "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX2 FMA3"},
]
_SCRIPT = """
from test_world_determinism import incident
print(incident().digest())
"""


def application(name: str, replicas: int = 2) -> list[Obj]:
    labels = {"app": name}
    container = {"name": "main", "image": f"example.com/{name}:1.0", "ports": [{"containerPort": 8080}]}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    place = {"name": name, "namespace": "shop", "labels": labels}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": place,
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": place,
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]},
        },
    ]


def act(world: World, number: int) -> None:
    """One of the things that a person does to a cluster."""
    client = Client(world)
    try:
        if number == 0:
            client.patch("deployments.apps", "shop", "web", {"spec": {"replicas": 4}})
        elif number == 1:
            change = {"spec": {"containers": [{"name": "main", "image": "example.com/no-such:9"}]}}
            body = {"spec": {"template": change}}
            client.patch("deployments.apps", "shop", "web", body, patch_type="strategic")
        elif number == 2:
            pods = client.list("pods", "shop")
            if pods:
                client.delete("pods", "shop", pods[0]["metadata"]["name"])
        elif number == 3:
            client.delete("deployments.apps", "shop", "db", propagation="Foreground")
        elif number == 4:
            for obj in application("extra"):
                client.create(obj)
        elif number == 5:
            client.patch("nodes", "", "worker-01", {"spec": {"unschedulable": True}})
        else:
            client.delete("namespaces", "", "shop")
    except ApiError:
        pass  # some follow on others; a refusal is an outcome as well


def incident(seed: int = 3) -> World:
    """A small application, and an hour of what happens to it."""
    world = make_world(seed, nodes=3, manifests=[*application("web"), *application("db")])
    for number in (0, 1, 2, 4, 5, 3):
        act(world, number)
        world.run_for(137_000)
    world.run_for(600_000)
    return world


def test_every_process_comes_to_the_same_world() -> None:
    found = set()  # of processes alone: the tests' own controllers take part in worlds of this one
    for extra in _PROCESSES:
        environment = {**os.environ, **extra, "PYTHONPATH": os.path.dirname(__file__)}
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        found.add(done.stdout.strip())
    assert len(found) == 1


def test_another_seed_is_another_world() -> None:
    assert incident(4).digest() != incident(5).digest()


@cache
def _base() -> World:
    manifests: list[Any] = [*application("web"), *application("db")]
    return make_world(7, nodes=3, settings=Settings(freeze=True), manifests=manifests)


@settings(max_examples=25, deadline=None)
@given(
    before=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 90_000)), max_size=4),
    after=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 90_000)), max_size=3),
    rest=st.integers(0, 400_000),
)
def test_a_fork_runs_on_as_the_world_that_it_comes_from(
    before: list[tuple[int, int]], after: list[tuple[int, int]], rest: int
) -> None:
    main = _base().fork()
    for number, wait in before:
        act(main, number)
        main.run_for(wait)
    at = main.digest()
    twin, idle = main.fork(), main.fork()
    for world in (main, twin):
        for number, wait in after:
            act(world, number)
            world.run_for(wait)
        world.run_for(rest)
    assert main.digest() == twin.digest()
    assert idle.digest() == at


@pytest.mark.parametrize("step", [250, 997, 60_000])
def test_it_does_not_matter_in_which_steps_time_passes(step: int) -> None:
    whole, parts = _base().fork(), _base().fork()
    act(whole, 1)
    act(parts, 1)
    whole.run_for(120_000)
    for _ in range(120_000 // step):
        parts.run_for(step)
    parts.run_until_ms(whole.now)
    assert parts.digest() == whole.digest()
