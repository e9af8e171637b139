"""All rows of a tick while they are made, and what they are drawn from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from firedrill.world.app import rows as kinds
from firedrill.world.app.batch import Batch
from firedrill.world.app.fluid import Fluid
from firedrill.world.app.graph import Graph
from firedrill.world.app.rows import Rows
from firedrill.world.app.rules import Rule, crowded
from firedrill.world.app.setting import Setting
from firedrill.world.app.state import Inputs, State, hits
from firedrill.world.app.tables import draw

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_GOLDEN = 0.6180339887498949
_COLUMNS = (
    *("edge", "op", "source", "pod", "duration", "kind", "arrived"),
    *("server_duration", "server_kind", "waited", "cpu"),
)


_SPARE: list[np.random.Generator] = []
"""Generators that nobody draws from: to set one takes a quarter of the time that making one takes."""
_UNDRAWN = np.zeros(4, np.uint64)


class Draws:
    """The draws of one tick: one stream, by seed and number of the tick."""

    __slots__ = ("generator",)

    def __init__(self, seed: int, tick: int) -> None:
        try:
            generator = _SPARE.pop()
        except IndexError:
            generator = np.random.Generator(np.random.Philox(key=0))
        place = {"counter": np.array([0, 0, 0, tick], np.uint64), "key": np.array([seed, 0], np.uint64)}
        generator.bit_generator.state = {
            "bit_generator": "Philox",
            "state": place,
            "buffer": _UNDRAWN,
            "buffer_pos": 4,
            "has_uint32": 0,
            "uinteger": 0,
        }
        self.generator = generator

    def done(self) -> None:
        """Nothing more will be drawn: somebody else may have the generator."""
        _SPARE.append(self.generator)
        del self.generator

    def uniform(self, rows: int, count: int) -> Floats:
        """Uniform draws in [0, 1), `rows` times `count`."""
        return self.generator.random((rows, count))


class Table:
    """Collects batches; knows probabilities and factors of this tick. Times in µs.

    Attributes:
        setting: what is the same in all ticks of such a cluster.
        size: rows so far.
        quota: processor time of each pod in one period, where some have less than a whole processor.
        rules: that act on what arrives; those about bandwidth as what they come to in this tick.
    """

    def __init__(
        self, graph: Graph, state: State, inputs: Inputs, setting: Setting, fluid: Fluid, draws: Draws
    ) -> None:
        pods = len(inputs.topology.pods)
        self.graph, self.inputs, self.setting, self.draws = graph, inputs, setting, draws
        self.size = 0
        self._batches: list[Batch] = []
        self._elapsed = np.zeros(0, np.int64)
        small = fluid.cores < 1.0
        self.quota = np.where(small, fluid.cores * 100_000.0, 1e12) if np.count_nonzero(small) else None
        self._hits: Floats | None = None
        self._warm: Floats | None = None
        if setting.cached:
            self._hits, self._warm = hits(graph, state), state.warmth * setting.pod_caching
        self._share, self._mean = fluid.wait_share, fluid.wait_mean
        late = np.count_nonzero(fluid.late_share)
        self._late = (fluid.late_share, fluid.late_mean) if late else None
        self._piled = bool(np.count_nonzero(fluid.backlog_before) or np.count_nonzero(fluid.backlog))
        if self._piled:
            self._before = fluid.backlog_before * fluid.pace
            self._growth = fluid.backlog * fluid.pace - self._before
        self._length = inputs.length * 1000.0
        self._full: Floats | None = None
        self._no_pool: Floats | None = None
        self._again = False
        self._struck: Ints | None = None
        if np.count_nonzero(fluid.refused):
            full = 1.0 - (1.0 - fluid.refused[:pods]) * (1.0 - fluid.refused[pods : 2 * pods])
            self._full = full if full.any() else None
            self._no_pool = fluid.refused if fluid.refused[2 * pods :].any() else None
        self.rules = _resolved(graph, inputs, fluid) if setting.acts else ()

    def place(self, edge: Ints, source: Ints) -> tuple[Ints, Ints]:
        """(pod, outcome so far) of calls: which endpoint each one gets, and whether it is let in."""
        reach, setting = self.inputs.topology.reach, self.setting
        drawn = self.draws.uniform(2, len(edge))
        key = source * len(self.graph.edge_call) + edge
        found = reach.start[key] + (drawn[0] * reach.count[key]).astype(np.int64)
        pod, code = reach.target[found], reach.code[found]
        if setting.codes is not None:
            code = np.where(setting.codes[edge] > 0, setting.codes[edge], code)
        if setting.dead is not None:
            lost = ((pod >= 0) & setting.dead[pod]) | (setting.dead[source] & (source >= 0))
            code = np.where(lost & (code == kinds.OK), kinds.DROPPED, code)
        if self._no_pool is not None:
            station = self.inputs.topology.pool_station[key]
            none = (station >= 0) & (drawn[1] < self._no_pool[station]) & (code == kinds.OK)
            code = np.where(none, kinds.POOL, code)
        for chances, outcome in ((self._full, kinds.OVERLOAD), (setting.aborts, kinds.ABORTED)):
            if chances is not None:
                stopped = (drawn[1] < chances[pod]) & (code == kinds.OK)
                code = np.where(stopped, outcome, code)
        for rule in setting.stops:
            again = self.draws.uniform(1, len(edge))[0] if rule.share < 1.0 else drawn[1]
            hit = rule.hits(edge, source, pod, again)
            if rule.what == "name":
                pod, code = np.where(hit, -1, pod), np.where(hit, int(rule.value), code)
            else:
                code = np.where(hit & (code == kinds.OK), int(rule.value), code)
        return pod, code

    def calls_made(self, edge: Ints, source: Ints, parent: Ints) -> Ints:
        """Indexes of those calls that are made at all: by probability, and where no cache answers."""
        chance = self.graph.edge_probability[edge]
        if self._hits is not None and self._warm is not None:
            chance = chance * (1.0 - self._hits[edge] * self._warm[source])
        # One draw for each request, turned by the edge: all times of one call go together.
        first = int(parent[0]) if len(parent) else 0
        each = self.draws.uniform(1, (int(parent[-1]) - first + 1) if len(parent) else 0)[0]
        turned = each[parent - first] + edge * _GOLDEN
        kept: Ints = (turned - np.floor(turned) < chance).nonzero()[0]
        return kept

    def waits(self, station: Ints, drawn: Floats, at: Ints) -> Floats:
        """How long requests wait at their stations, by uniform draws and the roots' times."""
        share = self._share[station]
        out = np.zeros(len(station))
        rows = (drawn < share).nonzero()[0]
        if len(rows):
            out[rows] = draw.exponential(drawn[rows] / share[rows]) * self._mean[station[rows]]
        if self._piled:
            out += self._before[station] + self._growth[station] * (at / self._length)
        return out

    def late(self, pod: Ints) -> Floats | None:
        """How long requests wait for the next quota of their pods; None where none has to."""
        if self._late is None:
            return None
        share, mean = self._late[0][pod], self._late[1]
        drawn = self.draws.uniform(1, len(pod))[0]
        out = np.zeros(len(pod))
        rows = np.flatnonzero(drawn < share)
        if len(rows):
            out[rows] = draw.exponential(drawn[rows] / share[rows]) * mean[pod[rows]]
        return out

    def take(self, batch: Batch) -> None:
        """Give a batch its place: further attempts within it come behind."""
        self.size += batch.size
        batch.elapsed = self._elapsed

    def elapsed(self, after: Ints) -> None:
        """How long after the start of the first attempt the next batch begins."""
        self._elapsed = after

    def store(self, batch: Batch) -> None:
        """The batch is complete."""
        self._batches.append(batch)

    def finish(self, weight: int) -> Rows:
        """All rows with their moments, without those that were never made."""
        batches = self._batches
        if len(batches) > 1:
            batches = sorted(batches, key=lambda item: item.base)
        one = batches[0] if len(batches) == 1 else None
        columns = {
            name: getattr(one, name)
            if one is not None
            else np.concatenate([getattr(item, name) for item in batches])
            for name in _COLUMNS
        }
        self._again = one is None
        attempt = np.zeros(self.size, np.int64)
        for item in batches:
            if item.attempt:
                attempt[item.base : item.base + item.size] = item.attempt
        parent, root, start, server_start, kept = _moments(batches, self.size)
        columns |= {
            "parent": parent,
            "root": root,
            "start": start,
            "server_start": server_start,
            "attempt": attempt,
        }
        arrived = columns["arrived"]
        if np.count_nonzero(arrived) < self.size:
            for name in ("server_start", "server_kind", "waited", "cpu"):
                columns[name] = np.where(arrived, columns[name], 0)
        self._struck = None
        if np.count_nonzero(kept) < self.size:
            gone = ~kept & (attempt == 0)
            self._struck = np.bincount(columns["edge"][gone], minlength=len(self.graph.edge_call))
            moved = kept.cumsum() - 1
            columns = {name: value[kept] for name, value in columns.items()}
            columns["parent"] = np.where(columns["parent"] >= 0, moved[columns["parent"]], -1)
            columns["root"] = moved[columns["root"]]
        return Rows(weight=weight, **columns)

    def behaviour(self, state: State, rows: Rows, every: Ints) -> tuple[Floats, Floats]:
        """(attempts of each call, share of calls that are made) by edge, smoothed.

        Args:
            state: before.
            rows: what `finish` gave.
            every: how many there are by edge.
        """
        first = every
        if self._again:
            first = np.bincount(rows.edge[rows.attempt == 0], minlength=len(every))
        attempts = np.where(first > 0, (state.attempts + every / np.maximum(first, 1)) * 0.5, state.attempts)
        wanted = first if self._struck is None else first + self._struck
        made = np.where(wanted > 0, (state.made + first / np.maximum(wanted, 1)) * 0.5, state.made)
        return attempts, made


