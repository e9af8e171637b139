"""Every figure of speed that a simulated cluster is held to, in one table.

Each is the best of a few repeats: by the wall's clock, and in brackets by that of the processor, which tells
more while something else runs on the machine. The large world has 1 000 pods, which keeps the whole table
within a minute and a half; `--pods 5000` takes a minute more. `bench_world_*.py` look closer at single rooms.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from time import perf_counter, process_time

import world_served
from firedrill.world import World
from firedrill.world.build import make_world
from firedrill.world.kube import programs
from firedrill.world.kube.api import Client, Request
from firedrill.world.kube.api.server import handle
from firedrill.world.kube.controllers.base import stop_component
from firedrill.world.kube.objects import Obj
from firedrill.world.kube.store import Store
from table import Row, show
from world_load import NAMESPACE, all_ready, application, config, deployment

COUNT = 2000
HOUR = 3_600_000
NODES, EACH, PODS = 100, 50, 1000
_COLD = """
import time, json
begun = time.perf_counter(), time.process_time()
from firedrill.world.build import make_world
ready = time.perf_counter(), time.process_time()
make_world(nodes=4)
done = time.perf_counter(), time.process_time()
print(json.dumps([b - a for a, b in zip(begun + ready, ready + done)]))
"""


def measured(work: Callable[[], object], repeats: int = 1) -> tuple[float, float]:
    """Least seconds of some runs, by the wall and by the processor."""
    wall, busy = [], []
    for _ in range(repeats):
        gc.collect()
        begun, worked = perf_counter(), process_time()
        work()
        wall.append(perf_counter() - begun)
        busy.append(process_time() - worked)
    return min(wall), min(busy)


def seconds(taken: tuple[float, float]) -> str:
    """As the table shows it."""
    return f"{taken[0]:.2f} s ({taken[1]:.2f})"


def rate(work: Callable[[int], object], operations: int = 1, rounds: int = 3) -> str:
    """Operations per second of a call with a number that is never the same."""
    best = (9e9, 9e9)
    for turn in range(rounds):
        numbers = range(turn * COUNT, (turn + 1) * COUNT)
        taken = measured(lambda numbers=numbers: [work(number) for number in numbers])  # type: ignore[misc]
        best = min(best[0], taken[0]), min(best[1], taken[1])
    return f"{COUNT * operations / best[0]:,.0f}/s ({COUNT * operations / best[1]:,.0f})"


def cold() -> list[Row]:
    """The first world of a fresh process, with bytecode at hand as in an installation."""
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        for number in range(7):
            done = subprocess.run([sys.executable, "-c", _COLD], env=env, capture_output=True, check=True)
            if number:
                runs.append(json.loads(done.stdout))
    imports, imports_busy, world, world_busy = (min(run[part] for run in runs) for part in (0, 1, 2, 3))
    whole = min(run[0] + run[2] for run in runs), min(run[1] + run[3] for run in runs)
    return [
        (
            "cold start: a fresh process makes an empty world of 4 nodes",
            "0.3 s",
            seconds((world, world_busy)),
        ),
        ("  imports before that", "", seconds((imports, imports_busy))),
        ("  both", "", seconds(whole)),
    ]


def rollout() -> list[Row]:
    """An application comes up and is changed."""
    manifests = application()
    newer = [deployment(number, image="registry.example/shop:2") for number in range(30)]
    empty = make_world(1, nodes=4)
    programs.learn(empty, [*manifests, *newer])
    last = empty

    def apply() -> None:
        nonlocal last
        last = empty.fork()
        client = Client(last)
        for item in manifests:
            client.create(item)
        assert last.run_until(all_ready, 900_000)

    up = measured(apply, 4)
    virtual = (last.now - empty.now) / 1000

    def roll() -> None:
        world = last.fork()
        client = Client(world)
        for item in newer:
            client.patch("deployments.apps", NAMESPACE, item["metadata"]["name"], {"spec": item["spec"]})
        assert world.run_until(all_ready, 900_000)

    rolled = measured(roll, 2)
    last.run_for(600_000)
    hour = measured(lambda: last.fork().run_for(HOUR), 2)
    forks = sorted(measured(last.fork)[0] for _ in range(50))
    objects = sum(last.cluster.store.count(item) for item in last.cluster.store.resources())
    return [
        (f"30 deployments applied until all 60 pods are ready, {virtual:.0f} s virtual", "1 s", seconds(up)),
        ("  all 30 changed and rolled", "", seconds(rolled)),
        ("an idle virtual hour of it", "1 s", seconds(hour)),
        (f"fork of it ({objects} objects), median of 50", "5 ms", f"{forks[25] * 1000:.2f} ms"),
        ("  slowest of 50", "5 ms", f"{forks[-1] * 1000:.2f} ms"),
    ]


def operations() -> list[Row]:
    """Single operations in one process, layer by layer."""
    store = Store()
    rows: list[Row] = [
        ("store alone: put", "10 000/s", rate(lambda n: store.put("configmaps", config(n)))),
        ("  get", "10 000/s", rate(lambda n: store.get("configmaps", NAMESPACE, f"c{n}"))),
    ]
    world = make_world(nodes=4)
    stop_component(world, "kube-controller-manager")  # the controllers' own work is another row's
    trusted, full = Client(world, trusted=True), Client(world)
    rows.append(
        ("component's client, no schema: create", "10 000/s", rate(lambda n: trusted.create(config(n))))
    )
    for client, name in (
        (trusted, "  get and update"),
        (full, "whole API, to the audit: get and update"),
    ):

        def change(n: int, client: Client = client) -> Obj:
            old = client.get("configmaps", NAMESPACE, f"c{n % COUNT}")
            return client.update({**old, "data": {"k": f"{client.trusted} {n}"}})

        rows.append((name, "10 000/s", rate(change, 2)))
    rows.append(("  create", "", rate(lambda n: full.create(config(100_000 + n)))))
    rows.append(
        (
            "  merge patch",
            "",
            rate(
                lambda n: full.patch(
                    "configmaps", NAMESPACE, f"c{n % COUNT}", {"metadata": {"labels": {"x": str(n)}}}
                )
            ),
        )
    )
    rows.append(("  GET requests, with roles and audit", "", rate(lambda n: handle(world, reading(n)))))
    rows.append(("  three GET requests to each patch", "10 000/s", rate(lambda n: mixed(world, full, n), 4)))
    rows.append(("  delete", "", rate(lambda n: full.delete("configmaps", NAMESPACE, f"c{n}"))))
    return rows


def reading(number: int) -> Request:
    """A GET request."""
    return Request("get", "", "v1", "configmaps", NAMESPACE, f"c{number % COUNT}")


def mixed(world: World, client: Client, number: int) -> None:
    """Four requests as an agent's day has them."""
    for step in range(3):
        handle(world, reading(number + step))
    body = {"metadata": {"labels": {"x": f"m{number}"}}}
    client.patch("configmaps", NAMESPACE, f"c{number % COUNT}", body)


