"""Watching an application: what programs, stores, queues, proxies and a collector tell of each tick."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firedrill.world.sim.handlers import handler
from firedrill.world.telemetry.monitoring import Monitoring
from firedrill.world.telemetry.producers import heaps, mesh, programs, queues, spanmetrics
from firedrill.world.telemetry.producers.appstate import AppMetering
from firedrill.world.telemetry.producers.state import Metering

if TYPE_CHECKING:
    from firedrill.world.world import World


def watch_application(world: World) -> None:
    """Let the application of a watched world be watched too, from the next tick on.

    Raises:
        ValueError: the world has no traffic, or its application is watched already.
    """
    from firedrill.world.app.traffic import Traffic, call_after_ticks

    part = world.cluster.part(Traffic)
    if part.graph is None:
        raise ValueError("the world has no traffic")
    if "telemetry.requests" in part.followers:
        raise ValueError("the application is watched already")
    store = world.cluster.part(Monitoring).store
    world.cluster.part(AppMetering)
    spanmetrics.begin(world, store)
    programs.describe(store)
    queues.begin(world, store, part.graph)
    mesh.begin(world, store)
    call_after_ticks(world, "telemetry.requests")


@handler("telemetry.requests")
def _after_tick(world: World) -> None:
    from firedrill.world.app.requests import WorldRequests
    from firedrill.world.app.traffic import Traffic, placed, record_of, rows_of

    traffic = world.cluster.part(Traffic)
    graph, state = traffic.graph, traffic.after
    if graph is None or state is None:
        return
    names = WorldRequests(world).names
    inputs, rows = record_of(world, -1).inputs, rows_of(world, -1)
    topology = inputs.topology
    kinds = spanmetrics.kinds_of(names, tuple(graph.edge_service.tolist()))
    pods = placed(world)
    needs = world.cluster.part(Metering).needs
    if needs("programs") or needs("queues"):
        programs.update_targets(world, names, topology, pods)
    if needs("spans"):
        spanmetrics.update(world, names, kinds, topology, rows)
    if needs("programs"):
        programs.update(world, names, topology, rows, state, inputs.length)
        programs.update_requests(world, names, graph, topology, rows)
        heaps.update_collections(world, names, topology, inputs.length)
    if needs("queues"):
        queues.update(world, names, graph, topology, rows, state)
        queues.forget(world.cluster.part(AppMetering))
    if needs("mesh"):
        mesh.update(world, names, graph, topology, rows, pods)


__all__ = ["watch_application"]
