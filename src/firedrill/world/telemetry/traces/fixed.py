"""Requests that are written down, for programs that have some and for whoever tries things out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from firedrill.world.telemetry.traces.requests import Ints, Names, Pod, Tick

_COLUMNS = (
    "parent", "root", "edge", "op", "source", "pod", "start", "duration", "kind", "arrived",
    "server_start", "server_duration", "server_kind",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Rows; see `requests.Rows`."""

    parent: Ints
    root: Ints
    edge: Ints
    op: Ints
    source: Ints
    pod: Ints
    start: Ints
    duration: Ints
    kind: Ints
    arrived: Ints
    server_start: Ints
    server_duration: Ints
    server_kind: Ints
    weight: int = 1


def table(rows: Sequence[Mapping[str, int]]) -> Table:
    """Rows from mappings of column to number; what is left out is 0."""
    made: dict[str, Any] = {name: np.array([row.get(name, 0) for row in rows], np.int64) for name in _COLUMNS}
    made["arrived"] = made["arrived"].astype(np.bool_)
    return Table(**made)


class Fixed:
    """A source of requests that holds them.

    Args:
        names: what the numbers in rows mean.
        start: of the first tick, in ms since the Unix epoch.
        length: of each, in ms.
        tables: one for each tick.
        pods: what `source` and `pod` mean.
        seed: of ids.
    """

    def __init__(
        self,
        names: Names,
        start: int,
        length: int,
        tables: Sequence[Table],
        pods: Sequence[Pod],
        seed: int = 0,
    ) -> None:
        self.names = names
        self.seed = seed
        self._start, self._length = start, length
        self.until = start + length * len(tables)
        self._tables, self._pods = tuple(tables), tuple(pods)

    def ticks(self, start: int, end: int) -> range:
        """See `Requests`."""
        count = len(self._tables)
        first = min(max((start - self._start) // self._length, 0), count)
        return range(first, max(min(-((self._start - end) // self._length), count), first))

    def tick(self, number: int) -> Tick:
        """See `Requests`."""
        begin = self._start + number * self._length
        return Tick(number, begin, self._length, self._tables[number], self._pods)