def _resolved(graph: Graph, inputs: Inputs, fluid: Fluid) -> tuple[Rule, ...]:
    """The rules about what arrives, those about bandwidth as delays and losses by what is sent now."""
    out = []
    for rule in inputs.effects.rules:
        if rule.what == "rate":
            wait, lost = crowded(rule, _sent(graph, inputs, fluid, rule))
            out.append(rule._replace(what="far", value=wait, more=0.0))
            if lost:
                out.append(rule._replace(what="loss", value=lost, more=0.0))
        elif rule.what not in ("code", "name"):
            out.append(rule)
    return tuple(out)


def _sent(graph: Graph, inputs: Inputs, fluid: Fluid, rule: Rule) -> float:
    """Bytes per second of the calls, or the answers, that a rule is about."""
    topology = inputs.topology
    edge, pod = topology.flow_edge, topology.flow_pod
    calls = fluid.edges[edge] * topology.flow_weight
    if rule.pod is not None:
        calls = calls * rule.pod[pod]
    if rule.source is not None:
        services = len(graph.app.services) + 1
        every = np.bincount(topology.service, minlength=services)
        some = np.bincount(topology.service[rule.source], minlength=services)
        calls = calls * (some / np.maximum(every, 1))[graph.edge_service[edge]]
    return float(calls.sum() * rule.bytes)


