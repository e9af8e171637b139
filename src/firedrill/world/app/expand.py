"""From the requests of users to all that they cause: down the graph level by level, and back up with answers.

Nothing that is drawn on the way down depends on how calls end, so failures only take away: calls behind a
failed one are struck out at the end, and further attempts are grown like requests of their own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from firedrill.world.app import rows as kinds
from firedrill.world.app.batch import Batch, Service, service_times
from firedrill.world.app.graph import Graph
from firedrill.world.app.table import Table

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
_CONNECT = 20_000_000
_FAIL_TIME = np.zeros(len(kinds.KINDS), np.int64)
_FAIL_TIME[[kinds.NO_DNS, kinds.REFUSED, kinds.RESET, kinds.AUTH]] = (4000, 900, 1500, 1200)
_FAIL_TIME[[kinds.PROTOCOL, kinds.OVERLOAD, kinds.ABORTED]] = (1100, 800, 600)
_FAIL_TIME[[kinds.DENIED, kinds.NOT_FOUND, kinds.NO_BACKEND]] = (700, 900, 600)
_FAIL_TIME[[kinds.DROPPED, kinds.DNS_TIMEOUT]] = (_CONNECT, 10_000_000)
"""µs until a caller without patience of its own sees that outcome."""
_FINAL = np.zeros(len(kinds.KINDS), np.bool_)
_FINAL[[kinds.OK, kinds.AUTH, kinds.PROTOCOL, kinds.DENIED, kinds.NOT_FOUND, kinds.NO_BACKEND]] = True
_FINAL[kinds.UNREADABLE] = True
"""Outcomes after which nobody tries again."""


class Asked(NamedTuple):
    """Calls to be made: their edges, the pods that make them, and the root's time in µs."""

    edge: Ints
    source: Ints
    at: Ints


class Answers(NamedTuple):
    """What the callers got: how long it took in µs, and the outcome."""

    duration: Ints
    kind: Ints


def expand(
    table: Table, asked: Asked, *, twin: Ints | None = None, depth: int = 0, attempt: int = 0
) -> Answers:
    """Make rows for these calls and for all that follow from them.

    Args:
        table: takes the rows.
        asked: the calls.
        twin: for further attempts: the row of the first attempt of each.
        depth: of these calls below the users'.
        attempt: number of the attempt.
    """
    batch = _down(table, asked, depth)
    batch.attempt, batch.twin = attempt, twin
    table.take(batch)
    answers = _up(table, batch, service_times(table, batch), depth)
    table.store(batch)
    return answers


def _down(table: Table, asked: Asked, depth: int) -> Batch:
    graph = table.graph
    batch = Batch(table.size)
    edge, source, at = asked
    parent = np.full(len(edge), -1, np.int64)
    stage = np.zeros(len(edge), np.int64)
    while len(edge):
        low = batch.size
        pod, code = table.place(edge, source)
        batch.add(parent, edge, stage, source, pod, code, at)
        depth += 1
        here = (code == kinds.OK).nonzero()[0]
        op = graph.edge_target[edge[here]]
        count = graph.slot_count[op]
        ends = count.cumsum()
        if depth >= graph.depth or not len(ends) or not ends[-1]:
            break
        above = np.arange(len(here)).repeat(count)
        # the first slot of the operation, and how far behind the first call of the request this one is
        slot = (graph.slot_start[op] - ends + count).repeat(count)
        slot += np.arange(len(slot))
        edge, stage = graph.slot_edge[slot], graph.slot_stage[slot]
        row = here[above]
        source = pod[row]
        parent = row + low
        at = at[row]
        if table.setting.thinned:
            kept = table.calls_made(edge, source, parent)
            edge, stage, source, parent, at = (item[kept] for item in (edge, stage, source, parent, at))
    batch.join(graph)
    return batch


