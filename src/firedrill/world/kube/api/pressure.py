"""How busy the API server is with those who ask it again and again, and what all its clients feel of that.

A list of all pods costs processor time in proportion to their number. Where the processors of the node are
used up, requests wait: at most as many are worked on as `--max-requests-inflight` and its sibling allow (600
together), and priority and fairness turns the rest away with 429. Source: the options of kube-apiserver.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self

from firedrill.world.kube import quantity
from firedrill.world.kube.objects import dig
from firedrill.world.sim.handlers import handler

if TYPE_CHECKING:
    from firedrill.world.world import World

_STEP = 5_000
_IN_FLIGHT = 600
_IDLE = 0.03
_LIST_MS, _POD_MS = 1.0, 0.15
_FULL = 0.98
_CALLS = 4
"""Requests that a controller makes one after another to bring one object about."""


class Pressure:
    """What is asked of the API server besides its usual work.

    Attributes:
        rate: requests per second.
        cost: processor time of one, in ms.
        wait: ms that every request waits on top of its own time.
        use: of its processors, 0 to 1 and above.
    """

    __slots__ = ("cost", "on", "rate", "use", "wait")

    def __init__(self) -> None:
        self.rate, self.cost, self.wait, self.use, self.on = 0, 0.0, 0.0, _IDLE, False

    def fork(self) -> Self:
        """An independent copy."""
        twin = type(self)()
        twin.rate, twin.cost, twin.wait = self.rate, self.cost, self.wait
        twin.use, twin.on = self.use, self.on
        return twin

    def state(self) -> object:
        """All of it as plain data."""
        return [self.rate, self.cost, self.wait, self.on]


def begin(world: World) -> None:
    """A program has started that asks again and again: look from now on how many do."""
    part = world.cluster.part(Pressure)
    if not part.on:
        part.on = True
        world.schedule(_STEP, "api.pressure")


def delay(world: World) -> int:
    """ms by which whoever works through the API is later than usual."""
    return int(world.cluster.part(Pressure).wait * _CALLS)


@handler("api.pressure")
def _look(world: World) -> None:
    from firedrill.world.kube.kubelet.state import kubelets

    part = world.cluster.part(Pressure)
    part.rate = sum(
        found.run.plan.asks
        for state in kubelets(world).pods.values()
        for found in state.containers.values()
        if found.run is not None and found.run.running and found.run.plan.asks
    )
    part.cost = _LIST_MS + _POD_MS * len(world.cluster.store.list("pods"))
    cores = _cores(world)
    part.use = _IDLE + part.rate * part.cost / 1000.0 / cores
    part.wait = _waiting(part.use, part.cost, cores) if part.rate else 0.0
    part.on = bool(part.rate)
    _burden(world, part, cores)
    if part.on:
        world.schedule(_STEP, "api.pressure")


def _waiting(use: float, cost: float, cores: float) -> float:
    """ms in the queue of several processors (Sakasegawa's formula); bounded by what may be in flight."""
    most = _IN_FLIGHT * cost / cores
    if use >= _FULL:
        return most
    return min(cost * math.pow(use, math.sqrt(2 * (cores + 1))) / (cores * (1 - use)), most)


def _server(world: World) -> tuple[str, str] | None:
    for pod in world.cluster.store.pods_labelled("kube-system", "component", "kube-apiserver"):
        return str(pod["metadata"]["name"]), str(dig(pod, "spec", "nodeName", default=""))
    return None


def _cores(world: World) -> float:
    found = _server(world)
    node = world.cluster.store.get("nodes", "", found[1]) if found is not None else None
    text = dig(node, "status", "capacity", "cpu")
    return quantity.milli(str(text)) / 1000.0 if text else 4.0


def _burden(world: World, part: Pressure, cores: float) -> None:
    """Let the processor time be seen where it is used."""
    from firedrill.world.kube.kubelet import set_load
    from firedrill.world.kube.kubelet.state import find_pod
    from firedrill.world.kube.programs.model import Load

    found = _server(world)
    state = find_pod(world, "kube-system", found[0]) if found is not None else None
    if state is not None and "kube-apiserver" in state.containers:
        used = min(part.rate * part.cost, cores * 1000.0 * _FULL)
        set_load(world, state.uid, "kube-apiserver", Load(cpu=int(used)))
