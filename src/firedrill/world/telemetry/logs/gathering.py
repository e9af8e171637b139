"""Lines about the requests of many ticks at once, as columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from firedrill.world.telemetry.logs.bulk import Good, lines_about
from firedrill.world.telemetry.logs.levels import level_of
from firedrill.world.telemetry.logs.wording import Wording
from firedrill.world.telemetry.traces import ids

if TYPE_CHECKING:
    from firedrill.world.telemetry.traces.describe import Describer
    from firedrill.world.telemetry.traces.requests import Ints, Names, Tick

BETWEEN_NS: Final = 13
"""Between two lines about the same request."""
_SERVED, _CALLED, _REFUSED = range(3)
_ROWS = 1 << 24
_LINES = 1 << 12
"""So many lines about a request can be told from each other."""


class Heard(NamedTuple):
    """Rows of a tick, the pods that write about them, and when they do."""

    places: Ints
    rows: Ints
    moments: NDArray[np.int64]

    def take(self, chosen: NDArray[Any]) -> Heard:
        """Some of them."""
        return Heard(self.places[chosen], self.rows[chosen], self.moments[chosen])


class Told(NamedTuple):
    """Lines about the requests of some ticks, by tick, pod and request.

    Attributes:
        turn: the how manyth of the ticks, by line.
        place: index of the pod that wrote it, in its tick.
        at: when, in ns.
        moment: when its request is written about; of several lines about one, that of the first.
        high, low, span: halves of the trace's id, and the id of the callee's span.
        text: without the line end.
        level: of the text, see `level_of`.
    """

    turn: NDArray[np.int64]
    place: NDArray[np.int64]
    at: NDArray[np.int64]
    moment: NDArray[np.int64]
    high: ids.Words
    low: ids.Words
    span: ids.Words
    text: list[str]
    level: list[str]


def words_of(
    names: Names, describer: Describer, seed: int, tick: Tick, heard: Heard
) -> Iterator[tuple[int, int, Wording]]:
    """(operation, outcome for the callee, words) of these rows."""
    rows = heard.rows
    high, low = ids.traces(seed, tick.number, tick.rows.root[rows])
    spans = ids.hexadecimal(ids.spans(seed, tick.number, rows, server=True))
    every = zip(
        heard.places.tolist(),
        rows.tolist(),
        heard.moments.tolist(),
        ids.hexadecimal(high),
        ids.hexadecimal(low),
        spans,
        tick.rows.op[rows].tolist(),
        tick.rows.server_kind[rows].tolist(),
        strict=True,
    )
    for place, row, at, one, two, span, operation, kind in every:
        words = Wording(names, describer, tick, row, place, at, one + two, span)
        yield operation, kind, words


class Gathered:
    """Requests that are written about, tick by tick.

    Args:
        names, describer, seed: of the application.
    """

    def __init__(self, names: Names, describer: Describer, seed: int) -> None:
        self._names, self._describer, self._seed = names, describer, seed
        self._ticks: list[Tick] = []
        self._good: list[tuple[NDArray[Any], ...]] = []
        self._good_order: list[NDArray[np.int64]] = []
        self._order: list[int] = []
        self._columns: list[list[Any]] = [[] for _ in range(7)]
        self._text: list[str] = []

    def begin(self, tick: Tick) -> None:
        """What follows belongs to this tick."""
        self._ticks.append(tick)

    def served(self, heard: Heard) -> None:
        """Requests as those who served them write about them."""
        tick = self._ticks[-1]
        kinds = tick.rows.server_kind[heard.rows]
        order = self._places(_SERVED, len(heard.rows))
        well, ill = np.flatnonzero(kinds == 0), np.flatnonzero(kinds != 0)
        if len(well):
            good = heard.take(well)
            high, low = ids.traces(self._seed, tick.number, tick.rows.root[good.rows])
            span = ids.spans(self._seed, tick.number, good.rows, server=True)
            turn = np.full(len(well), len(self._ticks) - 1, np.int64)
            self._good.append((turn, good.rows, good.places, good.moments, high, low, span))
            self._good_order.append(order[well])
        told = [one.told(server=True) for one in self._words(heard.take(ill))]
        self._put(heard.take(ill), order[ill], told)

    def called(self, heard: Heard) -> None:
        """Calls that failed, as those who made them write about them."""
        told = [one.told(server=False) for one in self._words(heard)]
        self._put(heard, self._places(_CALLED, len(heard.rows)), told)

    def refused(self, heard: Heard) -> None:
        """Requests that were turned away, as whoever did so writes about them."""
        told = [one.refusal() for one in self._words(heard)]
        self._put(heard, self._places(_REFUSED, len(heard.rows)), told, between=0)

    def _words(self, heard: Heard) -> Iterator[Wording]:
        every = words_of(self._names, self._describer, self._seed, self._ticks[-1], heard)
        return (one for _, _, one in every)

    def _places(self, what: int, count: int) -> NDArray[np.int64]:
        """Where lines about requests stand among all."""
        turn = len(self._ticks) - 1
        return (np.arange(count, dtype=np.int64) + (turn * 4 + what) * _ROWS) * _LINES

    def _put(
        self,
        heard: Heard,
        order: NDArray[np.int64],
        told: Sequence[Sequence[str]],
        *,
        between: int = BETWEEN_NS,
    ) -> None:
        if not told:
            return
        tick = self._ticks[-1]
        high, low = ids.traces(self._seed, tick.number, tick.rows.root[heard.rows])
        span = ids.spans(self._seed, tick.number, heard.rows, server=True)
        turn = [len(self._ticks) - 1] * len(told)
        columns = (turn, heard.places, heard.moments, heard.moments, high, low, span)
        every = zip(
            *(column if isinstance(column, list) else column.tolist() for column in columns), strict=True
        )
        for first, values, lines in zip(order.tolist(), every, told, strict=True):
            for number, text in enumerate(lines):
                self._order.append(first + number)
                self._text.append(text)
                for column, value in zip(self._columns, values, strict=True):
                    column.append(value)
                self._columns[2][-1] += number * between

    def told(self) -> Told:
        """All lines."""
        kinds = (np.int64, np.int64, np.int64, np.int64, np.uint64, np.uint64, np.uint64)
        pairs = zip(self._columns, kinds, strict=True)
        made: list[list[NDArray[Any]]] = [[np.array(column, kind)] for column, kind in pairs]
        order = [np.array(self._order, np.int64)]
        texts, levels = self._text, [level_of(text) for text in self._text]
        if self._good:
            turn, row, place, at, high, low, span = map(np.concatenate, zip(*self._good, strict=True))
            first = np.concatenate(self._good_order)
            good = Good(self._ticks, turn, row, place, at, high, low, span)
            for lines in lines_about(self._names, self._describer, good):
                order.append(first[lines.request] + lines.number)
                texts += lines.text
                levels += lines.level
                moved = lines.number * BETWEEN_NS
                here = [column[lines.request] for column in (turn, place, at, at, high, low, span)]
                here[2] = here[2] + moved
                for parts, column in zip(made, here, strict=True):
                    parts.append(column)
        rank = np.argsort(np.concatenate(order), kind="stable")
        turns, writers, at, moments, highs, lows, spans = (np.concatenate(parts)[rank] for parts in made)
        every = rank.tolist()
        told, marked = [texts[index] for index in every], [levels[index] for index in every]
        return Told(turns, writers, at, moments, highs, lows, spans, told, marked)


__all__ = ["BETWEEN_NS", "Gathered", "Heard", "Told", "words_of"]
