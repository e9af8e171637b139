"""Samples of a world: counters that producers write into, scraped into dense chunks; and single series.

Rows of the chunks are given out in blocks; a scrape copies what the rows hold now. Each row lives from its
`born` slot up to its `dead` one without gaps, so that what lies in a window is arithmetic. What is not
scraped (results of rules, imports) is kept series by series.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from firedrill.world.telemetry import labels as label_sets
from firedrill.world.telemetry.chunks import Chunk, sealed
from firedrill.world.telemetry.labels import Labels, LabelSets
from firedrill.world.telemetry.loose import Loose
from firedrill.world.telemetry.matching import Matcher
from firedrill.world.telemetry.selection import (
    Selection,
    choose,
    found_labels,
    found_samples,
    matching,
    one_series,
)
from firedrill.world.telemetry.steadiness import Steadiness
from firedrill.world.telemetry.targets import Block, Target

SLOTS = 64
NEVER = 1 << 60
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


_COPIED = (
    *("_sealed", "_targets", "_blocks", "_ids", "_names", "_stamps", "_selections", "_about"),
    *("_labels", "_rows_of", "_plans", "indexes"),
)


class SeriesStore:
    """All series of a world.

    Attributes:
        interval_ms: between two scrapes of a target.
        retention_ms: how long samples are kept at least; they go by the chunk.
        until_ms: all that was due up to this moment has been scraped.
        floor: the first slot that is still kept.
    """

    def __init__(self, *, interval_ms: int = 15_000, retention_ms: int = 36 * 3_600_000) -> None:
        self.interval_ms = interval_ms
        self.retention_ms = retention_ms
        self.until_ms = -1
        self._rows = 0
        self._now: Floats = np.zeros(256)
        self._offset: Ints = np.zeros(256, np.int64)
        self._born: Ints = np.zeros(256, np.int64)
        self._dead: Ints = np.zeros(256, np.int64)
        self._sealed: dict[int, Chunk] = {}
        self._open: Floats = np.zeros((256, SLOTS))
        self._open_index = -1
        self.floor = 0
        self._targets: dict[str, Target] = {}
        self._blocks: dict[int, Block] = {}
        self._next_block = 0
        self._ids: dict[Labels, int] = {}
        self._labels: list[Labels] = []
        self._rows_of: list[tuple[int, ...]] = []
        self._loose: dict[int, Loose] = {}
        self._names: dict[str, tuple[int, ...]] = {}
        self._stamps: dict[str, int] = {}
        self._layout = 0
        self._plans: dict[tuple[int, int], Ints] = {}
        self._selections: dict[Any, tuple[int, tuple[int, tuple[int, ...], LabelSets], Selection]] = {}
        self.indexes: dict[str | None, tuple[int, dict[str, dict[str, list[int]]]]] = {}
        self._about: dict[str, tuple[str, str]] = {}
        self.steadiness = Steadiness()

    # --- producers

    def add_target(
        self, name: str, labels: Mapping[str, str], now_ms: int, *, offset_ms: int | None = None
    ) -> Target:
        """Begin to scrape a target; it has the series `up` from its next scrape on.

        Args:
            name: unique in the store.
            labels: what each of its series carries.
            now_ms: the moment.
            offset_ms: when in the interval it is scraped; by default a function of its name.

        Raises:
            ValueError: there is such a target.
        """
        if name in self._targets:
            raise ValueError(f"target {name} exists")
        if offset_ms is None:
            digest = blake2b(name.encode(), digest_size=8).digest()
            offset_ms = int.from_bytes(digest, "big") % self.interval_ms
        made = label_sets.make(labels)
        self._targets[name] = Target(name, made, offset_ms, True, -1, (), now_ms)
        health = self._hand_out(name, [label_sets.make(made, "up")], now_ms)
        self.values(health)[:] = 1.0
        self._targets[name] = replace(self._targets[name], health=health)
        return self._targets[name]

    def block(self, target: str, series: Iterable[Labels], now_ms: int) -> int:
        """Contiguous rows for a producer, zero at first; they are scraped with the target.

        Args:
            target: whose series these are; its labels are added where a series has none of that name.
            series: labels with the metric's name.
            now_ms: the moment; the next scrape is the first to see them.

        Returns:
            The block's number, for `values`, `restart` and `retire`. It holds for forks as well.

        Raises:
            KeyError: there is no such target.
        """
        owner = self._targets[target]
        common = dict(owner.labels)
        number = self._hand_out(target, [label_sets.make({**common, **dict(one)}) for one in series], now_ms)
        self._targets[target] = replace(owner, blocks=(*owner.blocks, number))
        if not owner.up:
            self._kill(number, now_ms)
        return number

    def values(self, block: int) -> Floats:
        """The current values of a block, to be written. Ask anew each time: views do not outlive changes."""
        rows = self._blocks[block]
        return self._now[rows.start : rows.stop]

    def first_row(self, block: int) -> int:
        """Where the rows of a block begin, until series come or go the next time (`stamp(None)`)."""
        return self._blocks[block].start

    def add(self, rows: Ints, amounts: Floats) -> None:
        """Let the values of rows grow, each of them named once; of any shape."""
        self._now[rows] += amounts

    def put(self, rows: Ints, values: Floats) -> None:
        """Set the values of rows, each of them named once; of any shape."""
        self._now[rows] = values

    def labels_of(self, block: int) -> list[Labels]:
        """The labels of each row of a block."""
        return [self._labels[number] for number in self._blocks[block].series]

    def restart(self, block: int) -> None:
        """Set all counters of a block to zero, as a program that starts anew does."""
        self.values(block)[:] = 0.0

    def retire(self, block: int, now_ms: int) -> None:
        """The producer has gone: its series end, with a marker at the time of the next scrape."""
        self._kill(block, now_ms)
        gone = self._blocks.pop(block)
        owner = self._targets.get(gone.target)
        if owner is not None:
            left = tuple(number for number in owner.blocks if number != block)
            self._targets[gone.target] = replace(owner, blocks=left)

    def remove_target(self, name: str, now_ms: int) -> None:
        """The target is discovered no longer: all its series end."""
        owner = self._targets[name]
        for number in (*owner.blocks, owner.health):
            self.retire(number, now_ms)
        del self._targets[name]

    def set_up(self, name: str, up: bool, now_ms: int) -> None:
        """Whether scrapes of a target succeed from now on; while they fail, only `up` (0) is there."""
        owner = self._targets[name]
        if owner.up is up:
            return
        self._targets[name] = replace(owner, up=up)
        self.values(owner.health)[:] = float(up)
        self.steadiness.note(["up"], now_ms)
        for number in owner.blocks:
            if up:
                self._revive(number, now_ms)
            else:
                self._kill(number, now_ms)

    def describe(self, name: str, kind: str, help_text: str) -> None:
        """Keep what a metric is: its type (`counter`, `gauge`, `histogram`, …) and its help."""
        self._about[name] = (kind, help_text)

    # --- scraping

    def scrape(self, now_ms: int) -> int:
        """Take over the current values of all targets that were due since the last call.

        Returns:
            How many samples were taken.
        """
        if self.until_ms < 0:
            self.until_ms = now_ms - self.interval_ms
        taken = 0
        first, last = self.until_ms // self.interval_ms, now_ms // self.interval_ms
        for slot in range(first, last + 1):
            start = slot * self.interval_ms
            rows = self._due(max(self.until_ms - start, -1), min(now_ms - start, self.interval_ms - 1))
            if not len(rows):
                continue
            index, column = divmod(slot, SLOTS)
            if index != self._open_index:
                self._seal(index)
            if len(rows) == rows[-1] - rows[0] + 1:
                piece = slice(int(rows[0]), int(rows[-1]) + 1)
                self._open[piece, column] = self._now[piece]
            else:
                self._open[rows, column] = self._now[rows]
            taken += len(rows)
        self.until_ms = max(self.until_ms, now_ms)
        return taken

    def _due(self, after: int, up_to: int) -> Ints:
        """Alive rows with an offset in (after, up_to]."""
        key = (after, up_to)
        rows = self._plans.get(key)
        if rows is None:
            count = self._rows
            offset = self._offset[:count]
            rows = np.flatnonzero((self._dead[:count] == NEVER) & (offset > after) & (offset <= up_to))
            if len(self._plans) >= 64:
                self._plans.clear()
            self._plans[key] = rows
        return rows

    def _seal(self, index: int) -> None:
        if self._open_index >= 0:
            # a copy of what is in use only: the open chunk grows by doubling
            begin, count = self._open_index * SLOTS, self._rows
            alive = np.flatnonzero((self._dead[:count] > begin) & (self._born[:count] < begin + SLOTS))
            self._sealed[self._open_index] = sealed(self._open[:count], alive)
        self._open_index = index
        kept = (index * SLOTS * self.interval_ms - self.retention_ms) // (SLOTS * self.interval_ms)
        if any(old < kept for old in self._sealed):
            self._sealed = {old: chunk for old, chunk in self._sealed.items() if old >= kept}
            self.floor = kept * SLOTS
            for series in self._loose.values():
                series.forget(self.floor * self.interval_ms)

    # --- rows

    def _next_slot(self, offset: int, now_ms: int) -> int:
        """The first slot that is still to be scraped at `now_ms`."""
        behind = max(self.until_ms, now_ms - 1)
        return (behind - offset) // self.interval_ms + 1

    def _hand_out(self, target: str, series: Sequence[Labels], now_ms: int) -> int:
        if len(set(series)) != len(series):
            raise ValueError("two series of one block have the same labels")
        numbers = self._register(series)
        number, self._next_block = self._next_block, self._next_block + 1
        self._blocks[number] = self._place(target, numbers, now_ms)
        return number

    def _place(self, target: str, numbers: tuple[int, ...], now_ms: int) -> Block:
        start, stop = self._rows, self._rows + len(numbers)
        self._reserve(stop)
        offset = self._targets[target].offset_ms
        here = slice(start, stop)
        self._now[here] = 0.0
        self._offset[here] = offset
        self._born[here] = self._next_slot(offset, now_ms)
        self._dead[here] = NEVER
        self._rows = stop
        for row, number in enumerate(numbers, start):
            self._rows_of[number] = (*self._rows_of[number], row)
        self.steadiness.moved(self._moved(numbers), now_ms, target)
        return Block(target, start, stop, numbers, True)

    def _reserve(self, rows: int) -> None:
        have = len(self._now)
        if rows <= have:
            return
        size = max(rows, have * 2)
        for name in ("_now", "_offset", "_born", "_dead"):
            old = getattr(self, name)
            new = np.zeros(size, old.dtype)
            new[: self._rows] = old[: self._rows]
            setattr(self, name, new)
        grown = np.zeros((size, SLOTS))
        grown[: self._rows] = self._open[: self._rows]
        self._open = grown

    def _kill(self, block: int, now_ms: int) -> None:
        rows = self._blocks[block]
        if rows.alive and rows.stop > rows.start:
            offset = self._targets[rows.target].offset_ms
            self._dead[rows.start : rows.stop] = self._next_slot(offset, now_ms)
            self.steadiness.moved(self._moved(rows.series), now_ms, rows.target)
        self._blocks[block] = replace(rows, alive=False)

    def _revive(self, block: int, now_ms: int) -> None:
        old = self._blocks[block]
        if not old.alive:
            new = self._place(old.target, old.series, now_ms)
            self._now[new.start : new.stop] = self._now[old.start : old.stop]
            self._blocks[block] = new

    # --- series

    def _register(self, series: Sequence[Labels]) -> tuple[int, ...]:
        out, new = [], dict[str, list[int]]()
        for one in series:
            number = self._ids.get(one)
            if number is None:
                number = self._ids[one] = len(self._labels)
                self._labels.append(one)
                self._rows_of.append(())
                new.setdefault(label_sets.metric(one), []).append(number)
            out.append(number)
        for name, more in new.items():
            self._names[name] = (*self._names.get(name, ()), *more)
        return tuple(out)

    def _moved(self, numbers: Iterable[int]) -> set[str]:
        """Selections and plans that know these series hold no longer; returns the names of their metrics."""
        self._layout += 1
        self._plans = {}
        names = {label_sets.metric(self._labels[number]) for number in numbers}
        for name in names:
            self._stamps[name] = self._stamps.get(name, 0) + 1
        return names

    def _single(self, labels: Labels) -> Loose:
        (number,) = self._register([labels])
        found = self._loose.get(number)
        if found is None:
            found = self._loose[number] = Loose()
            self.steadiness.lose(self._moved([number]))
        return found

    def append(self, labels: Labels, at_ms: int, value: float) -> None:
        """One sample of a series that no target has. Older than its last one, or equal: left out."""
        self._single(labels).append(at_ms, value)

    def append_stale(self, labels: Labels, at_ms: int) -> None:
        """The marker that such a series has no value from here on."""
        self._single(labels).end(at_ms)

    def write_samples(
        self, labels: Labels, times_ms: Sequence[int] | Ints, values: Sequence[float] | Floats
    ) -> None:
        """Samples of one series, in order of time, for imports and tests.

        Raises:
            ValueError: times do not rise, or there is not one value for each.
        """
        times = np.asarray(times_ms, np.int64)
        if len(times) != len(values) or (len(times) > 1 and bool((np.diff(times) <= 0).any())):
            raise ValueError("samples need rising times and one value each")
        self._single(labels).extend(times, np.asarray(values, np.float64))

    # --- reading

    def stamp(self, name: str | None) -> int:
        """Moves whenever series of the metric (of any, for None) come, go or return."""
        return self._layout if name is None else self._stamps.get(name, 0)

    def choose(self, name: str | None, matchers: tuple[Matcher, ...]) -> Selection:
        """The series of a metric (of all, for None) that fit the matchers, in order of their labels.

        Raises:
            ValueError: an expression of a matcher is none.
        """
        key, stamp, count = (name, matchers), self.stamp(name), len(self.numbers(name))
        held = self._selections.get(key)
        if held is not None and held[0] == stamp:
            return held[2]
        # labels stay as they are until there are more series
        series = held[1] if held is not None and held[1][0] == count else None
        if series is None:
            series = (count, *matching(self, name, matchers))
        if len(self._selections) >= 1024:
            self._selections.clear()
        found = choose(self, *series[1:])
        self._selections[key] = (stamp, series, found)
        return found

    def numbers(self, name: str | None) -> Sequence[int]:
        """The numbers of all series of a metric, or of all."""
        return range(len(self._labels)) if name is None else self._names.get(name, ())

    def names(self) -> list[str]:
        """The names of all metrics, sorted."""
        return sorted(self._names)

    def about(self) -> dict[str, tuple[str, str]]:
        """Type and help of each metric that was described."""
        return dict(sorted(self._about.items()))

    def targets(self) -> list[Target]:
        """All targets by name."""
        return [self._targets[name] for name in sorted(self._targets)]

    def labels(self, number: int) -> Labels:
        """The labels of a series."""
        return self._labels[number]

    def rows(self, number: int) -> tuple[int, ...]:
        """The rows that a series had, oldest first."""
        return self._rows_of[number]

    def loose(self, number: int) -> Loose | None:
        """What of a series does not come from scrapes."""
        return self._loose.get(number)

    def spans(self, rows: Ints) -> tuple[Ints, Ints, Ints]:
        """Offset in ms, first slot and end slot of rows (`NEVER` where they go on)."""
        return self._offset[rows], self._born[rows], self._dead[rows]

    def one_offset(self, rows: tuple[int, ...]) -> bool:
        """Whether rows are scraped at the same moments of their intervals."""
        return len({int(self._offset[row]) for row in rows}) == 1

    def cells(self, rows: Ints, slots: Ints, wanted: NDArray[np.bool_] | None = None) -> Floats:
        """One value of each row; of those that are not wanted it means nothing."""
        places = slots - self._open_index * SLOTS
        if len(rows) and int(places.min()) >= 0 and int(places.max()) < SLOTS:
            return self._open[rows, places]
        index = slots // SLOTS
        wanted = np.ones(len(rows), bool) if wanted is None else wanted
        out = np.zeros(len(rows))
        for one in np.unique(index[wanted]).tolist():
            chunk = self._chunk(one)
            if chunk is not None:
                here = np.flatnonzero(wanted & (index == one))
                out[here] = chunk.cells(rows[here], slots[here] - one * SLOTS)
        return out

    def _chunk(self, index: int) -> Chunk | None:
        return Chunk(None, self._open) if index == self._open_index else self._sealed.get(index)

    def gather(self, rows: Ints, first: int, end: int) -> Floats:
        """The values of rows in the slots `[first, end)`; those outside of a row's life mean nothing."""
        out = np.empty((len(rows), end - first))
        for index in range(first // SLOTS, (end - 1) // SLOTS + 1):
            low, high = max(first, index * SLOTS), min(end, (index + 1) * SLOTS)
            chunk = self._chunk(index)
            if chunk is not None:
                into = out[:, low - first : high - first]
                chunk.read(rows, low - index * SLOTS, high - index * SLOTS, into)
        return out

    def select(
        self, matchers: Iterable[Matcher], start_ms: int, end_ms: int
    ) -> list[tuple[Labels, Ints, Floats]]:
        """Labels, times in ms and values of all series that have samples from one time to another.

        Raises:
            ValueError: an expression of a matcher is none.
        """
        return found_samples(self, tuple(matchers), start_ms, end_ms)

    def present(self, matchers: Iterable[Matcher], start_ms: int, end_ms: int) -> list[Labels]:
        """The labels of the same series, without their samples.

        Raises:
            ValueError: an expression of a matcher is none.
        """
        return found_labels(self, tuple(matchers), start_ms, end_ms)

    # --- the part

    def fork(self) -> Self:
        """An independent copy; sealed chunks and label sets are shared."""
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        count = self._rows
        for name in ("_now", "_offset", "_born", "_dead"):
            setattr(twin, name, getattr(self, name).copy())
        twin._open = np.empty_like(self._open)
        twin._open[:count] = self._open[:count]
        for name in _COPIED:
            setattr(twin, name, getattr(self, name).copy())
        twin.steadiness = self.steadiness.fork()
        twin._loose = {number: series.fork() for number, series in self._loose.items()}
        return twin

    def state(self) -> object:
        """Everything as plain data; samples as digests."""
        count = self._rows
        digest = blake2b(digest_size=16)
        for array in (self._now, self._offset, self._born, self._dead):
            digest.update(array[:count].tobytes())
        for number in range(len(self._labels)):
            for part in one_series(self, number)[:2]:
                digest.update(part.tobytes())
        loose = [[number, series.state()] for number, series in sorted(self._loose.items())]
        targets = [[t.name, list(t.labels), t.offset_ms, t.up] for t in self.targets()]
        return [self.interval_ms, self.until_ms, self._labels, targets, digest.hexdigest(), loose]
