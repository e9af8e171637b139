"""Where what a world tells comes together: its requests, as programs write about them in their logs.

The traffic knows no logs, and logs know no traffic: here they meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from firedrill.world.kube.kubelet import history, lines

if TYPE_CHECKING:
    from firedrill.world.app.graph import Graph
    from firedrill.world.telemetry.traces import Names, Pod, Requests, Tick
    from firedrill.world.world import World


class Told:
    """The requests of a world, with the variables that the programs had when they made them.

    Args:
        world: whose traffic has been started.
        inner: its requests.
        graph: of its application.
    """

    def __init__(self, world: World, inner: Requests, graph: Graph) -> None:
        self._runs = history.runs(world)
        self._inner = inner
        self.names = _addressed(inner.names, graph)
        self.seed = inner.seed

    @property
    def until(self) -> int:
        """See `Requests`."""
        return self._inner.until

    def ticks(self, start: int, end: int) -> range:
        """See `Requests`."""
        return self._inner.ticks(start, end)

    def tick(self, number: int) -> Tick:
        """See `Requests`."""
        found = self._inner.tick(number)
        return found._replace(pods=[self._with_env(pod) for pod in found.pods])

    def _with_env(self, pod: Pod) -> Pod:
        record = self._runs.records.get((pod.uid, pod.container, pod.attempt))
        return pod._replace(env=record.run.env) if record is not None else pod


@lru_cache(maxsize=64)
def _addressed(names: Names, graph: Graph) -> Names:
    """The names with the variables that say where calls go."""
    pairs = zip(names.calls, graph.edge_call, strict=True)
    return replace(names, calls=tuple(replace(call, address=made.address) for call, made in pairs))


def requests_of(world: World) -> Told | None:
    """The requests of a world; None where no application is used by anybody."""
    from firedrill.world.app.requests import WorldRequests
    from firedrill.world.app.traffic import Traffic

    graph = world.cluster.part(Traffic).graph
    return Told(world, WorldRequests(world), graph) if graph is not None else None


def begin(world: World) -> None:
    """Take down what an application's requests are called, before anything is changed in the cluster."""
    requests_of(world)
    listen()


def _speak(world: World, record: history.Record, start: int, end: int) -> Sequence[lines.Line]:
    """The lines of a container about its requests; see `lines.Speaker`."""
    scratch = history.runs(world).scratch
    made = scratch.get("requests")
    if made is None:
        requests = requests_of(world)
        if requests is None:
            return ()
        from firedrill.world.telemetry.logs.requests import RequestLines

        made = scratch["requests"] = RequestLines(requests)
    out: Sequence[lines.Line] = made.lines(record.uid, record.container, record.run.attempt, start, end)
    return out


def _carry(world: World, record: history.Record, start: int, end: int) -> Sequence[lines.Line]:
    """What the proxy of a node writes about connections; see `lines.Speaker`."""
    if record.run.plan.style != "ztunnel":
        return ()
    requests = requests_of(world)
    if requests is None or not _noted(world, requests.ticks(start // lines.MS, -(-end // lines.MS))):
        return ()
    from firedrill.world.telemetry.logs.proxies import ended

    return ended(requests, record.node, start, end)


def _noted(world: World, ticks: range) -> bool:
    """Whether anything was the matter with connections; known before requests are made again."""
    from firedrill.world.app import traffic

    return any(traffic.record_of(world, number).inputs.topology.notes for number in ticks)


def _murmur(_: World, record: history.Record, start: int, end: int) -> Sequence[lines.Line]:
    """What a program writes by itself; see `lines.Speaker`."""
    from firedrill.world.telemetry.logs.background import background

    run = record.run
    key = f"{record.uid}/{record.container}"
    return background(run.plan.style, key, run.started * lines.MS, start, end, record.node)


def listen() -> None:
    """Let whoever reads logs in this process see what programs write about requests and by themselves."""
    from firedrill.world.life import noise

    noise.listen()
    lines.on_lines("requests", _speak)
    lines.on_lines("connections", _carry)
    lines.on_lines("background", _murmur)