def large(pods: int) -> list[Row]:
    """A world of many pods on 100 nodes; run in a process of its own, as its memory is measured."""
    holder: list[World] = []
    deployments = pods // EACH
    start = measured(lambda: holder.append(make_world(1, nodes=NODES)))
    world = holder[0]
    items = [deployment(number, replicas=EACH) for number in range(deployments)]
    programs.learn(world, items)
    client, begun = Client(world), world.now

    def apply() -> None:
        for item in items:
            client.create(item)
        assert world.run_until(all_ready, 1_800_000)

    up = measured(apply)
    virtual = (world.now - begun) / 1000
    lists = measured(lambda: handle(world, Request("list", "", "v1", "pods")), 3)
    world.run_for(600_000)
    fork = measured(world.fork, 5)
    hour = measured(lambda: world.fork().run_for(HOUR))
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [
        (f"world of {NODES} nodes made", "", seconds(start)),
        (f"  {pods} pods of {deployments} deployments until ready, {virtual:.0f} s virtual", "", seconds(up)),
        ("  a list of all pods", "", f"{lists[0] * 1000:.1f} ms"),
        ("  fork", "", f"{fork[0] * 1000:.1f} ms"),
        ("  an idle virtual hour", "", seconds(hour)),
        ("  peak memory of its process", "", f"{size:.0f} MB"),
    ]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=PODS, help="of the large world, in steps of 50")
    parser.add_argument("--large-only", action="store_true", help="that world alone, as JSON")
    asked = parser.parse_args()
    if asked.large_only:
        print(json.dumps(large(asked.pods)))
        return 0
    rows = [*cold(), *rollout(), *operations(), *world_served.rows()]
    done = subprocess.run(
        [sys.executable, __file__, "--large-only", "--pods", str(asked.pods)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    show("a simulated cluster: wall clock (processor)", [*rows, *map(tuple, json.loads(done.stdout))])
    return 0


if __name__ == "__main__":
    sys.exit(main())
