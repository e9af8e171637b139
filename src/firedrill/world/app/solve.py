"""One tick of traffic: every request as a row, from what the cluster is and from the state before.

`solve` is pure: the tick, the reader of old traces and the export all call it and get the same rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from firedrill.world.app import rows as kinds
from firedrill.world.app.expand import Asked, expand
from firedrill.world.app.fluid import Fluid, solve_fluid
from firedrill.world.app.graph import Graph
from firedrill.world.app.rows import Rows
from firedrill.world.app.setting import Setting, setting_of
from firedrill.world.app.state import Inputs, State
from firedrill.world.app.table import Draws, Table

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_MOST_ROOTS = 600
_MOST_FLIGHT = 1e6
_MOST_LAG = 1e9
_FORGOTTEN = 60_000_000
"""µs after which requests of callers that gave up are ended."""


def solve(graph: Graph, state: State, inputs: Inputs, seed: int, tick: int) -> tuple[Rows, State]:
    """The requests of one tick and the state after it.

    Args:
        graph: of the application.
        state: after the tick before.
        inputs: what the cluster is like now.
        seed: of the world's traffic.
        tick: number of the tick; draws depend on nothing but this and the seed.
    """
    setting = setting_of(graph, inputs.topology, inputs.effects)
    fluid = solve_fluid(graph, state, inputs, setting)
    draws = Draws(seed, tick)
    roots, weight = _roots(graph, fluid, inputs, setting, draws)
    table = Table(graph, state, inputs, setting, fluid, draws)
    expand(table, roots)
    rows = table.finish(weight)
    draws.done()
    return rows, _after(graph, state, inputs, fluid, rows, table)


def _roots(graph: Graph, fluid: Fluid, inputs: Inputs, setting: Setting, draws: Draws) -> tuple[Asked, int]:
    """(edge, source pod, start) of what users ask for, and how many requests each row is."""
    pods = inputs.topology.load_pods
    expected = fluid.rate * inputs.length / 1000.0 if len(pods) else 0.0
    weight = max(int(-(-expected // _MOST_ROOTS)), 1)
    count = int(draws.generator.poisson(expected / weight))
    drawn = draws.uniform(3, count)
    start = np.sort((drawn[0] * (inputs.length * 1000)).astype(np.int64))
    edge = np.minimum(setting.mix_up_to.searchsorted(drawn[1], side="right"), graph.entries - 1)
    source = pods[(drawn[2] * len(pods)).astype(np.int64)] if count else np.zeros(0, np.int64)
    asked = Asked(edge, source, start)
    if graph.app.queues:
        pods_of = setting.consumers.of
        asked = _with_messages(graph.entries, fluid.consumed, pods_of, inputs.length, draws, asked, weight)
    return asked, weight


def _with_messages(
    entries: int,
    consumed: Floats,
    pods_of: tuple[Ints, ...],
    length: int,
    draws: Draws,
    asked: Asked,
    weight: int,
) -> Asked:
    """What users ask for, and the messages that consumers take out of queues."""
    parts = [asked]
    for number, messages in enumerate(consumed.tolist()):
        count = int(messages) // weight
        pods = pods_of[number]
        drawn = draws.uniform(2, count)
        if count and len(pods):
            start = np.sort((drawn[0] * (length * 1000)).astype(np.int64))
            source = pods[(drawn[1] * len(pods)).astype(np.int64)]
            parts.append(Asked(np.full(count, entries + number, np.int64), source, start))
    if len(parts) == 1:
        return asked
    return Asked(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _in_flight(state: State, inputs: Inputs, pod: Ints, lasted: Ints, count: Ints, weight: int) -> Floats:
    """Requests in each pod: arrivals times duration in the long run (Little), reached only as they come."""
    length = inputs.length * 1000.0
    whole = np.bincount(pod, np.minimum(lasted, _FORGOTTEN), minlength=len(count))
    step = np.minimum(length / np.maximum(whole / np.maximum(count, 1), length * 0.25), 1.0)
    step = np.where(count > 0, step, 0.5)
    found: Floats = state.in_flight + (whole * weight / length - state.in_flight) * step
    return np.minimum(found, _MOST_FLIGHT)


def _lag(graph: Graph, state: State, inputs: Inputs, fluid: Fluid, rows: Rows) -> Floats:
    """Messages that wait for each consumer after the tick."""
    if not graph.app.queues:
        return state.lag
    sent = graph.edge_publishes[rows.edge]
    here = np.flatnonzero((sent >= 0) & (rows.kind == kinds.OK))
    factor = inputs.effects.messages[rows.edge[here]] * rows.weight
    published = np.bincount(sent[here], factor, minlength=len(graph.app.queues))
    gone = np.floor(fluid.consumed / rows.weight) * rows.weight
    share = graph.edge_probability[graph.entries : graph.roots]
    lag: Floats = np.maximum(state.lag - gone, 0.0) + published[graph.consumer_queue] * share
    return np.minimum(lag, _MOST_LAG)


def _after(graph: Graph, state: State, inputs: Inputs, fluid: Fluid, rows: Rows, table: Table) -> State:
    topology, effects = inputs.topology, inputs.effects
    pods, edges, length = len(topology.pods), len(graph.edge_call), inputs.length
    here, lasted, waited = rows.pod, rows.server_duration, rows.waited
    if np.count_nonzero(rows.arrived) < len(rows):
        here, lasted, waited = here[rows.arrived], lasted[rows.arrived], waited[rows.arrived]
    count = np.bincount(here, minlength=pods)
    held = np.bincount(here, lasted - waited, minlength=pods)
    holding = np.where(count > 0, (state.holding + held / np.maximum(count, 1)) * 0.5, state.holding)
    holding = np.where(state.holding > 0, holding, holding * 2.0)
    in_flight = _in_flight(state, inputs, here, lasted, count, rows.weight)
    by_edge = np.bincount(rows.edge, minlength=edges)
    some, least = by_edge > 0, np.maximum(by_edge, 1)
    whole = np.bincount(rows.edge, rows.duration, minlength=edges) / least
    fine = by_edge
    if np.count_nonzero(rows.kind):
        fine = np.bincount(rows.edge[rows.kind == kinds.OK], minlength=edges)
    good = np.where(some, fine / least, state.good)
    lasting = np.where(some, (state.lasting + whole) * 0.5, state.lasting)
    first = rows.parent < 0
    answered = rows.duration[first & (rows.attempt == 0) & (rows.edge < graph.entries)]
    response = (state.response + float(answered.mean())) * 0.5 if len(answered) else state.response
    step = np.minimum(length / table.setting.warming, 1.0)
    leaked = state.leaked + effects.pod_leak * (length / 1000.0)
    attempts, made = table.behaviour(state, rows, by_edge)
    waiting = fluid.backlog * fluid.pace
    return State(
        backlog=fluid.backlog,
        holding=holding,
        served=fluid.served,
        warmth=state.warmth + (1.0 - state.warmth) * step,
        leaked=leaked,
        attempts=attempts,
        made=made,
        good=good,
        lasting=lasting,
        lag=_lag(graph, state, inputs, fluid, rows),
        waiting=waiting[:pods] + waiting[pods : 2 * pods],
        response=response,
        cpu=fluid.cpu,
        throttled=fluid.throttled,
        in_flight=in_flight,
        memory=topology.base + topology.request * in_flight + leaked + effects.pod_ballast,
    )
