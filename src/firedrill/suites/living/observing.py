"""What is written down beside a world while it runs: alerts, the traffic between services, pods and nodes.

An observer only reads. It looks every five seconds, when the requests of the last five are at hand anyway.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from firedrill.suites.living.recording import pull_in_time
from firedrill.world.app import rows as kinds
from firedrill.world.app.traffic import TICK_MS, Traffic, rows_of
from firedrill.world.kube.objects import dig, name_of, namespace_of
from firedrill.world.telemetry.monitoring import Monitoring

if TYPE_CHECKING:
    from firedrill.suites.living.recording import Pulled
    from firedrill.world.app.graph import Graph
    from firedrill.world.kube.objects import Obj
    from firedrill.world.telemetry.rules import Alert
    from firedrill.world.world import World

Ints = NDArray[np.int64]
MINUTE_MS: Final = 60_000
LOOK_MS: Final = 15_000
BOUNDS_US: Final = np.array([int(1000 * 1.35**n) for n in range(36)], np.int64)
"""Upper bounds of durations, from 1 ms to about 36 s."""


class Minute(NamedTuple):
    """What Prometheus shows at one moment: every alert, pending ones and standing ones too.

    At full five minutes, `pulled` has all objects that recorders keep.
    """

    at: int
    alerts: tuple[Alert, ...]
    pulled: Pulled | None = None


class Flow(NamedTuple):
    """The requests of one tick as their callers saw them, by service of the graph.

    Attributes:
        at: the tick's end, in ms.
        requests, failed: how many.
        spread: by duration, services x (BOUNDS_US + 1).
    """

    at: int
    requests: Ints
    failed: Ints
    spread: Ints


class Crew(NamedTuple):
    """The pods of one workload: how many are ready and not, and how often containers were restarted."""

    ready: int
    waiting: int
    restarts: int


class State(NamedTuple):
    """Pods by workload (`namespace/Kind/name`) and what is wrong with nodes, at one moment."""

    at: int
    crews: Mapping[str, Crew]
    nodes: Mapping[str, str]


class Observer:
    """What was seen of one world.

    Attributes:
        minutes, flows, states: oldest first.
    """

    def __init__(self) -> None:
        self.minutes: list[Minute] = []
        self.flows: list[Flow] = []
        self.states: list[State] = []

    def run(self, world: World, moment: int) -> None:
        """Let the world run to that moment, and look at it at each of its full five seconds."""
        while world.now < moment:
            step = min(moment, (world.now // TICK_MS + 1) * TICK_MS)
            world.run_until_ms(step)
            self.look(world)

    def look(self, world: World) -> None:
        """Look once, unless this moment has been seen already."""
        if world.now % TICK_MS or (self.flows and world.now <= self.flows[-1].at):
            return
        flow = _flow(world)
        if flow is not None:
            self.flows.append(flow)
        if world.now % LOOK_MS == 0:
            self.states.append(_state(world))
        if world.now % MINUTE_MS == 0:
            self.minutes.append(Minute(world.now, alerts_now(world), pull_in_time(world)))

    def until(self, moment: int) -> Observer:
        """What had been seen at that moment."""
        out = Observer()
        out.minutes = [item for item in self.minutes if item.at <= moment]
        out.flows = self.flows_between(0, moment)
        out.states = self.states_between(0, moment)
        return out

    def flows_between(self, start: int, end: int) -> list[Flow]:
        """The ticks that ended in (start, end]."""
        at = [item.at for item in self.flows]
        return self.flows[bisect_right(at, start) : bisect_right(at, end)]

    def states_between(self, start: int, end: int) -> list[State]:
        """The looks in [start, end]."""
        at = [item.at for item in self.states]
        return self.states[bisect_left(at, start) : bisect_right(at, end)]


def alerts_now(world: World) -> tuple[Alert, ...]:
    """All alerts, in order of rules and labels."""
    return tuple(world.cluster.part(Monitoring).rules.all_alerts())


@lru_cache(maxsize=16)
def _served(graph: Graph) -> Ints:
    """The service that answers, by edge."""
    return np.where(graph.edge_target >= 0, graph.op_service[graph.edge_target], -1).astype(np.int64)


def _flow(world: World) -> Flow | None:
    part = world.cluster.part(Traffic)
    if part.graph is None or not len(part.history):
        return None
    rows = rows_of(world)
    count, buckets = len(part.graph.app.services), len(BOUNDS_US) + 1
    asked = _served(part.graph)[rows.edge]
    bad = asked[rows.kind != kinds.OK]
    cell = asked * buckets + np.searchsorted(BOUNDS_US, rows.duration)
    spread = np.bincount(cell, minlength=count * buckets).reshape(count, buckets)
    return Flow(
        world.now,
        np.bincount(asked, minlength=count) * rows.weight,
        np.bincount(bad, minlength=count) * rows.weight,
        spread * rows.weight,
    )


def _state(world: World) -> State:
    store = world.cluster.store
    crews: dict[str, list[int]] = {}
    for pod in store.list("pods"):
        if dig(pod, "status", "phase") == "Succeeded" or pod["metadata"].get("deletionTimestamp"):
            continue
        crew = crews.setdefault(owner_of(world, pod), [0, 0, 0])
        crew[0 if _holds(pod, "Ready") else 1] += 1
        for status in dig(pod, "status", "containerStatuses", default=()):
            crew[2] += int(status.get("restartCount", 0))
    nodes = {}
    for node in store.list("nodes"):
        wrong = trouble_of(node)
        if wrong:
            nodes[f"cluster/Node/{name_of(node)}"] = wrong
    return State(world.now, {name: Crew(*crews[name]) for name in sorted(crews)}, nodes)


def _holds(obj: Obj, condition: str) -> bool:
    found = dig(obj, "status", "conditions", default=())
    return any(item["type"] == condition and item["status"] == "True" for item in found)


def trouble_of(node: Obj) -> str:
    """What is wrong with a node, in a few words; empty where nothing is."""
    wrong = [] if _holds(node, "Ready") else ["is not ready"]
    wrong += [
        f"has {item['type']}"
        for item in dig(node, "status", "conditions", default=())
        if item["type"].endswith("Pressure") and item["status"] == "True"
    ]
    if dig(node, "spec", "unschedulable"):
        wrong.append("is cordoned")
    return " and ".join(wrong)


def owner_of(world: World, pod: Obj) -> str:
    """The workload that a pod belongs to, as `namespace/Kind/name`; the pod itself where it has none."""
    obj = pod
    for _ in range(2):
        owner = next(
            (item for item in obj["metadata"].get("ownerReferences") or () if item.get("controller")), None
        )
        if owner is None:
            break
        if owner["kind"] not in {"ReplicaSet", "Job"}:
            return f"{namespace_of(pod)}/{owner['kind']}/{owner['name']}"
        resource = "replicasets.apps" if owner["kind"] == "ReplicaSet" else "jobs.batch"
        found = world.cluster.store.get(resource, namespace_of(pod), owner["name"])
        if found is None:
            name = str(owner["name"]).rpartition("-")[0] or str(owner["name"])
            return f"{namespace_of(pod)}/{'Deployment' if resource.startswith('r') else 'CronJob'}/{name}"
        obj = {**found, "kind": owner["kind"]}
    return f"{namespace_of(obj)}/{obj.get('kind', 'Pod')}/{name_of(obj)}"


__all__ = [
    "BOUNDS_US",
    "LOOK_MS",
    "MINUTE_MS",
    "Crew",
    "Flow",
    "Minute",
    "Observer",
    "State",
    "alerts_now",
    "owner_of",
    "trouble_of",
]