def _moments(batches: list[Batch], size: int) -> tuple[Ints, Ints, Ints, Ints, Bools]:
    """(parent, root, start at the caller, start at the callee, made at all) of all rows."""
    parent, root = np.full(size, -1, np.int64), np.arange(size)
    start, server_start, lead = np.zeros(size, np.int64), np.zeros(size, np.int64), np.zeros(size, np.int64)
    kept, whole = np.ones(size, np.bool_), True
    for batch in batches:
        lead[batch.base : batch.base + batch.size] = batch.lead
        for number, (low, high) in enumerate(batch.ranges):
            here = slice(batch.base + low, batch.base + high)
            if number:
                above = batch.parent[low:high] + batch.base
                parent[here], root[here] = above, root[above]
                start[here] = server_start[above] + lead[above] + batch.begin[low:high]
                if batch.struck or not whole:
                    whole = False
                    kept[here] = batch.made[low:high] & kept[above]
            elif batch.twin is not None:
                twin = batch.twin
                parent[here] = parent[twin]
                root[here] = np.where(parent[twin] >= 0, root[twin], root[here])
                start[here] = start[twin] + batch.elapsed
                if not whole:
                    kept[here] = kept[twin]
            else:
                start[here] = batch.at[low:high]
            server_start[here] = start[here] + batch.net[low:high] // 2
    return parent, root, start, server_start, kept