def _up(table: Table, batch: Batch, service: Service, depth: int) -> Answers:
    """Fill in durations and outcomes from the last level to the first; the answers are those of the first."""
    graph = table.graph
    total, kind = np.zeros(0, np.int64), np.zeros(0, np.int64)
    patience = table.setting.patience[batch.edge]
    for number in range(len(batch.ranges) - 1, -1, -1):
        low, high = batch.ranges[number]
        here = slice(low, high)
        took = service.busy[here] + batch.inner[here]
        code, failed, answer = batch.code[here], batch.server_kind[here], batch.answer[here]
        good = not (np.count_nonzero(code) or np.count_nonzero(failed) or np.count_nonzero(answer))
        if good:  # nothing has gone wrong so far: all that was asked for arrived, and was answered
            kind, total = batch.kind[here], service.net[here] + took
        else:
            arrived = batch.arrived[here]
            kind = np.where(arrived, np.where(failed == kinds.OK, answer, kinds.FAILED), code)
            total = np.where(arrived, service.net[here] + took, _FAIL_TIME[code])
            took = np.where(arrived, took, 0)
        if service.pool is not None:
            total = total + service.pool[here]
        late = total > patience[here]
        if np.count_nonzero(late):
            total = np.where(late, patience[here], total)
            kind = np.where(late & (batch.arrived[here] | (kind == kinds.OK)), kinds.TIMEOUT, kind)
            good = False
        batch.server_duration[here], batch.duration[here] = took, total
        if not good:
            batch.kind[here] = kind
            again = ~_FINAL[kind] & (graph.edge_retries[batch.edge[here]] > 0)
            if batch.attempt == 0 or number:
                total, kind = _retry(table, batch, number, again, Answers(total, kind), depth + number)
        if number:
            _combine(graph, batch, number, Answers(total, kind))
    return Answers(total, kind)


def _retry(table: Table, batch: Batch, number: int, again: Bools, answers: Answers, depth: int) -> Answers:
    """Further attempts of the calls of one level that failed."""
    graph = table.graph
    low, high = batch.ranges[number]
    total, kind = answers
    for attempt in range(1, graph.most_retries + 1):
        if not again.any():
            break
        rows = np.flatnonzero(again)
        edge, source = batch.edge[low:high][rows], batch.source[low:high][rows]
        pause = graph.edge_backoff[edge] * (1 << (attempt - 1))
        pause = pause // 2 + (pause * table.draws.uniform(1, len(rows))[0]).astype(np.int64)
        total, kind = total.copy(), kind.copy()
        total[rows] += pause
        table.elapsed(total[rows])
        asked = Asked(edge, source, batch.at[low:high][rows])
        later = expand(table, asked, twin=batch.base + low + rows, depth=depth, attempt=attempt)
        total[rows] += later.duration
        kind[rows] = later.kind
        again = ~_FINAL[kind] & (graph.edge_retries[batch.edge[low:high]] > attempt)
    return Answers(total, kind)


def _combine(graph: Graph, batch: Batch, number: int, answers: Answers) -> None:
    """Put the answers of one level into the requests above: step after step, the calls of one at once."""
    low, high = batch.ranges[number]
    first, last = batch.ranges[number - 1]
    parents, stages = last - first, graph.stages
    key = (batch.parent[low:high] - first) * stages + batch.stage[low:high]
    steps = np.zeros(parents * stages, np.int64)
    if graph.parallel:
        np.maximum.at(steps, key, answers.duration)
    else:
        steps[key] = answers.duration
    bad = None
    if np.count_nonzero(answers.kind):
        bad = (answers.kind != kinds.OK) & graph.edge_critical[batch.edge[low:high]]
    if bad is not None and bad.any():
        failed = np.zeros(parents * stages, np.bool_)
        failed[key[bad]] = True
        over = np.logical_or.accumulate(failed.reshape(parents, stages), axis=1)
        behind = np.zeros((parents, stages), np.bool_)
        behind[:, 1:] = over[:, :-1]
        struck = behind.ravel()
        steps[struck] = 0
        batch.made[low:high] = ~struck[key]
        batch.struck = True
        above = batch.server_kind[first:last]
        batch.server_kind[first:last] = np.where(over[:, -1], kinds.UPSTREAM, above)
    ends = steps.reshape(parents, stages).cumsum(axis=1)
    batch.inner[first:last] = ends[:, -1]
    batch.begin[low:high] = (ends.ravel() - steps)[key]
